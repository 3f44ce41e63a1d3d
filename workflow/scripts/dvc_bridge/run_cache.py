"""Moving DVC's run cache together with the files that its entries name.

`dvc push --run-cache` moves DVC's notes on all past runs, but of their outs only those that the
present commit records. So another clone would know that a stage had been run with the same inputs,
not find its outs, and run it again.

Upstream: treeverse/dvc#10472, where it is said that `--run-cache` moves nothing but the entries.
"""

import sys
from pathlib import Path

from dvc.cli import main, parse_args
from dvc.exceptions import DvcException
from dvc.repo import Repo

from .repository import one_line


def move(command: str, options: list[str]) -> int:
    """Do `dvc push`, `pull` or `fetch` with `--run-cache`, and move the files of past runs as well.

    Args:
        command: `push`, `pull` or `fetch`.
        options: further options of that command of DVC.

    Returns:
        The exit status: that of DVC where it is not 0, or 1 if a file of a past run was not moved.
    """
    arguments = ["--wait-for-lock", command, "--run-cache", *options]
    if status := main(arguments):
        return status
    parsed = parse_args(arguments)
    try:
        with Repo(_wait_for_lock=True) as repo, repo.lock:
            entries = list(Path(repo.stage_cache.cache_dir).glob("??/*/*"))
            for left in (entry for entry in entries if entry.suffix == ".tmp"):
                left.unlink()  # by a kill, here or elsewhere; DVC would take it for an entry
            runs = [(entry.parent.name, entry.name) for entry in entries if entry.exists()]
            files = repo.stage_cache.get_used_objs(runs).get(None, set())
            transfer = repo.cloud.push if command == "push" else repo.cloud.pull
            moved = transfer(files, jobs=parsed.jobs, remote=parsed.remote)
    except DvcException as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    print(f"{len(moved.transferred)} files of past runs as well")
    return 1 if moved.failed else 0
