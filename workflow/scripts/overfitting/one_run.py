"""One run at a time in a checkout, whichever engine it is of.

Snakemake and DVC each have locks, and do not see each other's: a `dvc repro` that is started
beside a Snakemake would take a stage between two of its jobs, and make it fail. So both hold this
lock while they run stages: the Snakefile takes it, and Python when it starts as `dvc repro`.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

LOCK = Path(".dvc", "tmp", "run.lock")  # not in .snakemake, which users delete


def begin(root: Path, engine: str, when_busy: Callable[[str], None]) -> None:
    """Hold the lock of this checkout until this process ends, however it ends.

    Args:
        root: the checkout.
        engine: for people: who holds it.
        when_busy: is told who holds it now, and may end this process; else it is waited for.
    """
    path = root / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # never closed; no child inherits it
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        when_busy(os.pread(lock, 100, 0).decode())
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{engine}, PID {os.getpid()}".encode(), 0)
