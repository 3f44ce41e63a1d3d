"""What each job of Snakemake runs: `dvc repro --single-item` for one stage.

It holds DVC's locks like any other DVC, but is patient: where another process is at work on the
stage or its files, it waits, reads dvc.lock again, and then takes what was done.
"""

import os
import re
import time
from pathlib import Path

from dvc.exceptions import DvcException, ReproductionError
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.rwlock import RWLockFileCorruptedError, RWLockFileFormatError
from dvc.ui import ui
from dvc.utils import parse_target

from . import gitignore, locks, patches, processes, recovery
from .errors import say
from .plan import PIPELINE, Plan, require_project
from .repository import one_line, wait_for_dvc

BUSY = (LockError, RWLockFileCorruptedError, RWLockFileFormatError)
"""What DVC raises where others use a path, or where a kill cut off its list of who uses which."""
BLOCKER = re.compile(r"\(PID (\d+)\): (.*)")


def reproduce(address: str) -> int:
    """Bring a stage up to date as DVC would, once nobody else is at work on it.

    Args:
        address: the stage, as `dvc repro` takes it, such as `fit@a-0` or `sub/dvc.yaml:fit`.

    Returns:
        The exit status: 0, or 255 as that of DVC.

    Raises:
        BridgeError: this is not a DVC project, or the plan is missing or corrupt.
        OSError: a lock cannot be opened.
    """
    root = Path.cwd()
    require_project(root)
    plan = None
    if snakemake := os.environ.get(processes.SNAKEMAKE_PID):
        processes.end_with(int(snakemake))
        plan = Plan.read()
    _prepare_dvc(address, plan)
    locks.hold_stage(root, address, lambda holder: say(f"{holder} is at work; waiting for it"))
    ui.enable()
    said: set[str] = set()
    while True:
        try:
            with Repo(str(root), _wait_for_lock=True) as repo:
                wait_for_dvc(repo, say)
                repo.scm_context.quiet = True  # no hint what to add to Git, after every job
                repo.reproduce(address, single_item=True)
                if plan and plan.ignored:
                    with repo.lock:
                        gitignore.sort(repo, plan, repo.stage.get_target(address))
            return 0
        except ReproductionError as error:
            if not isinstance(error.__cause__, BUSY):
                say(f"error: {one_line(error)}")
                return 255
            _wait_for(error.__cause__, root, said)
        except DvcException as error:
            say(f"error: {one_line(error)}")
            return 255


def _prepare_dvc(address: str, plan: Plan | None) -> None:
    path, name = parse_target(address)
    if name:
        lock_file = os.path.relpath(Path(path or PIPELINE).with_suffix(".lock"))
        order = plan.lock_order.get(lock_file, []) if plan else []
        patches.read_one_stage(lock_file, name, order)
    if plan and plan.machine != processes.machine():
        patches.without_rwlock()
    else:
        patches.wait_for_the_rwlock_file()


def _wait_for(busy: BaseException, root: Path, said: set[str]) -> None:
    """Wait while the processes that DVC names are at work; name each of them once."""
    blockers = [(int(pid), command) for pid, command in BLOCKER.findall(str(busy))]
    at_work = [blocker for blocker in blockers if processes.is_at_work(*blocker)]
    if not at_work:
        recovery.repair(root)
    for pid, command in at_work:
        text = f"`{command}` (PID {pid}) is at work on files of this stage; waiting for it"
        if text not in said:
            say(text)
            said.add(text)
    rwlock = root / ".dvc" / "tmp" / "rwlock"
    before = rwlock.read_bytes() if rwlock.exists() else b""
    while any(processes.is_at_work(*blocker) for blocker in at_work):
        if not rwlock.exists() or rwlock.read_bytes() != before:
            break
        time.sleep(processes.POLL_SECONDS)
    time.sleep(processes.POLL_SECONDS)
