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

SHELLS = {"sh", "bash", "dash", "zsh", "fish"}


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


def run_script(main: Callable[[list[str]], None]) -> None:
    """Run a script's `main(argv)`; an error that the user can fix ends it in one line.

    The script ends with the program that started it, as nobody would use what it writes.
    """
    end_with_caller()
    try:
        main(sys.argv[1:])
    except UserError as error:
        _fail(str(error))
    except OSError as error:  # disk full, read-only folder, missing file: the name says which
        _fail(f"{error}; fix that and run the same command again")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # or Python looks through all that TensorFlow made before it ends: a second


def print_check(what: str, good: str, faults: list[str]) -> list[str]:
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


def end_with_caller() -> None:
    """End this process, at once, when the program that started it has ended, however that happens.

    A shell that ran this process for that program does not count. One that leads a session does:
    there somebody started this by hand, and may want it to go on when the terminal is closed.
    """
    callers = psutil.Process().parents()[:2]
    if callers and callers[0].name() in SHELLS:
        if os.getsid(callers[0].pid) == callers[0].pid:
            return
        callers = callers[1:]
    if callers:
        threading.Thread(target=_end_with, args=callers[:1], daemon=True).start()


def _end_with(caller: psutil.Process) -> None:
    while _alive(caller):
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)  # the next writer removes temporary files


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False
