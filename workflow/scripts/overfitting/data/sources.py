"""Getting the raw files from the first source that has them; their checksums are verified."""

import difflib
import errno
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import Logger
from pathlib import Path
from typing import BinaryIO

import pooch
import requests

from overfitting.common.errors import UserError
from overfitting.common.files import partial_prefix, stale_temporaries

from .checksums import matches_checksum
from .idx import MAX_IDX_BYTES
from .unpacking import FileError, unpack_first

CONNECT_SECONDS = 5  # time to wait for a connection
STALL_SECONDS = 10  # time to wait for more data
FILE_SECONDS = 900  # time limit for one file, and for one command of a Debian source
PACKAGE = "[a-z0-9][a-z0-9+.-]+"  # Debian's rule for package names; excludes options
ATTEMPTS = 3  # per file, if a transfer is interrupted or the server has an error (5xx)


class SourceError(Exception):
    """A source could not provide any file; the message gives the reason."""


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
        OSError: a file cannot be written.
    """

    def missing() -> list[str]:
        return [name for name in checksums if not matches_checksum(folder / name, checksums[name])]

    folder.mkdir(parents=True, exist_ok=True)
    for stale in filter(Path.is_dir, stale_temporaries(folder)):  # left by a killed run
        shutil.rmtree(stale)
    reasons = []
    for source in sources:
        if not missing():
            break
        failures: list[Exception] = []
        try:
            with _open_source(source, folder, log) as candidates:
                for name in missing():
                    try:
                        unpack_first(candidates(name), folder / name, checksums[name])
                        log.info("%s: from %s, checksum verified", name, _shown(source))
                    except FileError as error:
                        failures.append(error)
        except SourceError as error:
            failures.append(error)
        for reason in failures:
            log.info("source %s: %s", _shown(source), reason)
        reasons += [f"  {_shown(source)}: {reason}" for reason in failures[:1]]
    if lacking := missing():
        raise UserError(
            f"no source has {', '.join(lacking)}:\n"
            + "\n".join(reasons)
            + "\nGet the files some other way, compressed (.gz) or not, put them in a folder, set "
            "FASHION_MNIST_DIR to that folder, and run the same command again."
        )


def _shown(source: str) -> str:
    """Return a source for messages: one with environment variables with what they stand for."""
    expanded = os.path.expandvars(source)
    return source if expanded == source else f"{source} ({expanded})"


@contextmanager
def _open_source(source: str, folder: Path, log: Logger) -> Iterator[Callable[[str], list[Path]]]:
    """Yield a function that maps a file's name to local copies, gzip-compressed or not."""
    with tempfile.TemporaryDirectory(dir=folder.resolve(), prefix=partial_prefix()) as scratch:
        if source.startswith(("https://", "http://")):
            yield lambda name: [_download(source.rstrip("/"), name, Path(scratch), log)]
        elif source.startswith("apt:"):
            package = _debian_package(source.removeprefix("apt:"), Path(scratch), log)
            yield lambda name: _find(list(package.rglob("*")), name)
        else:
            files = _files_in(source)
            yield lambda name: _find(files, name)


def _files_in(source: str) -> list[Path]:
    """Return the contents of a folder, in whose name environment variables are expanded."""
    for name in re.findall(r"\$(?:\{(\w+)\}|(\w+))", source):
        if not os.environ.get("".join(name)):
            raise SourceError("that environment variable is not set")
    folder = Path(os.path.expandvars(source)).expanduser()
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        raise SourceError("there is no such folder") from None
    except OSError as error:  # not a folder, or not readable
        raise SourceError(f"cannot be read ({error.strerror})") from None


def _find(files: list[Path], name: str) -> list[Path]:
    """Return the files that may hold the raw file `name`, compressed or not."""
    if found := [file for file in files if file.name in (name, f"{name}.gz")]:
        return sorted(found)
    reason = f"contains neither {name} nor {name}.gz"
    names = {file.name for file in files}
    similar = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
    raise FileError(
        f"{reason}, but {similar[0]}; if that is the file, rename it" if similar else reason
    )


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
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # no other source would do better
                raise
            # Such as a bundle of certificates that is not there.
            raise SourceError(f"cannot be reached ({_cause(error)})") from None
        if not retry:
            raise FileError(reason)
        if attempt == ATTEMPTS:
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
