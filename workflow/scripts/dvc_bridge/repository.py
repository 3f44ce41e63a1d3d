"""Opening a project with DVC, and its errors in one line."""

import os
import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from dvc.exceptions import DvcException
from dvc.lock import LockError, LockNoop, make_lock
from dvc.repo import Repo
from dvc.stage import Stage
from scmrepo.exceptions import SCMError

from . import patches
from .errors import BridgeError
from .plan import PIPELINE
from .recovery import is_cut_off

Result = TypeVar("Result")

HASHES = {"md5", "md5-dos2unix", "params", "etag", "checksum"}
"""Kinds of hashes in a dvc.lock: of files, of params, and of files that remotes keep."""
JUST_WRITTEN = 0.3
"""Seconds after a change in which a dvc.lock may still be being written."""
PACKAGE = shlex.quote(os.path.relpath(Path(__file__).parent))
"""The path that `python` takes to run the commands of this package."""
PATIENCE = 5
"""Seconds in which a dvc.lock that is being written becomes readable."""


def open_project(root: Path) -> Repo:
    """Open a project with DVC; its lock, `repo.lock`, is held by nobody yet.

    Raises:
        BridgeError: DVC refuses it.
    """
    with dvc_errors_in_one_line():
        return Repo(str(root), _wait_for_lock=True)


def open_read_only(root: Path) -> Repo:
    """Open a project with DVC only to look: without waiting for others or keeping them waiting.

    Raises:
        BridgeError: DVC refuses it.
    """
    patches.without_rwlock()
    repo = open_project(root)
    repo.lock = LockNoop()
    repo.lock.lock()
    return repo


def wait_for_dvc(repo: Repo, say: Callable[[str], None]) -> None:
    """Wait until no other DVC holds the lock of a project, and say so if that takes long.

    Args:
        repo: the project.
        say: is told what this waits for, once.
    """
    hardlinks = repo.config["core"].get("hardlink_lock", False)
    lock = make_lock(repo.lock.lockfile, tmp_dir=repo.tmp_dir, hardlink_lock=hardlinks)
    said = False
    while True:
        try:
            with lock:
                return
        except LockError:
            if not said:
                name = os.path.relpath(repo.lock.lockfile)
                say(f"another DVC holds {name}; waiting for it (if none is running, remove it)")
            said = True


@contextmanager
def dvc_errors_in_one_line() -> Iterator[None]:
    """Turn an error of DVC into one for people."""
    try:
        yield
    except (DvcException, SCMError) as error:
        raise BridgeError(in_conflict(error) or f"{one_line(error)}{advice(error)}") from None
    except (
        TypeError,
        RecursionError,
    ) as error:  # such as a matrix over something that is not a list
        raise BridgeError(f"DVC cannot read {PIPELINE}: {one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """Put an exception and what caused it into one line."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        text = " ".join(str(cause).split())
        if text and text not in parts:
            parts.append(text)
        cause = cause.__cause__
    return "; ".join(parts) or type(error).__name__


def advice(error: BaseException) -> str:
    """Say what helps against an error of DVC, where that is known."""
    text = one_line(error)
    if "is not a git repository" in text:
        return "; `git init` is enough"
    if "dvc.lock" in text:
        return "; `git checkout HEAD dvc.lock` restores it"
    return ""


def in_conflict(error: BaseException) -> str:
    """Say which file that an error of DVC names has merge conflicts, and what to do; else empty."""
    for name in re.findall(r"'([^']+\.(?:lock|yaml))'", one_line(error)):
        path = Path(name)
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        if re.search(r"^<<<<<<< ", text, flags=re.MULTILINE):
            return (
                f"{name} has merge conflicts: take one side (`git checkout --ours {name}`, or "
                f"--theirs), then `git add {name}`, and run the same command again"
            )
    return ""


def refuse_unknown_hashes(stages: Iterable[Stage]) -> None:
    """Refuse a dvc.lock with kinds of hashes that DVC does not know: it would end in a traceback.

    Raises:
        BridgeError: there is one.
    """
    for stage in stages:
        for item in (*stage.deps, *stage.outs):
            if item.hash_name not in HASHES:
                raise BridgeError(
                    f"dvc.lock has no MD5 of {item.def_path}, but a {item.hash_name!r}; "
                    "`git checkout HEAD dvc.lock` restores it"
                )


def read_without_lock(root: Path, read: Callable[[], Result]) -> Result:
    """Call a function that reads a project while others may be changing it.

    DVC writes dvc.lock in place. So where it is incomplete, or has just been written, it is read
    again a little later.

    Raises:
        BridgeError: dvc.lock stays incomplete, or what the function raises.
    """
    lock_file = root / "dvc.lock"
    deadline = time.monotonic() + PATIENCE
    while True:
        started = time.time()
        failure: Exception | None = None
        try:
            result = read()
        except (BridgeError, OSError) as error:
            failure = error
        cut_off = is_cut_off(lock_file)
        age = started - lock_file.stat().st_mtime if lock_file.exists() else PATIENCE
        being_written = age < (PATIENCE if cut_off else JUST_WRITTEN)
        vanished = isinstance(failure, FileNotFoundError)  # a stage removes its outs as it starts
        if not (being_written or vanished) or time.monotonic() > deadline:
            if cut_off:
                raise BridgeError(
                    f"{lock_file.name} was cut off when DVC was killed; the next run of Snakemake "
                    f"repairs it, and so does `python {PACKAGE} repair`"
                )
            if failure:
                raise failure
            return result
        time.sleep(JUST_WRITTEN)
