"""Writing files atomically, and finding them."""

import os
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".partial-"
"""How the names of temporary files begin."""
UNUSED_DIRECTORIES = {"node_modules", "__pycache__"}


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


def find_files(root: Path, name: str) -> Iterator[Path]:
    """Find each file of a name in a folder and below it.

    Hidden folders, and other projects of DVC within this one, are left out.
    """
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [
            subfolder
            for subfolder in subfolders
            if not subfolder.startswith(".")
            and subfolder not in UNUSED_DIRECTORIES
            and not Path(folder, subfolder, ".dvc").is_dir()
        ]
        if name in files:
            yield Path(folder, name)
