"""Writing files whole or not at all, and records that notice when they were changed."""

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

PARTIAL = ".partial-"  # both .gitignore and .dvcignore know this prefix


@contextmanager
def atomic_write(target: Path, required_bytes: int = 0) -> Iterator[Path]:
    """Give a path beside `target` to write to, and move it there once all is written.

    The temporary name keeps the suffixes of `target`. When the block fails, the temporary
    file is removed and what stood at `target` before still stands there. What a killed
    process left behind is removed by the next writer of the same file.

    Args:
        target: the final path; its folder is made if it is missing.
        required_bytes: bytes that must be free, for a writer that does not stand a full disk.

    Raises:
        OSError: the folder cannot be written to, or the disk is full; it names a file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in stale_temporaries(target.parent):
        if left.is_file() and left.name.endswith(f"-{target.name}"):
            left.unlink(missing_ok=True)
    partial = target.parent / f"{partial_prefix()}{target.name}"
    try:
        if required_bytes:
            partial.write_bytes(bytes(required_bytes))
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        if error.errno and not error.filename:  # a full disk is not told with a name
            raise OSError(error.errno, os.strerror(error.errno), str(target)) from None
        raise
    finally:
        partial.unlink(missing_ok=True)


def partial_prefix() -> str:
    """Return how the names of this process's temporary files and folders begin."""
    return f"{PARTIAL}{os.getpid()}-"


def stale_temporaries(folder: Path) -> Iterator[Path]:
    """Give the temporary files and folders in a folder whose process has ended."""
    for path in folder.glob(f"{PARTIAL}*"):
        made_by = re.match(r"(\d{1,9})-", path.name.removeprefix(PARTIAL))
        if made_by and not psutil.pid_exists(int(made_by[1])):
            yield path


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8 to `target`, whole or not at all."""
    with atomic_write(target) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_record(target: Path, record: dict[str, Any]) -> None:
    """Write JSON with its own SHA-256 under the last key, `sha256`, whole or not at all.

    Raises:
        ValueError: a number is NaN or infinite, which JSON does not know.
    """
    write_text(target, _as_json(record | {"sha256": _checksum(record)}))


def read_record(path: Path) -> dict[str, Any]:
    """Read what `write_record` wrote, without its SHA-256.

    Raises:
        UserError: the file is missing, or its contents are not what was written.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("sha256") == _checksum(record):
            return record
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `dvc repro` to make it") from None
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
