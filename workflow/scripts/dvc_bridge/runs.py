"""What happens before Snakemake starts its jobs, and after they have ended."""

import atexit
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from . import locks
from .errors import BridgeError, say
from .plan import Plan

if TYPE_CHECKING:
    from dvc.repo import Repo


def open_run(root: Path, all_pipelines: bool) -> tuple["Repo", Plan]:
    """Wait for this run's turn, repair what a killed one left, and ask DVC what must run.

    Args:
        root: the checkout.
        all_pipelines: what `dvc repro --all-pipelines` would do.

    Returns:
        The project, open until this process ends, and the plan, which is written for the jobs.

    Raises:
        BridgeError: DVC refuses the pipeline.
    """
    from . import gitignore, planner, recovery, repository

    with _interruptible():
        locks.hold_run(
            root,
            lambda holder: say(f"another run is at work in this folder ({holder}); waiting"),
        )
    for sentence in recovery.repair(root):
        say(sentence)

    def ask() -> tuple["Repo", Plan]:
        repo = repository.open_project(root)
        atexit.register(repo.close)
        repository.wait_for_dvc(repo, say)
        with repo.lock:
            with repository.dvc_errors_in_one_line():
                sentence = recovery.remove_temporary_outs(repo)
            if sentence:
                say(sentence)
            plan = planner.make_plan(repo, all_pipelines)
            stages = {stage.addressing: stage for stage in repo.index.stages}
            gitignore.write_ahead(repo, [stages[address] for address in plan.stale()])
            return repo, plan

    try:
        repo, plan = ask()
    except BridgeError:
        sentences = recovery.repair(root, everywhere=True)
        if not sentences:
            raise
        for sentence in sentences:
            say(sentence)
        repo, plan = ask()
    plan.write()
    _reset_future_times(path for stage in plan.stages.values() for path in stage.files())
    return repo, plan


def plan_read_only(root: Path, all_pipelines: bool) -> Plan:
    """Ask DVC what must run, without waiting for anybody and without changing anything.

    Raises:
        BridgeError: DVC refuses the pipeline.
    """
    from . import planner, repository

    def ask() -> Plan:
        with closing(repository.open_read_only(root)) as repo:
            return planner.make_plan(repo, all_pipelines)

    return repository.read_without_lock(root, ask)


def keep_links(repo: "Repo", plan: Plan) -> None:
    """Let DVC know the files as its own that Snakemake has touched after a job.

    Else `dvc checkout` of a commit without them could not remove them.
    """
    with repo.lock:
        stages = {stage.addressing: stage for stage in repo.index.stages}
        for address in plan.stale():
            for out in stages[address].outs:
                if out.use_cache and out.exists:
                    repo.state.save_link(out.fs_path, out.fs)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end this at once; Snakemake's event loop would first finish what it is doing."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _reset_future_times(paths: Iterable[str]) -> None:
    """Set modification times that lie in the future to now, as after a clock was set back.

    Snakemake fails a job, and removes what it made, if an input has such a time.
    """
    now = time.time()
    for path in set(paths):
        with suppress(FileNotFoundError):
            if Path(path).stat().st_mtime > now:
                os.utime(path)
