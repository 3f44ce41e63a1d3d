"""Repairing what DVC left behind when it was killed.

DVC writes dvc.lock in place. A kill in that moment leaves the beginning of the file, or nothing;
DVC then refuses the file, or has forgotten stages. Complete entries are kept. What the lost ones
recorded, DVC restores from its run cache without running a stage.

DVC also writes `.dvc/tmp/rwlock` in place, its list of which process reads and writes which path,
and considers a process alive as long as its PID is in use.

And it puts an out in place by way of a temporary file beside it. Where that is left in a folder
that a stage depends on, it would count as a part of the folder.

Snakemake repairs before it plans a real run, and so does the command `repair`.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from dvc.config import Config
from dvc.exceptions import DvcException
from dvc.lock import LockError, make_lock
from dvc.repo import Repo

from .files import TEMPORARY, atomic_write, find_files
from .lockfile import ENTRY
from .processes import is_at_work

OF_DVC = re.compile(r"(.*)\.[\w-]{22}\.tmp")
"""A temporary file of DVC: the name of the out or nothing, then 16 random bytes in Base64."""


def repair(root: Path, everywhere: bool = False) -> list[str]:
    """Repair a checkout in which a DVC was killed.

    Args:
        root: the checkout, with its `.dvc`.
        everywhere: look for lock files in subfolders, too.

    Returns:
        A sentence for each thing that was repaired.
    """
    tmp = root / ".dvc" / "tmp"
    hardlinks = False
    with suppress(DvcException):  # a wrong configuration, which DVC will refuse in its own words
        hardlinks = Config(str(root / ".dvc"))["core"].get("hardlink_lock", False)
    done = []
    if hardlinks:
        done += [_remove_leftover(tmp / name) for name in ("lock", "rwlock.lock")]
    for path in find_files(root, "dvc.lock") if everywhere else [root / "dvc.lock"]:
        done.append(repair_lock_file(path, tmp / "lock", hardlinks))
        _remove_temporaries(path)
    done.append(remove_stale_rwlock(tmp / "rwlock", hardlinks))
    return [sentence for sentence in done if sentence]


def repair_lock_file(path: Path, dvc_lock: Path, hardlinks: bool = False) -> str:
    """Keep the whole entries of a dvc.lock that was cut off; remove the file if there are none."""
    if not is_cut_off(path):  # nearly always: nothing is locked
        return ""
    with _held(dvc_lock, hardlinks) as free:
        if not (free and is_cut_off(path)):
            return ""
        kept = whole_entries(path.read_text(encoding="utf-8", errors="replace"))
        if kept:
            atomic_write(path, kept)
        else:
            path.unlink()
    count = len(ENTRY.findall(kept))
    return f"{path.name} was cut off when DVC was killed: kept the {count} stages that are whole"


def is_cut_off(path: Path) -> bool:
    """Tell whether a dvc.lock lacks the end of its last line, or the value of its last key."""
    if not path.is_file():
        return False
    content = path.read_bytes()
    last = content[content.rfind(b"\n  ? ") + 1 :]
    without_value = last.startswith(b"  ? ") and b"\n  : " not in last
    return not content.endswith(b"\n") or content.endswith(b":\n") or without_value


def whole_entries(text: str) -> str:
    """Return a cut off dvc.lock up to the start of its last entry; empty if that is the first."""
    entries = list(ENTRY.finditer(text))
    return text[: entries[-1].start()] if len(entries) > 1 else ""


def remove_stale_rwlock(path: Path, hardlinks: bool = False) -> str:
    """Remove processes that have ended from DVC's list of who reads and writes which path.

    A list that was cut off is removed.
    """
    if not _has_stale_entries(path):
        return ""
    with _held(path.with_name("rwlock.lock"), hardlinks) as free:
        if not free:
            return ""
        entries = _read_rwlock(path)
        if entries is None:
            path.unlink(missing_ok=True)
            return f"{path.name} was cut off when DVC was killed: removed"
        atomic_write(path, json.dumps(_at_work(entries)))
    return f"{path.name} named processes of DVC that have ended: removed them"


def _has_stale_entries(path: Path) -> bool:
    entries = _read_rwlock(path)
    return entries is None or _at_work(entries) != entries


Entries = dict[str, dict[str, Any]]


def _read_rwlock(path: Path) -> Entries | None:
    """Return DVC's list by kind of access and by path; None if the file was cut off."""
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_bytes())
        _at_work(entries)
        return entries
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _at_work(entries: Entries) -> Entries:
    """Return the entries of processes that are at work."""
    readers = {
        path: alive
        for path, infos in entries.get("read", {}).items()
        if (alive := [info for info in infos if is_at_work(info["pid"], info["cmd"])])
    }
    writers = {
        path: info
        for path, info in entries.get("write", {}).items()
        if not info or is_at_work(info["pid"], info["cmd"])
    }
    kept = {"read": readers, "write": writers}
    return {kind: kept[kind] for kind in entries if kind in kept}


def remove_temporary_outs(repo: Repo) -> str:
    """Remove the temporary files that a killed DVC has left beside outs, and say so.

    Args:
        repo: the project; its lock is held, so that no DVC is putting outs in place.
    """
    names: dict[Path, set[str]] = {}
    for stage in repo.index.stages:
        for out in stage.outs:
            if out.protocol == "local":
                path = Path(out.fs_path)
                names.setdefault(path.parent, {""}).add(path.name)
    left = [
        Path(entry)
        for folder, of in names.items()
        if folder.is_dir()
        for entry in os.scandir(folder)
        if (found := OF_DVC.fullmatch(entry.name)) and found[1] in of and entry.is_file()
    ]
    for path in left:
        path.unlink(missing_ok=True)
    listed = ", ".join(os.path.relpath(path) for path in sorted(left))
    return f"removed what DVC left when it was killed: {listed}" if left else ""


def _remove_temporaries(target: Path) -> None:
    """Remove the temporary files that killed writers of a file have left beside it."""
    for left in target.parent.glob(f"{TEMPORARY}*-{target.name}"):
        writer = left.name.removeprefix(TEMPORARY).removesuffix(f"-{target.name}")
        if writer.isdecimal() and not psutil.pid_exists(int(writer)):
            left.unlink(missing_ok=True)


def _remove_leftover(lock: Path) -> str:
    """Remove a file of DVC's usual locks, which its locks by hard links would wait for.

    The usual locks leave their file when they are released. A lock by a hard link has two names.
    """
    import zc.lockfile

    if not lock.is_file() or lock.stat().st_nlink > 1:
        return ""
    try:
        zc.lockfile.LockFile(str(lock)).close()
    except zc.lockfile.LockError:
        return ""  # a DVC holds it that was started before core.hardlink_lock was set
    lock.unlink(missing_ok=True)
    return f"{lock.name} was left by DVC's usual locks; core.hardlink_lock is set: removed"


@contextmanager
def _held(path: Path, hardlinks: bool) -> Iterator[bool]:
    """Hold a lock as DVC does; give False if a DVC holds it, which then is writing."""
    existed = path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = make_lock(str(path), tmp_dir=str(path.parent), hardlink_lock=hardlinks)
    try:
        lock.lock()
    except LockError:
        yield False
        return
    try:
        yield True
    finally:
        lock.unlock()
        if not existed and not hardlinks:
            path.unlink(missing_ok=True)
