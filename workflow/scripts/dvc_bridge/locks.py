"""Locks that hold between processes and, where the file system has locks, between machines.

DVC's own locks make sure that no two processes of DVC run the same stage on one machine, and jobs
hold them like any other DVC. The two locks here add what DVC does not have: one run of Snakemake
at a time in a checkout, and one job at a time for each stage on a cluster, where DVC's own locks
mean nothing on another machine.

The system releases these locks when a process ends, however it ends.
"""

import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path

from .plan import file_name

LOCKS = Path(".dvc", "tmp", "dvc_bridge")  # not in .snakemake, which users delete


def hold_run(root: Path, when_busy: Callable[[str], None]) -> None:
    """Hold the lock of runs of a checkout until this process ends.

    On a cluster, the jobs of a Snakemake that was killed go on, so this waits for them, too.

    Args:
        root: the checkout.
        when_busy: is told who holds the lock; then this waits until it is released.

    Raises:
        OSError: the lock file cannot be opened; the error names it.
    """
    _hold(root / LOCKS / "run.lock", "snakemake", when_busy)
    for job in (root / LOCKS / "stages").rglob("*.lock"):
        os.close(_open_locked(job, when_busy))


def hold_stage(root: Path, address: str, when_busy: Callable[[str], None]) -> None:
    """Hold the lock of one stage of a checkout until this process ends; see `hold_run`."""
    path = root / LOCKS / "stages" / f"{file_name(address)}.lock"
    _hold(path, address, when_busy)


def _hold(path: Path, who: str, when_busy: Callable[[str], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _open_locked(path, when_busy)  # never closed
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{who}, PID {os.getpid()} on {socket.gethostname()}".encode(), 0)


def _open_locked(path: Path, when_busy: Callable[[str], None]) -> int:
    """Lock a file, with a descriptor that no child process inherits."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        when_busy(os.pread(lock, 1000, 0).decode())
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock
