"""Writing files atomically."""

import os
from pathlib import Path

TEMPORARY = ".partial-"
"""How the names of temporary files begin."""


def atomic_write(target: Path, text: str) -> None:
    """Write `text` as UTF-8 to a temporary file beside `target`, then rename it.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TEMPORARY}{os.getpid()}-{target.name}")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if target.exists():
            temporary.chmod(target.stat().st_mode)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
