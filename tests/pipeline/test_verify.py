"""`make verify` finds a changed byte in any file that DVC tracks, and no stage reads the file."""

import os
import random
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.project import Project

import evaluate
import report
import subset
import train
from dvc_bridge import integrity
from dvc_bridge.errors import BridgeError
from dvc_bridge.repository import open_read_only
from overfitting.common.errors import UserError
from overfitting.common.files import read_record, write_record

SUBSETS = [f"data/subset/{name}.npz" for name in ("train", "test", "whole_test")]
RAW = "data/raw/train-images-idx3-ubyte"
WEIGHTS = "models/baseline/0.weights.h5"
RESULTS = "results/baseline/0"


def rerun_subset() -> None:
    subset.main(["data/SHA256SUMS", "data/raw", *(f"rerun-{Path(path).name}" for path in SUBSETS)])


def rerun_train() -> None:
    train.main(["baseline", "0", SUBSETS[0], "rerun.weights.h5", "rerun.json"])


def rerun_evaluate() -> None:
    evaluate.main(
        [
            *("baseline", "0", *SUBSETS, "data/corrupted.npz", WEIGHTS),
            *(f"{RESULTS}/training.json", "rerun.json", "rerun-1.npz", "rerun-2.npz"),
        ]
    )


def rerun_report() -> None:
    report.main(
        [
            *("results", *SUBSETS[:2], "data/corrupted.npz", "data/SHA256SUMS"),
            *("workflow/templates", "rerun"),
        ]
    )


READERS: dict[str, list[Callable[[], None]]] = {
    RAW: [rerun_subset],
    SUBSETS[0]: [rerun_train, rerun_evaluate],
    SUBSETS[1]: [rerun_evaluate],
    SUBSETS[2]: [rerun_evaluate],
    "data/corrupted.npz": [rerun_evaluate],
    WEIGHTS: [rerun_evaluate],
    f"{RESULTS}/training.json": [rerun_evaluate, rerun_report],
    f"{RESULTS}/evaluation.json": [rerun_report],
    f"{RESULTS}/predictions.npz": [rerun_report],
    "results/regularized/0/augmented.npz": [rerun_report],  # baseline has no augmentation
    "reports/metrics.json": [],
    "reports/figures/curves.svg": [],
}


@pytest.fixture(scope="module")
def copied(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a copy of the finished project, which each test leaves unchanged."""
    return finished_project.copy(tmp_path_factory.mktemp("verify") / "its own").folder


@pytest.fixture
def in_project(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copied)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", f"{copied}.site-cache")


class FlippedBit:
    """A context manager that flips a bit of a file, without changing its size and times."""

    def __init__(self, path: Path, position: int):
        self.path, self.position = path, position

    def __enter__(self) -> None:
        self.backup = Path("backup")
        shutil.copy2(self.path, self.backup)
        before = self.path.stat()
        self.path.chmod(0o644)
        content = bytearray(self.path.read_bytes())
        content[self.position] ^= 1
        self.path.write_bytes(content)
        os.utime(self.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.path.chmod(before.st_mode)

    def __exit__(self, *_: object) -> None:
        self.backup.replace(self.path)


def faults(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the faults that `make verify` reports."""
    capsys.readouterr()
    try:
        status = integrity.verify(Path.cwd())
    except BridgeError as error:
        return [str(error)]
    lines = [line for line in capsys.readouterr().out.splitlines() if "DIFFERS" in line]
    assert status == bool(lines)
    return lines


def middle(path: str) -> int:
    """Return the position of a byte of content; in a file of arrays, of the first array."""
    if path.endswith(".npz"):
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()[0].file_size // 2
    return Path(path).stat().st_size // 2


in_the_project = pytest.mark.usefixtures("in_project")


@in_the_project
def test_intact_files_have_no_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert faults(capsys) == []


@in_the_project
@pytest.mark.parametrize("path", READERS)
def test_a_changed_byte_is_reported_and_no_stage_reads_the_file(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FlippedBit(Path(path), middle(path)):
        # If DVC has not cached the checksum of this file, there is another line, about dvc.lock.
        [fault] = [line for line in faults(capsys) if not line.startswith("DIFFERS  dvc.lock: ")]
        assert fault.startswith(f"DIFFERS  files: {path} is not what dvc.lock records; remove it")
        for reader in READERS[path]:
            with pytest.raises(UserError, match=r"is corrupt.*`make verify` says what to do"):
                reader()
    assert not list(Path().glob("rerun*"))


@in_the_project
def test_a_changed_byte_in_the_cache_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    for out in open_read_only(Path.cwd()).index.outs:
        md5 = out.hash_info.value
        copy = Path(".dvc/cache/files/md5", md5[:2], md5[2:])
        if copy.exists():
            break
    with FlippedBit(copy, middle(str(copy))):
        [fault] = faults(capsys)
    assert fault.startswith("DIFFERS  DVC's cache: ")
    assert str(copy) in fault and f"({out.def_path})" in fault


@in_the_project
def test_cached_files_of_other_branches_are_verified(capsys: pytest.CaptureFixture[str]) -> None:
    other = Path(".dvc/cache/files/md5/ab/cdef0123456789abcdef0123456789")
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"corrupt file of another branch")
    [fault] = faults(capsys)
    assert str(other) in fault
    other.unlink()


@in_the_project
def test_a_changed_byte_in_dvc_lock_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    lock = Path("dvc.lock")
    content = lock.read_bytes()
    for position in positions_of_each_kind(content.decode()):
        with FlippedBit(lock, position):
            line = content[:position].count(b"\n") + 1
            reported = " ".join(faults(capsys))
            assert reported, f"line {line}: change of {content.splitlines()[line - 1]!r} not found"
            assert "dvc.lock" in reported
            assert (
                "`git checkout HEAD dvc.lock`" in reported
                or "run `snakemake --cores 4`" in reported
            )


def positions_of_each_kind(text: str) -> list[int]:
    """Return, for each kind of line in dvc.lock, random positions in its key and in its value."""
    kinds = ["schema", "cmd", "path", "hash", "md5", "size", "nfiles", "a param", "a name"]
    lines: dict[str, list[re.Match[str]]] = {}
    for line in re.finditer(r"^ *(?:- )?(?P<key>[^:\n]+):(?: (?P<value>.+))?$", text, flags=re.M):
        kind = line["key"] if line["key"] in kinds else "a param"
        lines.setdefault(kind if line["value"] else "a name", []).append(line)
    assert set(lines) == set(kinds)
    rng = random.Random(0)
    chosen = [rng.choice(lines[key]) for key in lines]
    parts = [line.span(part) for line in chosen for part in ("key", "value") if line[part]]
    return [rng.randrange(*part) for part in parts]


def test_the_advice_fixes_the_faults(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    copies = [Path(WEIGHTS)]
    outs = open_read_only(project.folder).index.outs
    [md5] = [out.hash_info.value for out in outs if out.def_path == WEIGHTS]
    copies.append(Path(".dvc/cache/files/md5", md5[:2], md5[2:]))
    before = copies[0].read_bytes()
    for copy in copies:
        mode = copy.stat().st_mode
        copy.chmod(0o644)
        copy.write_bytes(b"corrupt")
        copy.chmod(mode)  # DVC trusts files that are write-protected
    output = project.run("python", "workflow/scripts/dvc_bridge", "verify", check=False).stdout
    for copy in copies:
        assert f": {copy} is " in output.replace(f"{project.folder}/", "")
        copy.unlink()
    project.snakemake()
    assert [copy.read_bytes() for copy in copies] == [before] * 2
    assert "DIFFERS" not in project.run("python", "workflow/scripts/dvc_bridge", "verify").stdout


def test_a_modified_record_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record = {"accuracy": 0.1 + 0.2, "é": [1, None, {"b": 2, "a": "x"}]}
    write_record(path, record)
    assert read_record(path) == record
    content = path.read_bytes()
    for i in range(len(content) - 1):
        path.write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        try:
            assert read_record(path) == record  # only whitespace or notation changed
        except UserError as error:
            assert str(error) == f"{path} is corrupt; `make verify` says what to do"
    with pytest.raises(ValueError, match="JSON"):
        write_record(path, {"loss": float("nan")})
    for other in ("[]", "{}", "3", "", "[" * 100_000):
        path.write_text(other)
        with pytest.raises(UserError, match="is corrupt"):
            read_record(path)
