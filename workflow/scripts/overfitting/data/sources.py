"""Where the raw files come from: whichever source answers, the contents are the same."""

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

from .checksums import has_contents
from .idx import MAX_IDX_BYTES

CONNECT_SECONDS = 5  # a source that is not reached is given up after this
STALL_SECONDS = 10  # so is one that sends nothing for this long
FILE_SECONDS = 900  # and one that takes longer than this for a file
PACKAGE = "[a-z0-9][a-z0-9+.-]+"  # Debian's rule for names; no option of apt-get
ATTEMPTS = 3  # for a source that is reached but breaks off or answers with an error of its own


class SourceError(Exception):
    """One source could not give a file; the message says why."""


def fetch_all(sources: list[str], checksums: dict[str, str], folder: Path, log: Logger) -> None:
    """Bring every file of `checksums` to `folder`, unzipped, from the first source that has it.

    A file that is there already with the right contents is kept.

    Args:
        sources: tried in order: a folder (environment variables are expanded), an http(s)
            folder, or `apt:PACKAGE`.
        checksums: file names and the SHA-256 of their unzipped contents.
        folder: where the files belong.
        log: hears what is tried, what fails and what arrives.

    Raises:
        UserError: no source gave some file; the message lists each with its reason.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in filter(Path.is_dir, stale_temporaries(folder)):  # by a run that was killed
        shutil.rmtree(left)
    reasons = []
    for source in sources:
        missing = [name for name in checksums if not has_contents(folder / name, checksums[name])]
        if not missing:
            break
        try:
            with _opened(source, folder, log) as obtain:
                for name in missing:
                    _unzip_checked(obtain(name), folder / name, checksums[name])
                    log.info("%s: from %s, contents verified", name, source)
        except SourceError as reason:
            log.info("source %s: %s", source, reason)
            reasons.append(f"  {source}: {reason}")
    missing = [name for name in checksums if not has_contents(folder / name, checksums[name])]
    if missing:
        raise UserError(
            f"no source has {', '.join(missing)}:\n"
            + "\n".join(reasons)
            + "\nGet the files in another way, zipped (.gz) or not, put them in a folder, set "
            "FASHION_MNIST_DIR to that folder, and run the same command again."
        )


@contextmanager
def _opened(source: str, folder: Path, log: Logger) -> Iterator[Callable[[str], Path]]:
    """Give a function from a file's name to a local copy of it, zipped or not."""
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
    found = sorted([*folder.glob(pattern), *folder.glob(f"{pattern}.gz")])
    if not found:
        raise SourceError(f"neither {pattern} nor {pattern}.gz is in it")
    return found[0]


class _Bounded:
    """A file to write to that refuses more bytes, or more time, than a source may take."""

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
    pooch.get_logger().setLevel("WARNING")  # it would advise to pin the wrapper's hash
    # Small chunks: the limit of time is looked at after each, and a slow server fills one slowly.
    http = pooch.HTTPDownloader(
        progressbar=True, chunk_size=64, timeout=(CONNECT_SECONDS, STALL_SECONDS)
    )

    def bounded(url: str, output_file: str, pooch_: object) -> None:
        with Path(output_file).open("wb") as file:
            http(url, _Bounded(file), pooch_)

    url = f"{base_url}/{name}.gz"
    log.info("downloading %s", url)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            # No hash here: the wrapper's differs between sources, the contents are checked later.
            return Path(pooch.retrieve(url, None, f"{name}.gz", scratch, downloader=bounded))
        except requests.TooManyRedirects:
            raise SourceError("redirects without end") from None
        except (requests.ConnectionError, requests.Timeout) as error:
            raise SourceError(f"not reached, or silent ({_cause(error)})") from None
        except requests.HTTPError as error:
            reason, again = f"answered {error}", error.response.status_code >= 500
        except requests.RequestException as error:
            reason, again = f"broke off ({_cause(error)})", True
        except ValueError as error:
            raise SourceError(f"answered in no known form ({_cause(error)})") from None
        if not again or attempt == ATTEMPTS:
            raise SourceError(reason)
        log.info("%s; attempt %d of %d", reason, attempt + 1, ATTEMPTS)
        time.sleep(attempt)
    raise AssertionError("unreachable")


def _cause(error: BaseException) -> str:
    """The innermost reason, in a line: requests wraps it several times."""
    inner = error
    while inner.args and isinstance(
        deeper := getattr(inner.args[0], "reason", inner.args[0]), BaseException
    ):
        inner = deeper
    return " ".join(str(inner).split())[:200]


def _debian_package(package: str, scratch: Path, log: Logger) -> Path:
    """Fetch and unpack a Debian package, needing neither root nor an installation."""
    if not re.fullmatch(PACKAGE, package):
        raise SourceError("that is no name of a Debian package")
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise SourceError("this machine has no apt-get and dpkg-deb (only Debian and its kin do)")
    log.info("fetching the Debian package %s", package)
    # Package lists of our own, in the scratch folder: no root, and the machine's stay as they are.
    lists = scratch / "lists"
    (lists / "partial").mkdir(parents=True)
    own_lists = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={scratch / 'cache'}"]
    download = ["download", package]
    if _apt(scratch, *download) != "":
        log.info("the machine's package lists do not name it; fetching current ones")
        if reason := _apt(scratch, *own_lists, "update") or _apt(scratch, *own_lists, *download):
            raise SourceError(reason)
    archives = list(scratch.glob("*.deb"))
    if not archives:
        raise SourceError("apt-get download left no package")
    if reason := _command(scratch, "dpkg-deb", "-x", str(archives[0]), str(scratch / "unpacked")):
        raise SourceError(reason)
    return scratch / "unpacked"


def _apt(folder: Path, *arguments: str) -> str:
    user = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    limits = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=10"]
    limits += ["-o", "Acquire::https::Timeout=10"]
    return _command(folder, "apt-get", "--quiet", *limits, *user, *arguments)


def _command(folder: Path, *command: str) -> str:
    """Run a command in `folder`; return "" if it succeeded, else the last it said."""
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
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return said[-1] if said else f"{command[0]} ended with status {done.returncode}"


def _unzip_checked(source: Path, target: Path, digest: str) -> None:
    """Copy `source`, unzipping it if it is zipped, to `target` if its contents are right."""
    try:
        with source.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
    except OSError as error:
        raise SourceError(f"{source.name} cannot be read ({error.strerror})") from None
    found, size = hashlib.sha256(), 0
    try:
        with (
            gzip.open(source) if zipped else source.open("rb") as contents,
            atomic_write(target) as partial,
            partial.open("wb") as file,
        ):
            while chunk := contents.read(2**20):
                size += len(chunk)
                if size > MAX_IDX_BYTES:
                    raise SourceError(f"{source.name} unpacks to more than {MAX_IDX_BYTES} bytes")
                found.update(chunk)
                file.write(chunk)
            if found.hexdigest() != digest:
                raise SourceError(
                    f"{source.name} has other contents than are pinned "
                    f"(SHA-256 {found.hexdigest()[:12]}…, expected {digest[:12]}…)"
                )
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{source.name} is corrupt ({error})") from None
