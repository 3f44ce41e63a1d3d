"""Atomic writes, and JSON records with a checksum that reveals any later change."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from .errors import UserError

PARTIAL = ".partial-"  # listed in both .gitignore and .dvcignore


@contextmanager
def atomic_write(target: Path, required_bytes: int = 0) -> Iterator[Path]:
    """Yield a temporary path in the folder of `target`; after the block, rename it to `target`.

    The temporary name keeps the suffixes of `target`. If the block raises, the temporary
    file is removed and `target` remains as it was. Temporary files that a killed process
    left behind are removed by the next write to the same target.

    Args:
        target: the final path; its folder is created if it is missing.
        required_bytes: disk space in bytes to check for before the block runs, for a writer
            that would crash on a full disk.

    Raises:
        OSError: the folder cannot be written to, or the disk is full; the error names a file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for stale in stale_temporaries(target.parent):
        if stale.is_file() and stale.name.endswith(f"-{target.name}"):
            stale.unlink(missing_ok=True)
    partial = target.parent / f"{partial_prefix()}{target.name}"
    try:
        if required_bytes:
            partial.write_bytes(bytes(required_bytes))
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        if error.errno and not error.filename:  # as for a full disk
            raise OSError(error.errno, os.strerror(error.errno), str(target)) from None
        raise
    finally:
        partial.unlink(missing_ok=True)


def partial_prefix() -> str:
    """Return the prefix of the names of this process's temporary files and folders."""
    return f"{PARTIAL}{os.getpid()}-"


def stale_temporaries(folder: Path) -> Iterator[Path]:
    """Yield the temporary files and folders in `folder` whose process has ended."""
    for path in folder.glob(f"{PARTIAL}*"):
        pid = re.match(r"(\d{1,9})-", path.name.removeprefix(PARTIAL))
        if pid and not psutil.pid_exists(int(pid[1])):
            yield path


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8 to `target`, atomically."""
    with atomic_write(target) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_record(target: Path, record: dict[str, Any]) -> None:
    """Write JSON, atomically, with the SHA-256 of the other keys under the last key, `sha256`.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot represent.
    """
    write_text(target, _as_json(record | {"sha256": _checksum(record)}))


def read_record(path: Path) -> dict[str, Any]:
    """Read a file that `write_record` wrote, and return it without its SHA-256.

    Raises:
        UserError: the file is missing, or its contents have changed since it was written.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("sha256") == _checksum(record):
            return record
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `dvc repro` to create it") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # not JSON, or not a record
    raise UserError(f"{path} is corrupt; `make verify` says what to do")


def _checksum(record: dict[str, Any]) -> str:
    return hashlib.sha256(_as_json(record).encode()).hexdigest()


def _as_json(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's contents, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
