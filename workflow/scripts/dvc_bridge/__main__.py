"""The commands of this package: `python -m dvc_bridge COMMAND`, or `python path/to/dvc_bridge`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

if not __package__:  # started by its path: make the package importable, as `-m` does
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    import dvc.repo  # noqa: F401
    import psutil  # noqa: F401
except ModuleNotFoundError as error:
    sys.exit(
        f"error: this Python ({sys.executable}) lacks {error.name}; activate the "
        "environment that has DVC, and run the same command again"
    )

from dvc_bridge.errors import BridgeError, say
from dvc_bridge.plan import require_project

Result = TypeVar("Result")
HELP = {
    "repair": "repair what a killed DVC has left",
    "why": "say what changed for each stage that must run",
    "graph": "print the pipeline as Mermaid, with what is stale",
    "verify": "read every file that DVC keeps; name what is corrupt",
}
MOVES = ("push", "pull", "fetch")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dvc_bridge", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    stage = commands.add_parser("job", help="bring one stage up to date")
    stage.add_argument("address", help="the stage, as `dvc repro` takes it")
    for name, text in HELP.items():
        commands.add_parser(name, help=text)
    for name in MOVES:
        move = commands.add_parser(name, help=f"dvc {name} --run-cache, with their files")
        move.add_argument("options", nargs=argparse.REMAINDER, help=f"options of dvc {name}")
    arguments = parser.parse_args(argv)
    root = Path.cwd()
    try:
        require_project(root)
        return run(arguments, root)
    except (BridgeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(arguments: argparse.Namespace, root: Path) -> int:
    """Run a command; each imports only what it needs, because there are many jobs."""
    match arguments.command:
        case "job":
            from dvc_bridge import job

            return job.reproduce(arguments.address)
        case "repair":
            from dvc_bridge import recovery, repository

            repaired = recovery.repair(root, everywhere=True)
            print(*repaired, sep="\n", end="\n" if repaired else "")
            with repository.open_project(root) as repo, repository.dvc_errors_in_one_line():
                repository.wait_for_dvc(repo, say)
                with repo.lock:
                    removed = recovery.remove_temporary_outs(repo)
            if removed or not repaired:
                print(removed or "nothing to repair")
        case "why":
            from dvc_bridge import why

            stale = read_project(root, lambda repo: list(why.reasons(repo)))
            for address, changes in stale or [("nothing to run: no stage is stale", [])]:
                print(address, *changes, sep="\n  ")
        case "graph":
            from dvc_bridge import graph, planner

            print(graph.mermaid(read_project(root, planner.make_plan)))
        case "verify":
            from dvc_bridge import integrity

            return integrity.verify(root)
        case command:
            from dvc_bridge import run_cache

            return run_cache.move(command, arguments.options)
    return 0


def read_project(root: Path, read: Callable[[Any], Result]) -> Result:
    """Read a project while others may be changing it."""
    from dvc_bridge import repository

    return repository.read_without_lock(root, lambda: read(repository.open_read_only(root)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
