"""One run at a time in a checkout, whichever engine it is of; and one job at a time for a stage.

Snakemake and DVC each have locks, and do not see each other's: a `dvc repro` that is started
beside a Snakemake would take a stage between two of its jobs, and make it fail. So both hold a
lock while they run stages: the Snakefile takes it, and Python when it starts as `dvc repro`.

Each job of Snakemake holds a lock for its stage: on a cluster, jobs of a Snakemake that was killed
go on, and those of the next one may come to the same stage.

The system gives these locks back when a process ends, however it ends, also on another machine
that shares the folder.
"""

import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path

LOCK = Path(".dvc", "tmp", "run.lock")  # not in .snakemake, which users delete
STAGES = Path(".dvc", "tmp", "stages")

_held: set[Path] = set()


def begin(root: Path, engine: str, when_busy: Callable[[str], None]) -> None:
    """Hold the lock of this checkout until this process ends, once no job is at work in it.

    Jobs of a Snakemake that was killed go on where they are on a cluster.

    Args:
        root: the checkout.
        engine: for people: who holds it.
        when_busy: is told who holds it now, and may end this process; else it is waited for.
    """
    _hold(root / LOCK, engine, when_busy)
    for job in (root / STAGES).glob("*.lock"):
        os.close(_locked(job, when_busy))


def begin_stage(root: Path, stage: str, when_busy: Callable[[str], None]) -> None:
    """Hold the lock of a stage of this checkout until this process ends; see `begin`."""
    _hold(root / STAGES / f"{stage}.lock", stage, when_busy)


def _hold(path: Path, who: str, when_busy: Callable[[str], None]) -> None:
    if path in _held:  # Python reads the .pth files of a venv twice
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _locked(path, when_busy)  # never closed
    _held.add(path)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{who}, PID {os.getpid()} on {socket.gethostname()}".encode(), 0)


def _locked(path: Path, when_busy: Callable[[str], None]) -> int:
    """Lock a file, which no child inherits."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        when_busy(os.pread(lock, 1000, 0).decode())
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock
