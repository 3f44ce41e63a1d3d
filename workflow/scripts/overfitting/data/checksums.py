"""The pinned contents of the raw files: `data/SHA256SUMS`, in the format of `sha256sum`."""

import re
from pathlib import Path

from overfitting.common.errors import UserError
from overfitting.common.files import sha256

from .idx import MAX_IDX_BYTES

RAW = [
    f"{part}-{kind}"
    for part in ("train", "t10k")
    for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
]
"""The names of the raw files."""


def read_checksums(path: Path) -> dict[str, str]:
    """Read the pinned contents: a file in the format of `sha256sum`.

    Returns:
        From each file's name to the SHA-256 of its unzipped contents.

    Raises:
        UserError: it is no text, a line has another form, or a raw file is not named, or twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text; restore it with `git checkout {path}`") from None
    checksums = {}
    for number, line in enumerate(lines, start=1):
        digest, _, name = line.partition("  ")
        plain = Path(name).name == name != ".."
        if not (re.fullmatch("[0-9a-f]{64}", digest) and name and plain):
            raise UserError(f"{path}, line {number}: expected '<64 hex digits>  <file name>'")
        if name in checksums:
            raise UserError(f"{path}, line {number}: {name} is listed twice; keep one of them")
        checksums[name] = digest
    if missing := [name for name in RAW if name not in checksums]:  # they would go unchecked
        raise UserError(f"{path} lacks {', '.join(missing)}; restore it with `git checkout {path}`")
    return checksums


def has_contents(path: Path, digest: str) -> bool:
    """Tell whether a file is there, not larger than any raw file, with that SHA-256."""
    return path.is_file() and path.stat().st_size <= MAX_IDX_BYTES and sha256(path) == digest


def refuse_other_contents(folder: Path, checksums: dict[str, str]) -> None:
    """Raise a UserError unless every file of `checksums` is in `folder` with those contents."""
    for name, digest in checksums.items():
        if not has_contents(folder / name, digest):
            raise UserError(
                f"{folder / name} is corrupt: its contents are not those that are pinned; "
                "`make verify` says what to do"
            )
