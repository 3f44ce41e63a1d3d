"""Console output: progress in the terminal and in `logs/`, errors in one line."""

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
    file.unlink(missing_ok=True)  # of an earlier run; append mode, as native code writes to it too
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
    """Redirect what native code writes to standard error to the log file only.

    TensorFlow's libraries print a dozen lines when they are loaded, which no setting suppresses;
    mixed into the output of parallel runs, they would hide the progress.
    """
    [file] = _log_files(log)
    terminal = os.dup(2)
    with Path(file).open("ab") as sink:
        os.dup2(sink.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def run_script(main: Callable[[list[str]], None]) -> None:
    """Run a script's `main(argv)`; report an error that the user can fix in one line.

    The script is killed when the program that started it ends, because nothing would use its
    output; not so one that a user started by hand.
    """
    _end_with_caller()
    try:
        main(sys.argv[1:])
    except UserError as error:
        _fail(str(error))
    except OSError as error:  # disk full, read-only folder, missing file; it names the file
        _fail(f"{error}; fix that and run the same command again")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # else the collection at exit scans all of TensorFlow's objects for a second


def print_check(subject: str, success: str, problems: list[str]) -> list[str]:
    """Print one line per problem, or `success` if there are none; return the problems."""
    for problem in problems:
        print(f"DIFFERS  {subject}: {problem}")
    if not problems:
        print(f"ok       {subject}: {success}")
    return problems


def _log_files(log: logging.Logger) -> list[str]:
    """Return the files that a logger writes to: exactly one after `start_log`."""
    return [h.baseFilename for h in log.handlers if isinstance(h, logging.FileHandler)]


def _fail(message: str) -> None:
    log = logging.getLogger("overfitting")
    if files := _log_files(log):
        log.error("error: %s", message)
        log.error("full log: %s", os.path.relpath(files[0]))
    else:
        print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


def _end_with_caller() -> None:
    """Kill this process as soon as the program that started it has ended for any reason.

    If the parent is a shell, the parent of the shell is watched instead. But if the shell leads
    a session, a user started this process by hand and may want it to outlive the terminal: then
    no process is watched.
    """
    callers = psutil.Process().parents()[:2]
    if callers and callers[0].name() in SHELLS:
        if os.getsid(callers[0].pid) == callers[0].pid:
            return
        callers = callers[1:]
    if callers:
        threading.Thread(target=_kill_after, args=callers[:1], daemon=True).start()


def _kill_after(caller: psutil.Process) -> None:
    while _alive(caller):
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)  # atomic_write removes leftover temporary files


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two calls
        return False
