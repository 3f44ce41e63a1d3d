"""Sources of the raw files: how each kind of failure is handled, with a real web server."""

import errno
import gzip
import hashlib
import logging
import os
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.project import ROOT

from overfitting.common.errors import UserError
from overfitting.data import checksums, idx, sources, unpacking

LOG = logging.getLogger("a run")
SMALL = 10_000  # bytes, in place of MAX_IDX_BYTES
ENDLESS = 32 * 2**20  # bytes after which even an endless response ends


def idx_bytes(*shape: int, value_type: int = idx.UNSIGNED_BYTE) -> bytes:
    """Return the contents of an IDX file of random values with the given shape."""
    header = bytes([0, 0, value_type, len(shape)])
    values = np.random.default_rng(len(shape)).integers(0, 256, int(np.prod(shape)))
    return header + struct.pack(f">{len(shape)}I", *shape) + values.astype(np.uint8).tobytes()


FILES = {"images-idx3-ubyte": idx_bytes(3, 4, 4), "labels-idx1-ubyte": idx_bytes(3)}
IMAGES, LABELS = FILES
CHECKSUMS = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


class Site:
    """A web server, each of whose folders misbehaves in a different way."""

    def __init__(self) -> None:
        self.folders: dict[str, Callable[[BaseHTTPRequestHandler, bytes], None]] = {}
        self.requests: list[str] = []
        self.sent = 0
        self.closing = threading.Event()  # ends a stalled response
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append(self.path)
                _, folder, name = self.path.split("/")
                with suppress(ConnectionError):  # the client may have disconnected
                    site.folders[folder](
                        self, gzip.compress(FILES[name.removesuffix(".gz")], mtime=0)
                    )

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def add(self, answer: Callable[[BaseHTTPRequestHandler, bytes], None]) -> str:
        """Add a folder that responds with `answer`; return its URL."""
        name = f"folder{len(self.folders)}"
        self.folders[name] = answer
        return f"http://127.0.0.1:{self.server.server_port}/{name}/"

    def stop(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Site()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace `time.sleep` in `sources`; return the list of the requested delays."""
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=time.monotonic)
    monkeypatch.setattr(sources, "time", clock)
    return slept


def send(handler: BaseHTTPRequestHandler, body: bytes, length: int | None = None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def flip(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


def cut_off(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, body[:-9], length=len(body))


def wrong_bytes(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, gzip.compress(b"another file altogether", mtime=0))


def truncated(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, body[:-9])


def flipped(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, flip(body, len(body) // 2))


def bad_length(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "many")
    handler.end_headers()
    handler.wfile.write(body[:-9])


def html(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, b"<html>Please log in to the hotel's network</html>")


def redirecting(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.end_headers()


def error(status: int) -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    return lambda handler, body: handler.send_error(status)


def fetch(*named: str | Path, folder: Path) -> None:
    sources.fetch_all([str(source) for source in named], CHECKSUMS, folder, LOG)


def folder_with(folder: Path, *names: str, compressed: bool = False) -> Path:
    folder.mkdir()
    for name in names or FILES:
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(FILES[name], mtime=0))
        else:
            (folder / name).write_bytes(FILES[name])
    return folder


def assert_complete(folder: Path) -> None:
    """Assert that the folder has all files with the right contents, and no others."""
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


def refusal(*named: str | Path, folder: Path) -> str:
    """Return the error when no source has the files; assert that `folder` is unchanged."""
    before = {path.name: path.read_bytes() for path in folder.glob("*")}
    with pytest.raises(UserError) as refused:
        fetch(*named, folder=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    return str(refused.value)


# Folders


@pytest.mark.parametrize("compressed", [True, False])
def test_takes_a_folder_named_by_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compressed: bool
) -> None:
    source = folder_with(tmp_path / "mine é", compressed=compressed)
    monkeypatch.setenv("FASHION_MNIST_DIR", str(source))
    fetch("$FASHION_MNIST_DIR", folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")


def test_says_what_is_wrong_with_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASHION_MNIST_DIR", raising=False)
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.mkdir()
    message = refusal("$FASHION_MNIST_DIR", missing, empty, folder=tmp_path / "raw")
    assert "\n  $FASHION_MNIST_DIR: that environment variable is not set\n" in message
    assert f"\n  {missing}: there is no such folder\n" in message
    assert f"\n  {empty}: contains neither {IMAGES} nor {IMAGES}.gz\n" in message


@pytest.mark.parametrize("name", ["mine", "costs 5$", "$HOME"])
def test_says_what_a_variable_stands_for_and_which_name_is_nearly_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "image-idx3-ubyte.gz").write_bytes(b"")
    monkeypatch.setenv("FASHION_MNIST_DIR", str(folder))
    message = refusal("$FASHION_MNIST_DIR", "${FASHION_MNIST_DIR}/labels", folder=tmp_path / "raw")
    assert (
        f"\n  $FASHION_MNIST_DIR ({folder}): contains neither {IMAGES} nor {IMAGES}.gz, but "
        "image-idx3-ubyte.gz; if that is the file, rename it\n"
    ) in message
    shown = f"${{FASHION_MNIST_DIR}}/labels ({folder}/labels)"
    assert f"\n  {shown}: there is no such folder\n" in message


def test_an_empty_variable_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASHION_MNIST_DIR", "")
    message = refusal("$FASHION_MNIST_DIR/sub", folder=tmp_path / "raw")
    assert "$FASHION_MNIST_DIR/sub (/sub): that environment variable is not set" in message


@pytest.mark.parametrize("broken", ["", ".gz"])
def test_a_broken_file_beside_a_good_one_is_skipped(tmp_path: Path, broken: str) -> None:
    source = folder_with(tmp_path / "both", compressed=not broken)
    (source / f"{IMAGES}{broken}").write_bytes(b"\x1f\x8b broken")
    fetch(source, folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")


def test_each_file_comes_from_the_first_source_that_has_it(tmp_path: Path) -> None:
    first, second = folder_with(tmp_path / "first"), folder_with(tmp_path / "second")
    (first / IMAGES).write_bytes(b"broken")
    (second / LABELS).unlink()
    fetch(first, second, folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")


def test_a_source_that_is_no_folder_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = refusal(tmp_path / "file", folder=tmp_path / "raw")
    assert f"{tmp_path / 'file'}: cannot be read (Not a directory)" in message
    fetch(tmp_path / "file", folder_with(tmp_path / "good"), folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")


@pytest.mark.parametrize("call", ["iterdir", "open"])
def test_a_source_that_may_not_be_read_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The permissions are simulated, as root may read everything."""
    private, good = folder_with(tmp_path / "private"), folder_with(tmp_path / "good")
    original = getattr(Path, call)

    def denied(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.is_relative_to(private):
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, *arguments, **options)

    monkeypatch.setattr(Path, call, denied)
    fetch(private, good, folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_without_the_bundle_of_certificates_the_next_source_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "missing.pem"))
    https = "https://127.0.0.1:9/folder/"
    fetch(https, folder_with(tmp_path / "good"), folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")
    message = refusal(https, folder=tmp_path / "again")
    assert f"\n  {https}: cannot be reached (Could not find a suitable TLS CA" in message


def test_a_full_disk_ends_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another source would not help, so the error names the disk and not the sources."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sources.pooch, "retrieve", full)
    with pytest.raises(OSError, match="No space left"):
        fetch("http://127.0.0.1:9/", folder_with(tmp_path / "good"), folder=tmp_path / "raw")


def test_the_next_source_adds_what_the_first_lacks(tmp_path: Path, site: Site) -> None:
    part = folder_with(tmp_path / "part", IMAGES)
    fetch(part, site.add(send), folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")
    assert site.requests == [f"/folder0/{LABELS}.gz"]


def test_a_source_with_a_folder_in_place_of_the_file_is_skipped(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / IMAGES).mkdir(parents=True)
    fetch(broken, folder_with(tmp_path / "good"), folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")


# Downloads


def test_downloads_and_decompresses(tmp_path: Path, site: Site, sleeps: list[float]) -> None:
    fetch(site.add(send), folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")
    assert site.requests == [f"/folder0/{name}.gz" for name in FILES]
    assert sleeps == []


def test_accepts_a_response_with_a_content_encoding_of_gzip(tmp_path: Path, site: Site) -> None:
    def encoded(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")  # as some servers send for any .gz
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    fetch(site.add(encoded), folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")


@pytest.mark.parametrize(
    ("answer", "reason", "attempts"),
    [
        (error(500), "answered 500 Server Error", sources.ATTEMPTS),
        (error(503), "answered 503 Server Error", sources.ATTEMPTS),
        (error(404), "answered 404 Client Error", 1),
        (error(403), "answered 403 Client Error", 1),
        (cut_off, "request failed (", sources.ATTEMPTS),
        (wrong_bytes, f"{IMAGES}.gz does not match the pinned checksum (SHA-256 ", 1),
        (html, f"{IMAGES}.gz does not match the pinned checksum (SHA-256 ", 1),
        (truncated, f"{IMAGES}.gz is corrupt (", 1),
        (flipped, f"{IMAGES}.gz is corrupt (", 1),
        (bad_length, "", None),
    ],
    ids=[
        "500",
        "503",
        "404",
        "403",
        "cut_off",
        "wrong_bytes",
        "html",
        "truncated",
        "flipped",
        "bad_length",
    ],
)
def test_a_broken_source_falls_back_to_the_next(
    tmp_path: Path,
    site: Site,
    sleeps: list[float],
    answer: Callable[[BaseHTTPRequestHandler, bytes], None],
    reason: str,
    attempts: int | None,
) -> None:
    broken, good = site.add(answer), site.add(send)
    assert f"\n  {broken}: {reason}" in refusal(broken, folder=tmp_path / "alone")
    if attempts:
        assert site.requests.count(f"/folder0/{IMAGES}.gz") == attempts
        assert sleeps == list(range(1, attempts))
    fetch(broken, good, folder=tmp_path / "both")
    assert_complete(tmp_path / "both")


def test_a_redirect_loop_falls_back_to_the_next(
    tmp_path: Path, site: Site, sleeps: list[float]
) -> None:
    broken, good = site.add(redirecting), site.add(send)
    assert f"\n  {broken}: too many redirects" in refusal(broken, folder=tmp_path / "alone")
    assert sleeps == []  # another attempt would end in the same loop
    fetch(broken, good, folder=tmp_path / "both")
    assert_complete(tmp_path / "both")


@pytest.mark.parametrize("package", ["-oDir::Bin::dpkg=/bin/true", "a b", "", "../x"])
def test_only_a_valid_package_name_is_passed_to_apt(tmp_path: Path, package: str) -> None:
    source = f"apt:{package}"
    assert f"\n  {source}: not a valid name of a Debian package" in refusal(source, folder=tmp_path)


@pytest.mark.parametrize("answer", [error(500), cut_off], ids=["500", "cut_off"])
def test_retries_after_a_transient_failure(
    tmp_path: Path,
    site: Site,
    sleeps: list[float],
    answer: Callable[[BaseHTTPRequestHandler, bytes], None],
) -> None:
    def recovering(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        (answer if len(site.requests) == 1 else send)(handler, body)

    fetch(site.add(recovering), folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")
    assert sleeps == [1]


@pytest.mark.parametrize("started", [False, True], ids=["no response", "partial response"])
def test_a_stalled_server_times_out(
    tmp_path: Path,
    site: Site,
    sleeps: list[float],
    monkeypatch: pytest.MonkeyPatch,
    started: bool,
) -> None:
    def stalled(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if started:
            send(handler, body[:9], length=len(body))
            handler.wfile.flush()
        site.closing.wait(20)

    monkeypatch.setattr(sources, "STALL_SECONDS", 0.2)
    start = time.monotonic()
    stalling = site.add(stalled)
    message = refusal(stalling, folder=tmp_path / "raw")
    assert f"\n  {stalling}: unreachable or not responding (" in message
    assert time.monotonic() - start < 5
    assert (len(site.requests), sleeps) == (1, [])


def test_a_slow_response_ends_at_the_time_limit(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        send(handler, b"", length=600)
        for _ in range(600):  # never stalls, and never ends
            handler.wfile.write(b"x")
            if site.closing.wait(0.01):
                return

    monkeypatch.setattr(sources, "FILE_SECONDS", 0.3)
    start = time.monotonic()
    assert "takes longer than 0.3 s" in refusal(site.add(slow), folder=tmp_path / "raw")
    assert time.monotonic() - start < 4  # the whole response takes 6 s


def test_a_refused_connection_is_not_retried(tmp_path: Path, sleeps: list[float]) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # reserves a port, on which nothing listens
        closed = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        message = refusal(closed, folder=tmp_path / "raw")
    assert f"\n  {closed}: unreachable or not responding (" in message
    assert sleeps == []


@pytest.mark.parametrize("address", ["http://", "http://[bad/", "http://a b/"])
def test_an_invalid_address_falls_back_to_the_next(tmp_path: Path, address: str) -> None:
    fetch(address, folder_with(tmp_path / "good"), folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")


# Limits


def test_a_gzip_bomb_is_stopped_in_little_memory(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = gzip.compress(bytes(64 * 2**20), mtime=0)
    monkeypatch.setattr(unpacking, "MAX_IDX_BYTES", 2**20)
    bombing = site.add(lambda handler, body: send(handler, bomb))
    tracemalloc.start()
    message = refusal(bombing, folder=tmp_path / "raw")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert f"\n  {bombing}: {IMAGES}.gz expands to more than {2**20} bytes" in message
    assert peak < 16 * 2**20
    fetch(bombing, site.add(send), folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")


def test_an_endless_response_is_stopped(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        while site.sent < ENDLESS:
            site.sent += handler.wfile.write(bytes(2**16))

    monkeypatch.setattr(sources, "MAX_IDX_BYTES", SMALL)
    stream = site.add(endless)
    message = refusal(stream, folder=tmp_path / "raw")
    assert f"\n  {stream}: sends more than {SMALL} bytes" in message
    assert site.sent < ENDLESS
    assert site.requests == [f"/folder0/{IMAGES}.gz"]


def test_a_file_compressed_twice_is_refused(tmp_path: Path, site: Site) -> None:
    twice = site.add(lambda handler, body: send(handler, gzip.compress(body, mtime=0)))
    assert "does not match the pinned checksum" in refusal(twice, folder=tmp_path / "raw")


def test_every_flipped_or_missing_byte_is_detected(tmp_path: Path) -> None:
    whole = gzip.compress(FILES[IMAGES], mtime=0)
    corrupt = [flip(whole, position) for position in range(len(whole))]
    corrupt += [whole[:length] for length in range(len(whole))]
    refused = 0
    for number, content in enumerate(corrupt):
        source, folder = tmp_path / f"source{number}", tmp_path / f"raw{number}"
        source.mkdir()
        (source / f"{IMAGES}.gz").write_bytes(content)
        try:
            sources.fetch_all([str(source)], {IMAGES: CHECKSUMS[IMAGES]}, folder, LOG)
        except UserError:
            refused += 1
            assert list(folder.iterdir()) == []
        else:  # time stamp and system in the gzip header do not matter
            assert (folder / IMAGES).read_bytes() == FILES[IMAGES]
    assert refused >= len(corrupt) - 10


# Several sources, and existing files


def test_when_all_fail_each_is_listed_with_its_reason(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = tmp_path / "nowhere"
    monkeypatch.setenv("FASHION_MNIST_DIR", str(nowhere))
    failing, lacking = site.add(error(500)), site.add(error(404))
    message = refusal("$FASHION_MNIST_DIR", failing, lacking, folder=tmp_path / "raw").splitlines()
    assert message[0] == f"no source has {IMAGES}, {LABELS}:"
    assert message[1] == f"  $FASHION_MNIST_DIR ({nowhere}): there is no such folder"
    assert message[2].startswith(f"  {failing}: answered 500 ")
    assert message[3].startswith(f"  {lacking}: answered 404 ")
    assert "set FASHION_MNIST_DIR to that folder" in message[4]
    assert len(message) == 5


def test_correct_files_are_kept_and_no_source_is_used(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_with(tmp_path / "raw")
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}
    calls = fake_apt(tmp_path, monkeypatch)
    fetch(site.add(send), "apt:a-package", folder=folder)
    assert not calls.exists()
    assert site.requests == []
    assert {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.iterdir()} == before


@pytest.mark.parametrize(
    "wrong",
    [b"", FILES[IMAGES][:-1], flip(FILES[IMAGES], 20)],
    ids=["empty", "cut off", "flipped"],
)
def test_only_a_wrong_file_is_replaced(tmp_path: Path, site: Site, wrong: bytes) -> None:
    folder = folder_with(tmp_path / "raw")
    (folder / IMAGES).write_bytes(wrong)
    assert f"no source has {IMAGES}:" in refusal(site.add(error(404)), folder=folder)
    fetch(site.add(send), folder=folder)
    assert_complete(folder)
    assert site.requests[1:] == [f"/folder1/{IMAGES}.gz"]


def test_temporary_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    prefix = f".partial-{2**22 + 1}-"  # above every possible PID
    (folder / f"{prefix}abc" / "lists").mkdir(parents=True)
    (folder / f"{prefix}{IMAGES}").write_bytes(b"half")
    fetch(folder_with(tmp_path / "good"), folder=folder)
    assert_complete(folder)


def test_temporary_files_of_a_live_run_are_kept(tmp_path: Path) -> None:
    other = tmp_path / "raw" / f".partial-{os.getppid()}-abc"
    other.mkdir(parents=True)
    fetch(folder_with(tmp_path / "good"), folder=other.parent)
    assert other.exists()


# Debian's package


def fake_apt(
    folder: Path, monkeypatch: pytest.MonkeyPatch, listed: bool = True, known: bool = True
) -> Path:
    """Set PATH to a fake apt-get and dpkg-deb only; return the file in which they log their calls.

    Args:
        listed: whether the system's package lists have the package.
        known: whether the lists that `update` downloads have it.
    """
    content = folder_with(folder / "content", compressed=True)
    programs = folder / "programs"
    programs.mkdir()
    calls = folder / "calls"
    separate = 'case "$*" in *Dir::State::lists=*) true;; *) false;; esac'
    has_it = f"if {separate}; then {str(known).lower()}; else {str(listed).lower()}; fi"
    scripts = {
        "apt-get": f"""
            lists=$(echo "$*" | sed -n 's/.*Dir::State::lists=\\([^ ]*\\).*/\\1/p')
            case "$*" in
                *update) test -d "$lists/partial" && touch "$lists/current" ;;
                *"download a-package")
                    if {has_it} && [ -z "$lists" -o -f "$lists/current" ]
                    then touch a-package_1_all.deb
                    else echo "E: Unable to locate package a-package" >&2; exit 100
                    fi ;;
                *) exit 99 ;;
            esac""",
        "dpkg-deb": f"""
            [ "$1" = -x ] && [ -f "$2" ] || exit 99
            mkdir -p "$3/usr/share/datasets/fashion-mnist"
            cp '{content}'/* "$3/usr/share/datasets/fashion-mnist" """,
    }
    for name, script in scripts.items():
        path = programs / name
        path.write_text(
            f"#!/bin/sh\nPATH=/usr/bin:/bin\necho \"{name} $*\" >> '{calls}'\n{script}\n"
        )
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    return calls


def test_takes_a_debian_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_apt(tmp_path, monkeypatch)
    fetch("apt:a-package", folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")
    apt_get, dpkg_deb = calls.read_text().splitlines()
    assert apt_get.endswith(" download a-package")
    assert dpkg_deb.startswith("dpkg-deb -x ")


def test_downloads_package_lists_if_those_of_the_system_lack_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fake_apt(tmp_path, monkeypatch, listed=False)
    folder = tmp_path / "raw"
    fetch("apt:a-package", folder=folder)
    assert_complete(folder)
    first, update, second, _ = calls.read_text().splitlines()
    assert first.endswith(" download a-package") and "Dir::State::lists" not in first
    for call, end in [(update, " update"), (second, " download a-package")]:
        assert call.endswith(end)
        assert f"Dir::State::lists={folder.resolve()}/.partial-" in call
        assert f"Dir::Cache={folder.resolve()}/.partial-" in call


def test_an_unknown_package_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_apt(tmp_path, monkeypatch, listed=False, known=False)
    message = refusal("apt:a-package", folder=tmp_path / "raw")
    assert "\n  apt:a-package: E: Unable to locate package a-package\n" in message


def test_a_missing_apt_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    message = refusal("apt:a-package", folder=tmp_path / "raw")
    assert "\n  apt:a-package: needs apt-get and dpkg-deb, which are not installed" in message
    fetch("apt:a-package", folder_with(tmp_path / "good"), folder=tmp_path / "raw")
    assert_complete(tmp_path / "raw")


# Pinned checksums

PINNED = "".join(f"{'0' * 64}  {name}\n" for name in checksums.RAW)


def test_the_pinned_checksums_are_those_of_the_publisher() -> None:
    assert checksums.read_checksums(ROOT / "data" / "SHA256SUMS") == {
        "train-images-idx3-ubyte": (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
        ),
        "train-labels-idx1-ubyte": (
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
        ),
        "t10k-images-idx3-ubyte": (
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
        ),
        "t10k-labels-idx1-ubyte": (
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
        ),
    }


@pytest.mark.parametrize(
    "line",
    [
        f"{'0' * 63}  name",
        f"{'0' * 65}  name",
        f"{'z' * 64}  name",
        f"{'0' * 64} name",
        f"{'0' * 64}  ",
        "0" * 64,
        "",
        "name",
        f"{'0' * 64}  folder/name",
        f"{'0' * 64}  /name",
        f"{'0' * 64}  ../name",
        f"{'0' * 64}  ..",
    ],
)
def test_malformed_checksums_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "SHA256SUMS"
    path.write_text(PINNED)
    assert checksums.read_checksums(path) == dict.fromkeys(checksums.RAW, "0" * 64)
    path.write_text(f"{PINNED}{line}\n")
    with pytest.raises(UserError, match=r"SHA256SUMS, line 5: expected '<64 hex digits>"):
        checksums.read_checksums(path)


@pytest.mark.parametrize("name", checksums.RAW)
def test_no_raw_file_goes_unchecked(tmp_path: Path, name: str) -> None:
    path = tmp_path / "SHA256SUMS"
    path.write_text("".join(line for line in PINNED.splitlines(True) if name not in line))
    with pytest.raises(UserError, match=rf"SHA256SUMS lacks {name}; restore it with `git checkout"):
        checksums.read_checksums(path)
    path.write_text(f"{PINNED}{'1' * 64}  {name}\n")
    with pytest.raises(UserError, match=rf"SHA256SUMS, line 5: {name} is listed twice"):
        checksums.read_checksums(path)


# The IDX format


@pytest.mark.parametrize("shape", [(5,), (3, 4, 6)])
def test_reads_idx(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (tmp_path / "file").write_bytes(content := idx_bytes(*shape))
    values = idx.read_idx(tmp_path / "file", dimensions=len(shape))
    assert (values.shape, values.dtype) == (shape, np.uint8)
    assert values.tobytes() == content[4 + 4 * len(shape) :]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "begins with nothing"),
        (b"\0\0", "begins with 0000"),
        (idx_bytes(3, 4, 4)[:15], "not an IDX file of unsigned bytes with 3 dimension"),
        (b"\x01" + idx_bytes(3, 4, 4)[1:], "begins with 01000803"),
        (idx_bytes(3, 4, 4, value_type=0x0D), "begins with 00000d03"),
        (idx_bytes(3), "begins with 00000801"),
        (idx_bytes(3, 4, 4, 1), "begins with 00000804"),
        (gzip.compress(idx_bytes(3, 4, 4), mtime=0), "begins with 1f8b"),
        (idx_bytes(3, 4, 4)[:-1], r"gives the shape \(3, 4, 4\), but its size is 63 bytes"),
        (idx_bytes(3, 4, 4) + b"x", r"gives the shape \(3, 4, 4\), but its size is 65 bytes"),
        # in 64-bit integers, the product overflows to 0, which matches the size
        (b"\0\0\x08\x03" + struct.pack(">3I", 2**31, 2**31, 4), "its size is 16 bytes"),
    ],
    ids=str,  # deterministic, as pytest-xdist requires
)
def test_idx_of_another_type_or_shape_is_refused(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "a file").write_bytes(content)
    with pytest.raises(UserError, match=reason) as refused:
        idx.read_idx(tmp_path / "a file", dimensions=3)
    assert str(tmp_path / "a file") in str(refused.value)


def test_an_oversized_idx_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a file"
    path.write_bytes(idx_bytes(SMALL - 8))
    monkeypatch.setattr(idx, "MAX_IDX_BYTES", SMALL)
    assert len(idx.read_idx(path, dimensions=1)) == SMALL - 8
    path.write_bytes(idx_bytes(SMALL - 7))
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("it was read"))
    with pytest.raises(UserError, match=f"has {SMALL + 1} bytes; at most {SMALL} are"):
        idx.read_idx(path, dimensions=1)


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"good")
    pinned = {"good": hashlib.sha256(b"good").hexdigest()}
    checksums.verify_checksums(tmp_path, pinned)
    for content in (b"gopd", b""):
        (tmp_path / "good").write_bytes(content)
        with pytest.raises(UserError, match="good is corrupt"):
            checksums.verify_checksums(tmp_path, pinned)
