"""The commands of this package: `python -m dvc_bridge COMMAND`, or `python path/to/dvc_bridge`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

if not __package__:  # started by its path: make the package importable, as `-m` does
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from dvc_bridge import graph, integrity, job, planner, recovery, repository, run_cache, why
    from dvc_bridge.errors import BridgeError
    from dvc_bridge.plan import require_project
except ModuleNotFoundError as error:
    sys.exit(
        f"error: this Python ({sys.executable}) has no package {error.name}; activate the "
        "environment that has DVC, and run the same command again"
    )


Result = TypeVar("Result")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dvc_bridge", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    stage = commands.add_parser("job", help="bring one stage up to date")
    stage.add_argument("address", help="the stage, as `dvc repro` takes it")
    commands.add_parser("repair", help="repair what a killed DVC has left")
    commands.add_parser("why", help="say what changed for each stage that must run")
    commands.add_parser("graph", help="print the pipeline as Mermaid, with what is stale")
    commands.add_parser("verify", help="read every file that DVC keeps; name what is corrupt")
    for name in run_cache.COMMANDS:
        move = commands.add_parser(name, help=f"dvc {name} --run-cache, with their files")
        move.add_argument("options", nargs=argparse.REMAINDER, help=f"options of dvc {name}")
    arguments = parser.parse_args(argv)
    root = Path.cwd()
    try:
        require_project(root)
        if arguments.command == "job":
            return job.reproduce(arguments.address)
        if arguments.command == "repair":
            print("\n".join(recovery.repair(root, everywhere=True)) or "nothing to repair")
            return 0
        if arguments.command == "why":
            return explain(root)
        if arguments.command == "graph":
            print(graph.mermaid(look(root, planner.make_plan)))
            return 0
        if arguments.command == "verify":
            return integrity.verify(root)
        return run_cache.move(arguments.command, arguments.options)
    except (BridgeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def look(root: Path, read: Callable[[Any], Result]) -> Result:
    """Read a project while others may be changing it."""
    return repository.read_without_lock(root, lambda: read(repository.open_to_look(root)))


def explain(root: Path) -> int:
    """Print what changed for each stage that must run."""
    stale = look(root, lambda repo: list(why.reasons(repo)))
    for address, changes in stale:
        print(address, *changes, sep="\n  ")
    if not stale:
        print("nothing to run: no stage is stale")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
