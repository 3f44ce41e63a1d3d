"""Talking to people: progress in the terminal and in `logs/`, errors in one line."""

import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from .errors import UserError


def start_log(stage: str, run: str = "") -> logging.Logger:
    """Return a logger that writes to the terminal and to `logs/STAGE[/RUN].log`.

    Every line names the stage and run, so that the lines of parallel runs can be told apart.
    """
    file = Path("logs", stage, f"{run}.log") if run else Path("logs", f"{stage}.log")
    file.parent.mkdir(parents=True, exist_ok=True)
    log = logging.getLogger("overfitting")
    log.setLevel(logging.INFO)
    log.propagate = False
    file.unlink(missing_ok=True)  # what an earlier run said; opened to append, as others write too
    log.handlers = [
        logging.StreamHandler(),
        logging.FileHandler(file, encoding="utf-8", errors="backslashreplace"),
    ]
    name = f"{stage} {run}".strip().replace("%", "%%")
    for handler in log.handlers:
        handler.setFormatter(logging.Formatter(f"%(asctime)s  {name}  %(message)s", "%H:%M:%S"))
    return log


@contextmanager
def native_messages_in_log(log: logging.Logger) -> Iterator[None]:
    """Send what native code writes to standard error to the log's file alone.

    TensorFlow's libraries greet with a dozen lines when they are loaded, and no setting stops
    them; among the lines of parallel runs they would hide the progress.
    """
    [file] = _files(log)
    terminal = os.dup(2)
    with Path(file).open("ab") as sink:
        os.dup2(sink.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


SNAKEMAKE_PID = "OVERFITTING_SNAKEMAKE_PID"
"""The variable in which the Snakefile tells its jobs, and their scripts, who waits for them."""


def run_script(main: Callable[[list[str]], None]) -> None:
    """Run a script's `main(argv)`; a fault that the user can mend ends it in one line.

    Under DVC the script also ends when DVC is killed, as nobody would record what it writes, and
    when the Snakemake is killed that had DVC run it, as nobody waits for it any more.
    """
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_end_with_parents, daemon=True).start()
    try:
        main(sys.argv[1:])
    except UserError as error:
        _fail(str(error))
    except OSError as error:  # disk full, read-only folder, missing file: the name says which
        _fail(f"{error}; mend that and run the same command again")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # or Python looks through all that TensorFlow made before it ends: a second


def say(what: str, good: str, faults: list[str]) -> list[str]:
    """Print one line if all is well, else a line per fault; return the faults."""
    for fault in faults:
        print(f"DIFFERS  {what}: {fault}")
    if not faults:
        print(f"ok       {what}: {good}")
    return faults


def _files(log: logging.Logger) -> list[str]:
    """The files that a logger writes to: one, once `start_log` has been called."""
    return [h.baseFilename for h in log.handlers if isinstance(h, logging.FileHandler)]


def _fail(message: str) -> None:
    log = logging.getLogger("overfitting")
    if files := _files(log):
        log.error("error: %s", message)
        log.error("all that was said: %s", os.path.relpath(files[0]))
    else:
        print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


def _end_with_parents() -> None:
    """End this process once one is gone that started it: DVC, a shell between, Snakemake."""
    parents = psutil.Process().parents()[:2]
    shell_between = parents[0].name() in {"sh", "bash", "dash", "zsh", "fish"}
    watched = parents if shell_between else parents[:1]
    if snakemake := os.environ.get(SNAKEMAKE_PID):
        try:
            watched.append(psutil.Process(int(snakemake)))
        except psutil.NoSuchProcess:  # killed before this process had begun
            os.kill(os.getpid(), signal.SIGKILL)
    while all(_alive(parent) for parent in watched):
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)  # at once; the next writer removes temporary files


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False
