"""Writing files whole or not at all."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

PARTIAL = ".partial-"  # both .gitignore and .dvcignore know this prefix


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Give a path beside `target` to write to, and move it there once all is written.

    The temporary name keeps the suffixes of `target`. When the block fails, the temporary
    file is removed and what stood at `target` before still stands there. What a killed
    process left behind is removed by the next writer of the same file.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left_behind in target.parent.glob(f"{PARTIAL}*-{target.name}"):
        if not psutil.pid_exists(int(left_behind.name.removeprefix(PARTIAL).split("-")[0])):
            left_behind.unlink(missing_ok=True)
    partial = target.parent / f"{PARTIAL}{os.getpid()}-{target.name}"
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8 to `target`, whole or not at all."""
    with written_whole(target) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's contents, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
