"""Decompresses raw files and verifies their checksums."""

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import BinaryIO

from overfitting.common.files import atomic_write

from .idx import MAX_IDX_BYTES


class FileError(Exception):
    """A source could not provide one file; the message gives the reason."""


def unpack_first(candidates: list[Path], target: Path, digest: str) -> None:
    """Write the decompressed contents of the first candidate with that SHA-256 to `target`.

    Raises:
        FileError: there is none; the message gives the reason for each.
        OSError: `target` cannot be written.
    """
    reasons = []
    for candidate in candidates:
        try:
            return _decompress_and_verify(candidate, target, digest)
        except FileError as reason:
            reasons.append(str(reason))
    raise FileError("; ".join(reasons))


def _decompress_and_verify(source: Path, target: Path, digest: str) -> None:
    """Write the decompressed contents of `source` to `target` if their SHA-256 is `digest`."""
    try:
        with source.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"  # the magic number of gzip
    except OSError as error:
        raise FileError(f"{source.name} cannot be read ({error.strerror})") from None
    actual, size = hashlib.sha256(), 0
    with (
        gzip.open(source) if compressed else source.open("rb") as contents,
        atomic_write(target) as partial,
        partial.open("wb") as file,
    ):
        while chunk := _read(contents, source.name):
            size += len(chunk)
            if size > MAX_IDX_BYTES:
                raise FileError(f"{source.name} expands to more than {MAX_IDX_BYTES} bytes")
            actual.update(chunk)
            file.write(chunk)
        if actual.hexdigest() != digest:
            raise FileError(
                f"{source.name} does not match the pinned checksum "
                f"(SHA-256 {actual.hexdigest()[:12]}…, expected {digest[:12]}…)"
            )


def _read(contents: BinaryIO | gzip.GzipFile, name: str) -> bytes:
    """Return the next MiB of a file; an error that occurs is one of this file."""
    try:
        return contents.read(2**20)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileError(f"{name} is corrupt ({error})") from None
    except OSError as error:
        raise FileError(f"{name} cannot be read ({error.strerror})") from None
