"""Getting the raw files from the first source that has them; their checksums are verified."""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import Logger
from pathlib import Path
from typing import BinaryIO

import pooch
import requests

from overfitting.common.errors import UserError
from overfitting.common.files import atomic_write, partial_prefix, stale_temporaries

from .checksums import matches_checksum
from .idx import MAX_IDX_BYTES

CONNECT_SECONDS = 5  # time to wait for a connection
STALL_SECONDS = 10  # time to wait for more data
FILE_SECONDS = 900  # time limit for one file, and for one command of a Debian source
PACKAGE = "[a-z0-9][a-z0-9+.-]+"  # Debian's rule for package names; excludes options
ATTEMPTS = 3  # per file, if a transfer is interrupted or the server has an error (5xx)


class SourceError(Exception):
    """A source could not provide a file; the message gives the reason."""


def fetch_all(sources: list[str], checksums: dict[str, str], folder: Path, log: Logger) -> None:
    """Get every file of `checksums` into `folder`, from the first source that has it.

    Files are decompressed. One that is already there with the right contents is kept.

    Args:
        sources: sources to try, in order: a folder (environment variables are expanded), an
            http(s) URL of a folder, or `apt:PACKAGE`.
        checksums: file names and the SHA-256 of their decompressed contents.
        folder: where to put the files; created if it is missing.
        log: receives which sources are tried, which fail, and which files arrive.

    Raises:
        UserError: no source has some file; the message gives the reason for each source.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in filter(Path.is_dir, stale_temporaries(folder)):  # left by a killed run
        shutil.rmtree(stale)
    reasons = []
    for source in sources:
        missing = _missing(checksums, folder)
        if not missing:
            break
        try:
            with _open_source(source, folder, log) as obtain:
                for name in missing:
                    _decompress_and_verify(obtain(name), folder / name, checksums[name])
                    log.info("%s: from %s, checksum verified", name, source)
        except SourceError as reason:
            log.info("source %s: %s", source, reason)
            reasons.append(f"  {source}: {reason}")
    if missing := _missing(checksums, folder):
        raise UserError(
            f"no source has {', '.join(missing)}:\n"
            + "\n".join(reasons)
            + "\nGet the files some other way, compressed (.gz) or not, put them in a folder, set "
            "FASHION_MNIST_DIR to that folder, and run the same command again."
        )


def _missing(checksums: dict[str, str], folder: Path) -> list[str]:
    return [name for name in checksums if not matches_checksum(folder / name, checksums[name])]


@contextmanager
def _open_source(source: str, folder: Path, log: Logger) -> Iterator[Callable[[str], Path]]:
    """Yield a function that maps a file's name to a local copy, gzip-compressed or not."""
    with tempfile.TemporaryDirectory(dir=folder.resolve(), prefix=partial_prefix()) as scratch:
        if source.startswith(("https://", "http://")):
            yield lambda name: _download(source.rstrip("/"), name, Path(scratch), log)
        elif source.startswith("apt:"):
            package = _debian_package(source.removeprefix("apt:"), Path(scratch), log)
            yield lambda name: _find(package, f"**/{name}")
        else:
            yield lambda name: _find(_existing_folder(source), name)


def _existing_folder(source: str) -> Path:
    folder = Path(os.path.expandvars(source)).expanduser()
    if "$" in str(folder) or folder == Path():
        raise SourceError("that environment variable is not set")
    if not folder.is_dir():
        raise SourceError("there is no such folder")
    return folder


def _find(folder: Path, pattern: str) -> Path:
    matches = sorted([*folder.glob(pattern), *folder.glob(f"{pattern}.gz")])
    if not matches:
        raise SourceError(f"contains neither {pattern} nor {pattern}.gz")
    return matches[0]


class _LimitedFile:
    """A writable file object with a limit on the number of bytes and on the total time."""

    def __init__(self, file: BinaryIO):
        self.file, self.size, self.deadline = file, 0, time.monotonic() + FILE_SECONDS

    def write(self, chunk: bytes) -> int:
        self.size += len(chunk)
        if self.size > MAX_IDX_BYTES:
            raise SourceError(f"sends more than {MAX_IDX_BYTES} bytes")
        if time.monotonic() > self.deadline:
            raise SourceError(f"takes longer than {FILE_SECONDS} s for one file")
        return self.file.write(chunk)

    def flush(self) -> None:
        self.file.flush()


def _download(base_url: str, name: str, scratch: Path, log: Logger) -> Path:
    pooch.get_logger().setLevel("WARNING")  # else it advises to pin the hash of the .gz
    # Small chunks, because the time limit is checked only after each chunk.
    http = pooch.HTTPDownloader(
        progressbar=True, chunk_size=64, timeout=(CONNECT_SECONDS, STALL_SECONDS)
    )

    def limited(url: str, output_file: str, pooch_: object) -> None:
        with Path(output_file).open("wb") as file:
            http(url, _LimitedFile(file), pooch_)

    url = f"{base_url}/{name}.gz"
    log.info("downloading %s", url)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            # No hash: that of the .gz differs between sources; the contents are verified later.
            return Path(pooch.retrieve(url, None, f"{name}.gz", scratch, downloader=limited))
        except requests.TooManyRedirects:
            raise SourceError("too many redirects") from None
        except (requests.ConnectionError, requests.Timeout) as error:
            raise SourceError(f"unreachable or not responding ({_cause(error)})") from None
        except requests.HTTPError as error:
            reason, retry = f"answered {error}", error.response.status_code >= 500
        except ValueError as error:  # also an invalid URL, which no retry makes valid
            raise SourceError(f"invalid address or response ({_cause(error)})") from None
        except requests.RequestException as error:
            reason, retry = f"request failed ({_cause(error)})", True
        if not retry or attempt == ATTEMPTS:
            raise SourceError(reason)
        log.info("%s; attempt %d of %d", reason, attempt + 1, ATTEMPTS)
        time.sleep(attempt)
    raise AssertionError("unreachable")


def _cause(error: BaseException) -> str:
    """Return the innermost message, on one line: requests wraps exceptions several times."""
    inner = error
    while inner.args and isinstance(
        deeper := getattr(inner.args[0], "reason", inner.args[0]), BaseException
    ):
        inner = deeper
    return " ".join(str(inner).split())[:200]


def _debian_package(package: str, scratch: Path, log: Logger) -> Path:
    """Download and unpack a Debian package, without root and without installing it."""
    if not re.fullmatch(PACKAGE, package):
        raise SourceError("not a valid name of a Debian package")
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise SourceError("needs apt-get and dpkg-deb, which are not installed (Debian has them)")
    log.info("downloading the Debian package %s", package)
    # Separate package lists, so that no root is needed and the system's lists are not changed.
    lists = scratch / "lists"
    (lists / "partial").mkdir(parents=True)
    options = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={scratch / 'cache'}"]
    download = ["download", package]
    if _apt(scratch, *download) != "":
        log.info("not in the system's package lists; downloading current ones")
        if reason := _apt(scratch, *options, "update") or _apt(scratch, *options, *download):
            raise SourceError(reason)
    archives = list(scratch.glob("*.deb"))
    if not archives:
        raise SourceError("apt-get download produced no package")
    if reason := _command(scratch, "dpkg-deb", "-x", str(archives[0]), str(scratch / "unpacked")):
        raise SourceError(reason)
    return scratch / "unpacked"


def _apt(folder: Path, *arguments: str) -> str:
    user = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    limits = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=10"]
    limits += ["-o", "Acquire::https::Timeout=10"]
    return _command(folder, "apt-get", "--quiet", *limits, *user, *arguments)


def _command(folder: Path, *command: str) -> str:
    """Run a command in `folder`; return "" on success, else the last line of its stderr."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=FILE_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} took longer than {FILE_SECONDS} s"
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"{command[0]} failed with status {done.returncode}"


def _decompress_and_verify(source: Path, target: Path, digest: str) -> None:
    """Write the decompressed contents of `source` to `target` if their SHA-256 is `digest`."""
    try:
        with source.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"  # the magic number of gzip
    except OSError as error:
        raise SourceError(f"{source.name} cannot be read ({error.strerror})") from None
    actual, size = hashlib.sha256(), 0
    try:
        with (
            gzip.open(source) if compressed else source.open("rb") as contents,
            atomic_write(target) as partial,
            partial.open("wb") as file,
        ):
            while chunk := contents.read(2**20):
                size += len(chunk)
                if size > MAX_IDX_BYTES:
                    raise SourceError(f"{source.name} expands to more than {MAX_IDX_BYTES} bytes")
                actual.update(chunk)
                file.write(chunk)
            if actual.hexdigest() != digest:
                raise SourceError(
                    f"{source.name} does not match the pinned checksum "
                    f"(SHA-256 {actual.hexdigest()[:12]}…, expected {digest[:12]}…)"
                )
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{source.name} is corrupt ({error})") from None
