"""Telling which processes are still at work, and ending with the process that started this one."""

import os
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

POLL_SECONDS = 0.5
SNAKEMAKE_PID = "DVC_BRIDGE_SNAKEMAKE_PID"
"""The environment variable with the PID of the Snakemake that started the job."""


def machine() -> str:
    """Return where PIDs are valid: this host and, on Linux, this PID namespace."""
    namespace = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()} {namespace.readlink() if namespace.is_symlink() else ''}"


def is_at_work(pid: int, command: str) -> bool:
    """Tell whether a process is still the one that was started by a command.

    A killed process stays a zombie and keeps its PID until its parent reaps it, which in many
    containers never happens; afterwards the PID may be reused.

    Args:
        pid: the PID of the process.
        command: its `sys.argv`, joined by spaces, as DVC records it.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        running = process.cmdline()
    except psutil.AccessDenied:
        return True  # somebody else's
    except (psutil.Error, ValueError):
        return False
    for position, word in enumerate(running):
        arguments = "".join(f" {argument}" for argument in running[position + 1 :])
        if command.endswith(arguments) and _starts(word, command.removesuffix(arguments)):
            return True
    return False


def _starts(word: str, program: str) -> bool:
    """Tell whether a word of a command line, a path or the name of a module, starts a program.

    Args:
        word: such as `/venv/bin/dvc`, or `dvc` after `python -m`.
        program: its `sys.argv[0]`, such as `/my venv/lib/dvc/__main__.py`; it may contain spaces.
    """
    path = Path(program)
    if path.name == "__main__.py":
        path = path.parent
    return Path(word).name == path.name or word.rpartition(".")[2] == path.stem


def end_with(pid: int) -> None:
    """End this process and its children as soon as another process has ended, in whatever way.

    Neither a job nor the command of its stage must outlive the Snakemake that waits for them: the
    next run would start that command a second time.

    Args:
        pid: the PID of the other process.
    """

    def watch() -> None:
        try:
            process = psutil.Process(pid)
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(POLL_SECONDS)
        except psutil.NoSuchProcess:
            pass
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
