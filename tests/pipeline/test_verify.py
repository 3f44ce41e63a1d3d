"""A changed byte in any file that DVC keeps: found and named, and no stage computes with it."""

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
from dvc_bridge.repository import open_to_look
from overfitting.common.errors import UserError
from overfitting.common.files import read_record, write_record

SUBSETS = [f"data/subset/{name}.npz" for name in ("train", "test", "whole_test")]
RAW = "data/raw/train-images-idx3-ubyte"
WEIGHTS = "models/baseline/0.weights.h5"
RESULTS = "results/baseline/0"


def subset_again() -> None:
    subset.main(["data/SHA256SUMS", "data/raw", *(f"again-{Path(path).name}" for path in SUBSETS)])


def train_again() -> None:
    train.main(["baseline", "0", SUBSETS[0], "again.weights.h5", "again.json"])


def evaluate_again() -> None:
    evaluate.main(
        [
            *("baseline", "0", *SUBSETS, "data/corrupted.npz", WEIGHTS),
            *(f"{RESULTS}/training.json", "again.json", "again-1.npz", "again-2.npz"),
        ]
    )


def report_again() -> None:
    report.main(
        [
            *("results", *SUBSETS[:2], "data/corrupted.npz", "data/SHA256SUMS"),
            *("workflow/templates", "again"),
        ]
    )


READERS: dict[str, list[Callable[[], None]]] = {
    RAW: [subset_again],
    SUBSETS[0]: [train_again, evaluate_again],
    SUBSETS[1]: [evaluate_again],
    SUBSETS[2]: [evaluate_again],
    "data/corrupted.npz": [evaluate_again],
    WEIGHTS: [evaluate_again],
    f"{RESULTS}/training.json": [evaluate_again, report_again],
    f"{RESULTS}/evaluation.json": [report_again],
    f"{RESULTS}/predictions.npz": [report_again],
    "results/regularized/0/augmented.npz": [report_again],  # baseline sees the images as they are
    "reports/metrics.json": [],
    "reports/figures/curves.svg": [],
}


@pytest.fixture(scope="module")
def kept(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished project; each test leaves it as it was."""
    return finished_project.copy(tmp_path_factory.mktemp("verify") / "its own").folder


@pytest.fixture
def inside(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kept)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", f"{kept}.site-cache")


class Flipped:
    """A file with one bit turned over, at the same time and of the same size, for a while."""

    def __init__(self, path: Path, position: int):
        self.path, self.position = path, position

    def __enter__(self) -> None:
        self.kept = Path("kept")
        shutil.copy2(self.path, self.kept)
        before = self.path.stat()
        self.path.chmod(0o644)
        content = bytearray(self.path.read_bytes())
        content[self.position] ^= 1
        self.path.write_bytes(content)
        os.utime(self.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.path.chmod(before.st_mode)

    def __exit__(self, *_: object) -> None:
        self.kept.replace(self.path)


def faults(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What `make verify` finds."""
    capsys.readouterr()
    try:
        status = integrity.verify(Path.cwd())
    except BridgeError as error:
        return [str(error)]
    found = [line for line in capsys.readouterr().out.splitlines() if "DIFFERS" in line]
    assert status == bool(found)
    return found


def middle(path: str) -> int:
    """Where a file has a byte that matters: of arrays, in the middle of the first."""
    if path.endswith(".npz"):
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()[0].file_size // 2
    return Path(path).stat().st_size // 2


in_the_project = pytest.mark.usefixtures("inside")


@in_the_project
def test_nothing_is_found_where_nothing_is_damaged(capsys: pytest.CaptureFixture[str]) -> None:
    assert faults(capsys) == []


@in_the_project
@pytest.mark.parametrize("path", READERS)
def test_a_changed_byte_is_found_and_not_computed_with(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Flipped(Path(path), middle(path)):
        # DVC sees it as well where it had not looked at this file before: a line about dvc.lock.
        [found] = [line for line in faults(capsys) if not line.startswith("DIFFERS  dvc.lock: ")]
        assert found.startswith(f"DIFFERS  files: {path} is not what dvc.lock records; remove it")
        for reader in READERS[path]:
            with pytest.raises(UserError, match=r"is corrupt.*`make verify` says what to do"):
                reader()
    assert not list(Path().glob("again*"))


@in_the_project
def test_a_changed_byte_in_the_cache_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    for out in open_to_look(Path.cwd()).index.outs:
        md5 = out.hash_info.value
        copy = Path(".dvc/cache/files/md5", md5[:2], md5[2:])
        if copy.exists():
            break
    with Flipped(copy, middle(str(copy))):
        [found] = faults(capsys)
    assert found.startswith("DIFFERS  DVC's cache: ")
    assert str(copy) in found and f"({out.def_path})" in found


@in_the_project
def test_what_no_commit_here_records_is_verified_too(capsys: pytest.CaptureFixture[str]) -> None:
    other = Path(".dvc/cache/files/md5/ab/cdef0123456789abcdef0123456789")
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"from another branch, damaged")
    [found] = faults(capsys)
    assert str(other) in found
    other.unlink()


@in_the_project
def test_a_changed_byte_in_dvc_lock_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    lock = Path("dvc.lock")
    content = lock.read_bytes()
    for place in places_of_each_kind(content.decode()):
        with Flipped(lock, place):
            line = content[:place].count(b"\n") + 1
            found = " ".join(faults(capsys))
            assert found, f"line {line}: {content.splitlines()[line - 1]!r} changed, not found"
            assert "dvc.lock" in found
            assert "`git checkout HEAD dvc.lock`" in found or "run `snakemake --cores 4`" in found


def places_of_each_kind(text: str) -> list[int]:
    """For each kind of line in a dvc.lock a place in its key, and one in what follows it."""
    kinds = ["schema", "cmd", "path", "hash", "md5", "size", "nfiles", "a param", "a name"]
    lines: dict[str, list[re.Match[str]]] = {}
    for line in re.finditer(r"^ *(?:- )?(?P<key>[^:\n]+):(?: (?P<value>.+))?$", text, flags=re.M):
        kind = line["key"] if line["key"] in kinds else "a param"
        lines.setdefault(kind if line["value"] else "a name", []).append(line)
    assert set(lines) == set(kinds)
    chance = random.Random(0)
    chosen = [chance.choice(lines[key]) for key in lines]
    parts = [line.span(part) for line in chosen for part in ("key", "value") if line[part]]
    return [chance.randrange(*part) for part in parts]


def test_the_advice_fixes_what_was_found(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    copies = [Path(WEIGHTS)]
    outs = open_to_look(project.folder).index.outs
    [md5] = [out.hash_info.value for out in outs if out.def_path == WEIGHTS]
    copies.append(Path(".dvc/cache/files/md5", md5[:2], md5[2:]))
    before = copies[0].read_bytes()
    for copy in copies:
        mode = copy.stat().st_mode
        copy.chmod(0o644)
        copy.write_bytes(b"damaged")
        copy.chmod(mode)  # DVC trusts what nobody may write to
    output = project.run("python", "workflow/scripts/dvc_bridge", "verify", check=False).stdout
    for copy in copies:
        assert f": {copy} is " in output.replace(f"{project.folder}/", "")
        copy.unlink()
    project.snakemake()
    assert [copy.read_bytes() for copy in copies] == [before] * 2
    assert "DIFFERS" not in project.run("python", "workflow/scripts/dvc_bridge", "verify").stdout


def test_a_record_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record = {"accuracy": 0.1 + 0.2, "é": [1, None, {"b": 2, "a": "x"}]}
    write_record(path, record)
    assert read_record(path) == record
    content = path.read_bytes()
    for place in range(len(content) - 1):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            assert read_record(path) == record  # white space, or 0.3 written another way
        except UserError as error:
            assert str(error) == f"{path} is corrupt; `make verify` says what to do"
    with pytest.raises(ValueError, match="JSON"):
        write_record(path, {"loss": float("nan")})
    for other in ("[]", "{}", "3", "", "[" * 100_000):
        path.write_text(other)
        with pytest.raises(UserError, match="is corrupt"):
            read_record(path)
