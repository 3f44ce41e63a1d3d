"""Remotes of each kind, set up and used by the commands of docs/remotes.md as they stand there."""

import getpass
import hashlib
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from dvc.config_schema import REMOTE_SCHEMAS
from moto.server import ThreadedMotoServer
from support.project import BIN, ROOT, Project, executed_stages

import check

PAGE = (ROOT / "docs" / "remotes.md").read_text(encoding="utf-8")
SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
NO_SSHD = "no sshd; on Debian and Ubuntu: apt-get install openssh-server"
PASSPHRASE, ACCESS_KEY, SECRET_KEY = "correct horse", "AKIAOFADA", "s3cr3t/of+ada"


def blocks(heading: str = "") -> list[str]:
    """The commands under a heading of the page, block by block; by default those above all."""
    [section] = re.findall(
        rf"{f'^## {heading}$' if heading else '^# '}(.*?)^## ", PAGE, re.M | re.S
    )
    return re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)


[MAKE_PRIVATE] = blocks()
[PUSH, PULL, PULL_AND_RUN, STATUS] = blocks("Push and pull")
BRIDGE = ("python", "workflow/scripts/dvc_bridge")
OF_MAKE = {f"make {command}": " ".join((*BRIDGE, command)) for command in ("push", "pull")}
"""What `make` runs; it would look for `.venv` in the checkout."""
OF_REGULARIZED = {"params", "train@regularized-0", "evaluate@regularized-0", "report"}


Files = Mapping[str, Callable[[], bytes]]
"""Files by path, and how to read each."""


@dataclass(frozen=True)
class Store:
    """A remote, and what stands for it on the page."""

    heading: str
    stands_for: Mapping[str, str]
    """What the page has, and what is here."""
    contents: Callable[[], Files]
    typed: str = ""
    """What a person types when asked."""
    private: tuple[str, ...] = ()
    """What must not be in Git."""
    of_ci: Mapping[str, str] = field(default_factory=dict)
    """What CI has in its environment instead of a set-up."""

    def type_in(self, project: Project, commands: str) -> str:
        """Run commands of the page as a person types them, in an activated environment."""
        for shown, real in {**self.stands_for, **OF_MAKE}.items():
            commands = commands.replace(shown, real)
        path = os.pathsep.join([str(BIN), os.environ["PATH"]])
        commands = f'exec <<< "$TYPED"\n{commands}'
        return project.run("bash", "-euc", commands, PATH=path, TYPED=self.typed).stdout

    def set_up_once(self, project: Project) -> None:
        self.type_in(project, blocks(self.heading)[0])

    def set_up_clone(self, project: Project) -> None:
        self.type_in(project, MAKE_PRIVATE + blocks(self.heading)[1])


# A server of each kind


def files_below(folder: Path) -> Files:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes for path in paths}


def folder_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    mounted = tmp_path / "mounted"
    (tmp_path / "store").mkdir()
    mounted.symlink_to(tmp_path / "store")
    return Store(
        heading="A folder",
        stands_for={
            "/srv/team/overfitting": str(tmp_path / "store"),
            "/mnt/team/overfitting": str(mounted),
        },
        contents=lambda: files_below(tmp_path / "store"),
        private=(str(mounted),),
    )


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """OpenSSH's own server on the loopback: its port, and the folder with the homes of users."""
    if not SSHD:
        pytest.skip(NO_SSHD)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # root's sshd insists on it
    folder = tmp_path_factory.mktemp("sshd")
    make_key(folder / "host_key")
    for name, passphrase in (("ada", PASSPHRASE), ("ci", "")):
        make_key(folder / name / ".ssh" / "id_ed25519", passphrase)
    public = [path.read_text() for path in folder.glob("*/.ssh/*.pub")]
    (folder / "authorized_keys").write_text("".join(public))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host_key",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "AuthenticationMethods": "publickey",
        "StrictModes": "no",  # the folder's parents are /tmp
        "UsePAM": "no",
        "PidFile": "none",
        "Subsystem": "sftp internal-sftp",
    }
    config = folder / "sshd_config"
    config.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stderr=log)
    try:
        wait_until(lambda: answers(port) or server.poll() is not None)
        assert server.poll() is None, (folder / "log").read_text()
        yield port, folder
    finally:
        server.terminate()
        server.wait()


def make_key(path: Path, passphrase: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = ["-q", "-t", "ed25519", "-C", path.parent.parent.name]
    subprocess.run(["ssh-keygen", *kind, "-N", passphrase, "-f", path], check=True)


def answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def ssh_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    port, homes = request.getfixturevalue("sshd")
    request.getfixturevalue("monkeypatch").setenv("HOME", str(homes / "ada"))
    return Store(
        heading="A server, by SSH",
        stands_for={
            "store.example.org:22": f"127.0.0.1:{port}",
            "/srv/team/overfitting": str(tmp_path / "store"),
            "user ada": f"user {getpass.getuser()}",
        },
        contents=lambda: files_below(tmp_path / "store"),
        typed=PASSPHRASE,
        private=(PASSPHRASE, str(homes / "ada" / ".ssh" / "id_ed25519")),
        of_ci={"HOME": str(homes / "ci")},
    )


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    """A server with the interface of S3, on the loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def s3_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    address = request.getfixturevalue("s3_address")
    keys = {"aws_access_key_id": "us", "aws_secret_access_key": "us", "region_name": "us-east-1"}
    s3 = boto3.resource("s3", endpoint_url=address, **keys)
    name = hashlib.md5(str(tmp_path).encode()).hexdigest()
    bucket = s3.create_bucket(Bucket=name)
    return Store(
        heading="A bucket, by S3",
        stands_for={
            "https://s3.example.org": address,
            "team-bucket": name,
            "AKIAEXAMPLE": ACCESS_KEY,
        },
        contents=lambda: {
            found.key.removeprefix("overfitting/"): partial(read, found)
            for found in bucket.objects.all()
        },
        typed=SECRET_KEY,
        private=(ACCESS_KEY, SECRET_KEY),
        of_ci={"AWS_ACCESS_KEY_ID": "CI", "AWS_SECRET_ACCESS_KEY": "of CI"},
    )


def read(found: Any) -> bytes:
    return found.get()["Body"].read()


STORES = {"folder": folder_store, "ssh": ssh_store, "s3": s3_store}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty remote of each kind, in an environment that knows nothing of the developer's."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "SSH_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tester@example.org")
    return STORES[request.param](request, tmp_path)


# People


@dataclass(frozen=True)
class Past:
    """A checkout in which other params were trained and put back, and what came of them."""

    project: Project
    metrics: dict[str, dict[str, float]]


def set_other_params(project: Project) -> None:
    project.edit(lambda params: params["models"]["regularized"]["dropout"].update(dense=0.3))


@pytest.fixture(scope="module")
def past(finished_stub_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Past:
    project = finished_stub_project.copy(tmp_path_factory.mktemp("past") / "project")
    set_other_params(project)
    assert executed_stages(project.repro()) == OF_REGULARIZED
    metrics = project.metrics()
    project.git("checkout", "--quiet", ".")
    project.run("dvc", "checkout")
    return Past(project, metrics)


@pytest.fixture
def ada(past: Past, store: Store, tmp_path: Path) -> Project:
    """The checkout of who has set the remote up and committed it; nothing is pushed."""
    project = past.project.copy(tmp_path / "its own 'copy'")
    project.git("init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "origin"))
    project.git("remote", "add", "origin", str(tmp_path / "origin"))
    project.git("config", "push.default", "current")
    store.set_up_once(project)
    store.set_up_clone(project)
    project.git("push", "--quiet")
    return project


def clone(tmp_path: Path, store: Store | None = None, name: str = "bob") -> Project:
    """A clone by somebody else; set up, if they know the remote's secrets."""
    project = Project(tmp_path / name)
    subprocess.run(["git", "clone", "--quiet", tmp_path / "origin", project.folder], check=True)
    if store:
        store.set_up_clone(project)
    return project


def wait_until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def cached(project: Project) -> Files:
    return files_below(project.folder / ".dvc" / "cache")


def named_by_md5(files: Files) -> dict[str, str]:
    """The files of a cache or remote that have their final names, and these, but for notes."""
    matches = [re.fullmatch(r"files/md5/(..)/([0-9a-f]{30})(?:\.dir)?", path) for path in files]
    return {match[0]: match[1] + match[2] for match in matches if match}


def whole(files: Files) -> set[str]:
    """The names of such files, all of which must be of their contents."""
    found = named_by_md5(files)
    assert {path: hashlib.md5(files[path]()).hexdigest() for path in found} == found
    return set(found.values())


def begun(files: Files) -> Files:
    """What is no longer empty.

    To a folder, DVC tries to clone its first file: a kill leaves it empty under its final name.
    DVC trusts no file there that is not write-protected, and sends it again.
    """
    return {path: read for path, read in files.items() if read()}


# What works


def test_nobody_makes_again_what_was_pushed(
    ada: Project, store: Store, past: Past, tmp_path: Path
) -> None:
    """Neither what is committed nor what was put back before; though a kill has left a note."""
    for past_run in (ada.folder / ".dvc" / "cache" / "runs").glob("*/*"):
        (past_run / ".left.tmp").write_text("cmd: pyth")
    store.type_in(ada, PUSH)
    bob = clone(tmp_path, store)
    store.type_in(bob, PULL)
    bob.assert_up_to_date()

    set_other_params(bob)
    pull, snakemake = PULL_AND_RUN.splitlines()
    store.type_in(bob, pull)
    assert whole(cached(bob)) == whole(cached(ada))
    if store.heading == "A folder":  # what arrives is the same from each kind, and this takes long
        carol = bob.copy(tmp_path / "carol")
        assert executed_stages(store.type_in(carol, snakemake)) == {"report"}
        assert carol.metrics() == past.metrics
    assert executed_stages(bob.repro()) == {"report"}
    assert bob.metrics() == past.metrics != ada.metrics()


def test_what_is_interrupted_the_same_command_finishes(
    ada: Project, store: Store, tmp_path: Path
) -> None:
    (ada.folder / "pictures").mkdir()
    for number in range(100):
        (ada.folder / "pictures" / str(number)).write_bytes(os.urandom(30_000))
    ada.run("dvc", "add", "--quiet", "pictures")
    ada.commit()
    ada.git("push", "--quiet")
    sent = whole(cached(ada))
    bob = clone(tmp_path, store)
    early = bob.run("dvc", "pull", check=False)  # nothing was pushed; in CI this ends the job
    assert early.returncode != 0
    assert not cached(bob)

    killed_when(lambda: named_by_md5(store.contents()), ada, *BRIDGE, "push")
    assert whole(begun(store.contents())) <= sent  # all of it, where the kill came late
    store.type_in(ada, PUSH)
    assert whole(store.contents()) == sent

    killed_when(lambda: named_by_md5(cached(bob)), bob, "dvc", "pull")
    assert whole(begun(cached(bob))) <= sent
    store.type_in(bob, PULL)
    assert whole(cached(bob)) < sent  # which has past runs as well
    assert "in sync" in store.type_in(bob, STATUS)
    assert bob.status() == {}


@pytest.mark.parametrize("command", ["push", "pull"])
def test_make_moves_the_run_cache_with_its_files(command: str) -> None:
    make = ["make", "--dry-run", "--no-print-directory", command, "OPTIONS=--remote other"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True)
    asked = f".venv/bin/python workflow/scripts/dvc_bridge {command} --remote other"
    assert done.stdout.splitlines()[-1] == asked


def killed_when(condition: Callable[[], Any], project: Project, *command: str) -> None:
    """Start a command and kill it, with all it has started, as soon as a condition holds."""
    process = subprocess.Popen(
        [BIN / command[0], *command[1:]],
        cwd=project.folder,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(condition)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() in (-signal.SIGKILL, 0)  # on a busy machine it may have ended


@pytest.mark.parametrize("store", ["ssh", "s3"], indirect=True)
def test_ci_needs_only_what_is_in_its_environment(
    ada: Project, store: Store, tmp_path: Path
) -> None:
    ada.run("dvc", "push")
    ci = clone(tmp_path)
    assert ci.run("dvc", "pull", check=False, HOME=str(tmp_path)).returncode != 0
    ci.run("dvc", "pull", check=True, **store.of_ci)
    assert not (ci.folder / ".dvc" / "config.local").exists()
    assert ci.status() == {}


# Secrets


def test_no_secret_is_in_git(ada: Project, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    local = ada.folder / ".dvc" / "config.local"
    for secret in store.private:
        assert secret in local.read_text()
    assert stat.S_IMODE(local.stat().st_mode) == 0o600
    ada.git("add", "--all")
    assert ada.git("status", "--porcelain") == ""
    history = ada.git("log", "--all", "--patch", "--text")
    assert all(real in history for real in list(store.stands_for.values())[:1])
    for secret in store.private:
        assert secret not in history
    monkeypatch.chdir(ada.folder)
    assert check.exposed() == []


@pytest.mark.parametrize("store", ["ssh"], indirect=True)
def test_what_dvc_does_not_check(
    ada: Project, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the page says: neither who can read a key nor who the server is."""
    key = Path(os.environ["HOME"], ".ssh", "id_ed25519")
    other = (key.parents[2] / "ci" / ".ssh" / "id_ed25519.pub").read_text()
    address = store.stands_for["store.example.org:22"].replace("127.0.0.1", "[127.0.0.1]")
    known = key.with_name("known_hosts")
    known.write_text(f"{address} {other}")
    key.chmod(0o640)
    try:
        ada.run("dvc", "push")
        monkeypatch.chdir(ada.folder)
        assert check.exposed() == [f"others can read {key}; `chmod 600 {key}`"]
    finally:
        key.chmod(0o600)
        known.unlink()

    one = next(path for path in (tmp_path / "store" / "files").rglob("*") if path.is_file())
    one.chmod(0o600)
    one.write_bytes(one.read_bytes()[::-1])
    [verify] = re.findall(r"`(dvc remote modify \w+ verify true)`", PAGE)
    bob = clone(tmp_path, store)
    store.type_in(bob, verify)
    assert bob.run("dvc", "pull", check=False).returncode != 0
    assert one.parent.name + one.name not in whole(cached(bob))


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], None]:
    """Write a file of DVC's configuration, which others can read."""
    monkeypatch.chdir(tmp_path)
    Path(".dvc").mkdir()

    def write(file: Path, setting: str) -> None:
        file.write_text(f"[core]\n    remote = store\n['remote \"store\"']\n    {setting}\n")
        file.chmod(0o644)

    return write


@pytest.mark.parametrize(
    "setting",
    [
        "password = a",
        "Secret_Access_Key=a",
        "session_token = a",
        "passphrase = a",
        "url = ssh://ada:a@store.example.org/srv",
    ],
)
def test_a_secret_that_others_can_read_is_found(
    configured: Callable[[Path, str], None], setting: str
) -> None:
    configured(check.PRIVATE, setting)
    assert check.exposed() == [f"others can read {check.PRIVATE}; `chmod 600 {check.PRIVATE}`"]
    check.PRIVATE.chmod(0o600)
    assert check.exposed() == []
    configured(check.SHARED, setting)
    [fault] = check.exposed()
    assert fault.startswith(".dvc/config holds a secret, and Git would share it")


@pytest.mark.parametrize(
    "setting",
    [
        "url = ssh://ada@store.example.org:22/srv",
        "url = https://example.org:8080/a@b",
        "ask_password = true",
        "access_key_id = a",
        "sse_kms_key_id = a",
        "keyfile = not here",
    ],
)
def test_what_is_no_secret_may_be_read(
    configured: Callable[[Path, str], None], setting: str
) -> None:
    for file in (check.SHARED, check.PRIVATE):
        configured(file, setting)
    assert check.exposed() == []


def test_every_secret_that_dvc_knows_is_known() -> None:
    options = {str(key) for schema in REMOTE_SCHEMAS.values() for key in schema}
    assert {option for option in options if check.SECRET.match(f"    {option} = a")} == {
        "account_key",
        "client_secret",
        "connection_string",
        "custom_auth_header",
        "gdrive_client_secret",
        "oss_key_secret",
        "passphrase",
        "password",
        "sas_token",
        "secret_access_key",
        "session_token",
        "sse_customer_key",
        "token",
    }
