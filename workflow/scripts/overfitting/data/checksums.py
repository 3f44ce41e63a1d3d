"""The pinned checksums of the raw files: `data/SHA256SUMS`, in the format of `sha256sum`."""

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
    """Read the pinned checksums from a file in the format of `sha256sum`.

    Returns:
        A mapping from each file's name to the SHA-256 of its decompressed contents.

    Raises:
        UserError: the file is not UTF-8 text, a line has another format, or a raw file is
            missing or listed twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8; restore it with `git checkout {path}`") from None
    checksums = {}
    for number, line in enumerate(lines, start=1):
        digest, _, name = line.partition("  ")
        is_plain = Path(name).name == name != ".."
        if not (re.fullmatch("[0-9a-f]{64}", digest) and name and is_plain):
            raise UserError(f"{path}, line {number}: expected '<64 hex digits>  <file name>'")
        if name in checksums:
            raise UserError(f"{path}, line {number}: {name} is listed twice; keep one of them")
        checksums[name] = digest
    if missing := [name for name in RAW if name not in checksums]:  # would not be verified
        raise UserError(f"{path} lacks {', '.join(missing)}; restore it with `git checkout {path}`")
    return checksums


def matches_checksum(path: Path, digest: str) -> bool:
    """Return whether a file exists, has at most MAX_IDX_BYTES, and has that SHA-256."""
    return path.is_file() and path.stat().st_size <= MAX_IDX_BYTES and sha256(path) == digest


def verify_checksums(folder: Path, checksums: dict[str, str]) -> None:
    """Verify the files in `folder` against `checksums`, as `read_checksums` returns them.

    Raises:
        UserError: a file is missing or has another SHA-256.
    """
    for name, digest in checksums.items():
        if not matches_checksum(folder / name, digest):
            raise UserError(
                f"{folder / name} is corrupt: it does not match its pinned checksum; "
                "`make verify` says what to do"
            )
