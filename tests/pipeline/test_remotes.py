"""Remotes of each kind, set up and used with the exact commands of docs/remotes.md."""

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
    """Return the code blocks under a heading of the page; by default, those before the first."""
    [section] = re.findall(
        rf"{f'^## {heading}$' if heading else '^# '}(.*?)^## ", PAGE, re.M | re.S
    )
    return re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)


[MAKE_PRIVATE] = blocks()
[PUSH, PULL, PULL_AND_RUN, STATUS] = blocks("Push and pull")
BRIDGE = ("python", "workflow/scripts/dvc_bridge")
MAKE_COMMANDS = {f"make {command}": " ".join((*BRIDGE, command)) for command in ("push", "pull")}
"""What `make push` and `make pull` run; `make` itself would need `.venv` in the checkout."""
AFFECTED_STAGES = {"params", "train@regularized-0", "evaluate@regularized-0", "report"}


Files = Mapping[str, Callable[[], bytes]]
"""Functions that read files, by path."""


@dataclass(frozen=True)
class Remote:
    """A remote for tests, and how to adapt the commands on the page to it."""

    heading: str
    """The heading of its section on the page."""
    replacements: Mapping[str, str]
    """Placeholders on the page, and what to replace them with."""
    contents: Callable[[], Files]
    """Returns the files in the remote."""
    typed: str = ""
    """What users type when asked for a secret."""
    private: tuple[str, ...] = ()
    """Settings that must not be committed."""
    ci_environment: Mapping[str, str] = field(default_factory=dict)
    """The environment variables that CI has instead of private settings."""

    def type_in(self, project: Project, commands: str) -> str:
        """Run commands of the page in an activated environment; return their output."""
        for shown, real in {**self.replacements, **MAKE_COMMANDS}.items():
            commands = commands.replace(shown, real)
        path = os.pathsep.join([str(BIN), os.environ["PATH"]])
        commands = f'exec <<< "$TYPED"\n{commands}'
        return project.run("bash", "-euc", commands, PATH=path, TYPED=self.typed).stdout

    def set_up_once(self, project: Project) -> None:
        """Run the commands that one person runs for all."""
        self.type_in(project, blocks(self.heading)[0])

    def set_up_clone(self, project: Project) -> None:
        """Run the commands that everybody runs in their clone."""
        self.type_in(project, MAKE_PRIVATE + blocks(self.heading)[1])


# Remotes of each kind


def files_below(folder: Path) -> Files:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes for path in paths}


def folder_remote(request: pytest.FixtureRequest, tmp_path: Path) -> Remote:
    mounted = tmp_path / "mounted"
    (tmp_path / "store").mkdir()
    mounted.symlink_to(tmp_path / "store")
    return Remote(
        heading="A folder",
        replacements={
            "/srv/team/overfitting": str(tmp_path / "store"),
            "/mnt/team/overfitting": str(mounted),
        },
        contents=lambda: files_below(tmp_path / "store"),
        private=(str(mounted),),
    )


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """An OpenSSH server on the loopback interface: its port, and the folder of home directories."""
    if not SSHD:
        pytest.skip(NO_SSHD)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # required if sshd runs as root
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
        "StrictModes": "no",  # because /tmp is writable for all
        "UsePAM": "no",
        "PidFile": "none",
        "Subsystem": "sftp internal-sftp",
    }
    config = folder / "sshd_config"
    config.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stderr=log)
    try:
        wait_until(lambda: accepts_connections(port) or server.poll() is not None)
        assert server.poll() is None, (folder / "log").read_text()
        yield port, folder
    finally:
        server.terminate()
        server.wait()


def make_key(path: Path, passphrase: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = ["-q", "-t", "ed25519", "-C", path.parent.parent.name]
    subprocess.run(["ssh-keygen", *kind, "-N", passphrase, "-f", path], check=True)


def accepts_connections(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def ssh_remote(request: pytest.FixtureRequest, tmp_path: Path) -> Remote:
    port, homes = request.getfixturevalue("sshd")
    request.getfixturevalue("monkeypatch").setenv("HOME", str(homes / "ada"))
    return Remote(
        heading="A server, by SSH",
        replacements={
            "store.example.org:22": f"127.0.0.1:{port}",
            "/srv/team/overfitting": str(tmp_path / "store"),
            "user ada": f"user {getpass.getuser()}",
        },
        contents=lambda: files_below(tmp_path / "store"),
        typed=PASSPHRASE,
        private=(PASSPHRASE, str(homes / "ada" / ".ssh" / "id_ed25519")),
        ci_environment={"HOME": str(homes / "ci")},
    )


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    """A server with the API of S3 on the loopback interface: its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def s3_remote(request: pytest.FixtureRequest, tmp_path: Path) -> Remote:
    address = request.getfixturevalue("s3_address")
    keys = {"aws_access_key_id": "us", "aws_secret_access_key": "us", "region_name": "us-east-1"}
    s3 = boto3.resource("s3", endpoint_url=address, **keys)
    name = hashlib.md5(str(tmp_path).encode()).hexdigest()
    bucket = s3.create_bucket(Bucket=name)
    return Remote(
        heading="A bucket, by S3",
        replacements={
            "https://s3.example.org": address,
            "team-bucket": name,
            "AKIAEXAMPLE": ACCESS_KEY,
        },
        contents=lambda: {
            item.key.removeprefix("overfitting/"): partial(read_object, item)
            for item in bucket.objects.all()
        },
        typed=SECRET_KEY,
        private=(ACCESS_KEY, SECRET_KEY),
        ci_environment={"AWS_ACCESS_KEY_ID": "CI", "AWS_SECRET_ACCESS_KEY": "of CI"},
    )


def read_object(item: Any) -> bytes:
    return item.get()["Body"].read()


REMOTES = {"folder": folder_remote, "ssh": ssh_remote, "s3": s3_remote}


@pytest.fixture(params=REMOTES)
def remote(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Remote:
    """An empty remote of each kind; the settings of the developer who runs the tests are hidden."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "SSH_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tester@example.org")
    return REMOTES[request.param](request, tmp_path)


# Clones of several users


@dataclass(frozen=True)
class EarlierRun:
    """A checkout with a run of other params in DVC's run cache, which are no longer in effect."""

    project: Project
    metrics: dict[str, dict[str, float]]
    """The metrics of the earlier run."""


def set_other_params(project: Project) -> None:
    project.edit(lambda params: params["models"]["regularized"]["dropout"].update(dense=0.3))


@pytest.fixture(scope="module")
def earlier_run(
    finished_stub_project: Project, tmp_path_factory: pytest.TempPathFactory
) -> EarlierRun:
    project = finished_stub_project.copy(tmp_path_factory.mktemp("earlier") / "project")
    set_other_params(project)
    assert executed_stages(project.repro()) == AFFECTED_STAGES
    metrics = project.metrics()
    project.git("checkout", "--quiet", ".")
    project.run("dvc", "checkout")
    return EarlierRun(project, metrics)


@pytest.fixture
def ada(earlier_run: EarlierRun, remote: Remote, tmp_path: Path) -> Project:
    """The checkout of Ada, who has set up the remote and committed it, but has not pushed data."""
    project = earlier_run.project.copy(tmp_path / "its own 'copy'")
    project.git("init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "origin"))
    project.git("remote", "add", "origin", str(tmp_path / "origin"))
    project.git("config", "push.default", "current")
    remote.set_up_once(project)
    remote.set_up_clone(project)
    project.git("push", "--quiet")
    return project


def clone(tmp_path: Path, remote: Remote | None = None, name: str = "bob") -> Project:
    """Clone Ada's repository for another user, and set up the remote if one is given."""
    project = Project(tmp_path / name)
    subprocess.run(["git", "clone", "--quiet", tmp_path / "origin", project.folder], check=True)
    if remote:
        remote.set_up_clone(project)
    return project


def wait_until(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Wait for a condition, which is checked more often than by `support.processes`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"timed out after {seconds} s"
        time.sleep(0.005)


def cached(project: Project) -> Files:
    return files_below(project.folder / ".dvc" / "cache")


def named_by_md5(files: Files) -> dict[str, str]:
    """Return the MD5 checksums in the names of the files of a cache or remote, by path.

    Files with temporary names are left out, and so is the run cache.
    """
    matches = [re.fullmatch(r"files/md5/(..)/([0-9a-f]{30})(?:\.dir)?", path) for path in files]
    return {match[0]: match[1] + match[2] for match in matches if match}


def verified(files: Files) -> set[str]:
    """Assert that these files match the checksums in their names, and return the checksums."""
    names = named_by_md5(files)
    assert {path: hashlib.md5(files[path]()).hexdigest() for path in names} == names
    return set(names.values())


def not_empty(files: Files) -> Files:
    """Return the files that are not empty.

    When DVC pushes to a folder, it first tries to make a reflink of one file. If it is killed in
    between, an empty file with a final name is left. DVC does not trust files there that are not
    write-protected, so it sends this one again.
    """
    return {path: read for path, read in files.items() if read()}


# Pushing and pulling


def test_nobody_has_to_rerun_what_was_pushed(
    ada: Project, remote: Remote, earlier_run: EarlierRun, tmp_path: Path
) -> None:
    """Neither the committed run nor the earlier one, even with a partial entry in the run cache."""
    for entry in (ada.folder / ".dvc" / "cache" / "runs").glob("*/*"):
        (entry / ".left.tmp").write_text("cmd: pyth")
    remote.type_in(ada, PUSH)
    bob = clone(tmp_path, remote)
    remote.type_in(bob, PULL)
    bob.assert_up_to_date()

    set_other_params(bob)
    pull, snakemake = PULL_AND_RUN.splitlines()
    remote.type_in(bob, pull)
    assert verified(cached(bob)) == verified(cached(ada))
    if remote.heading == "A folder":  # slow, and the same for all kinds
        carol = bob.copy(tmp_path / "carol")
        assert executed_stages(remote.type_in(carol, snakemake)) == {"report"}
        assert carol.metrics() == earlier_run.metrics
    assert executed_stages(bob.repro()) == {"report"}
    assert bob.metrics() == earlier_run.metrics != ada.metrics()


def test_a_killed_transfer_is_finished_by_the_same_command(
    ada: Project, remote: Remote, tmp_path: Path
) -> None:
    (ada.folder / "pictures").mkdir()
    for number in range(100):
        (ada.folder / "pictures" / str(number)).write_bytes(os.urandom(30_000))
    ada.run("dvc", "add", "--quiet", "pictures")
    ada.commit()
    ada.git("push", "--quiet")
    expected = verified(cached(ada))
    bob = clone(tmp_path, remote)
    done = bob.run("dvc", "pull", check=False)  # nothing was pushed; in CI the job would fail
    assert done.returncode != 0
    assert not cached(bob)

    kill_when(lambda: named_by_md5(remote.contents()), ada, *BRIDGE, "push")
    assert verified(not_empty(remote.contents())) <= expected  # equal if the kill came too late
    remote.type_in(ada, PUSH)
    assert verified(remote.contents()) == expected

    kill_when(lambda: named_by_md5(cached(bob)), bob, "dvc", "pull")
    assert verified(not_empty(cached(bob))) <= expected
    remote.type_in(bob, PULL)
    assert verified(cached(bob)) < expected  # which has the earlier run, too
    assert "in sync" in remote.type_in(bob, STATUS)
    assert bob.status() == {}


@pytest.mark.parametrize("command", ["push", "pull"])
def test_make_pushes_and_pulls_with_the_bridge(command: str) -> None:
    make = ["make", "--dry-run", "--no-print-directory", command, "OPTIONS=--remote other"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True)
    expected = f".venv/bin/python workflow/scripts/dvc_bridge {command} --remote other"
    assert done.stdout.splitlines()[-1] == expected


def kill_when(condition: Callable[[], Any], project: Project, *command: str) -> None:
    """Start a command and kill its process group as soon as a condition is true."""
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
    assert process.wait() in (-signal.SIGKILL, 0)  # 0 if it finished first


@pytest.mark.parametrize("remote", ["ssh", "s3"], indirect=True)
def test_ci_needs_only_environment_variables(ada: Project, remote: Remote, tmp_path: Path) -> None:
    ada.run("dvc", "push")
    ci = clone(tmp_path)
    assert ci.run("dvc", "pull", check=False, HOME=str(tmp_path)).returncode != 0
    ci.run("dvc", "pull", check=True, **remote.ci_environment)
    assert not (ci.folder / ".dvc" / "config.local").exists()
    assert ci.status() == {}


# Secrets


def test_no_secret_is_committed(
    ada: Project, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = ada.folder / ".dvc" / "config.local"
    for secret in remote.private:
        assert secret in local.read_text()
    assert stat.S_IMODE(local.stat().st_mode) == 0o600
    ada.git("add", "--all")
    assert ada.git("status", "--porcelain") == ""
    history = ada.git("log", "--all", "--patch", "--text")
    assert all(real in history for real in list(remote.replacements.values())[:1])
    for secret in remote.private:
        assert secret not in history
    monkeypatch.chdir(ada.folder)
    assert check.exposed_secrets() == []


@pytest.mark.parametrize("remote", ["ssh"], indirect=True)
def test_what_dvc_does_not_check(
    ada: Project, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As documented on the page: the permissions of a key, and the identity of the server."""
    key = Path(os.environ["HOME"], ".ssh", "id_ed25519")
    other = (key.parents[2] / "ci" / ".ssh" / "id_ed25519.pub").read_text()
    address = remote.replacements["store.example.org:22"].replace("127.0.0.1", "[127.0.0.1]")
    known = key.with_name("known_hosts")
    known.write_text(f"{address} {other}")
    key.chmod(0o640)
    try:
        ada.run("dvc", "push")
        monkeypatch.chdir(ada.folder)
        assert check.exposed_secrets() == [f"others can read {key}; `chmod 600 {key}`"]
    finally:
        key.chmod(0o600)
        known.unlink()

    file = next(path for path in (tmp_path / "store" / "files").rglob("*") if path.is_file())
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[::-1])
    [verify] = re.findall(r"`(dvc remote modify \w+ verify true)`", PAGE)
    bob = clone(tmp_path, remote)
    remote.type_in(bob, verify)
    assert bob.run("dvc", "pull", check=False).returncode != 0
    assert file.parent.name + file.name not in verified(cached(bob))


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], None]:
    """Return a function that writes a configuration file of DVC which others can read."""
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
def test_a_secret_that_others_can_read_is_reported(
    configured: Callable[[Path, str], None], setting: str
) -> None:
    configured(check.PRIVATE, setting)
    assert check.exposed_secrets() == [
        f"others can read {check.PRIVATE}; `chmod 600 {check.PRIVATE}`"
    ]
    check.PRIVATE.chmod(0o600)
    assert check.exposed_secrets() == []
    configured(check.SHARED, setting)
    [fault] = check.exposed_secrets()
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
def test_settings_that_are_not_secret_may_be_read(
    configured: Callable[[Path, str], None], setting: str
) -> None:
    for file in (check.SHARED, check.PRIVATE):
        configured(file, setting)
    assert check.exposed_secrets() == []


def test_every_secret_option_of_dvc_is_recognized() -> None:
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
