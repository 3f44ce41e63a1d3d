"""What DVC does not survive is put right before it starts, whichever command comes next."""

import sys
from pathlib import Path

import pytest
import zc.lockfile
from conftest import ROOT, Project, ran
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import parse_yaml

from overfitting import before_dvc

STAGE = "  {name}:\n    cmd: python {name}.py\n    outs:\n    - path: {name}.txt\n      size: 7\n"
LOCK = "schema: '2.0'\nstages:\n" + "".join(STAGE.format(name=name) for name in ("a", "b@x-0", "c"))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / "reports").mkdir()
    return tmp_path


def test_a_cut_at_any_byte_keeps_the_whole_stages(checkout: Path) -> None:
    lock = checkout / "dvc.lock"
    for length in range(len(LOCK) + 1):
        cut = LOCK[:length]
        lock.write_text(cut)
        before_dvc.prepare(checkout / "reports")
        kept = lock.read_text() if lock.exists() else ""
        if kept:
            COMPILED_LOCKFILE_SCHEMA(parse_yaml(kept, "dvc.lock"))  # DVC reads it
        if cut.endswith("\n") and not cut.endswith(":\n"):
            assert kept == cut
            continue
        starts = [cut.find(f"  {name}:") for name in ("a", "b@x-0", "c")]
        last = max(starts)
        assert kept == (cut[:last] if last > starts[0] else "")
    assert list(checkout.glob(".*lock*")) == []


def test_a_lock_that_is_being_written_is_left_alone(checkout: Path) -> None:
    (checkout / "dvc.lock").write_text(LOCK[:50])
    held = zc.lockfile.SimpleLockFile(str(checkout / ".dvc" / "tmp" / "lock"))
    before_dvc.prepare(checkout)
    assert (checkout / "dvc.lock").read_text() == LOCK[:50]
    held.close()
    before_dvc.prepare(checkout)
    assert not (checkout / "dvc.lock").exists()  # no stage in it was whole


def test_what_is_no_lock_is_left_alone(checkout: Path) -> None:
    before_dvc.prepare(checkout)  # none
    (checkout / "dvc.lock").mkdir()
    before_dvc.prepare(checkout)
    assert (checkout / "dvc.lock").is_dir()


@pytest.mark.parametrize("content", ["", '{"write": {"a": {"pid": 1', "\0" * 10])
def test_a_cut_off_list_of_readers_and_writers_is_forgotten(checkout: Path, content: str) -> None:
    held, guard = (checkout / ".dvc" / "tmp" / name for name in ("rwlock", "rwlock.lock"))
    held.write_text(content)
    writing = zc.lockfile.SimpleLockFile(str(guard))
    before_dvc.prepare(checkout)
    assert held.read_text() == content  # a living DVC is writing it
    writing.close()
    before_dvc.prepare(checkout)
    assert not held.exists()
    held.write_text('{"write": {}, "read": {}}')
    before_dvc.prepare(checkout)
    assert held.exists()


def test_python_mends_it_when_it_starts_as_dvc(checkout: Path) -> None:
    """The lines of environment.pth, in the order in which Python runs them."""
    lines = (ROOT / "workflow" / "environment.pth").read_text().splitlines()
    code = [line for line in lines if not line.startswith("#")]
    assert all(line.startswith("import ") for line in code)  # no other line runs
    project = Project(checkout)
    for command, mended in (
        (["/somewhere/bin/dvc", "repro"], True),
        (["-m", "dvc", "status"], True),
        (["-m", "pytest"], False),
        (["/somewhere/bin/snakemake"], False),  # its Snakefile mends
        ([], False),
    ):
        (checkout / "dvc.lock").write_text(LOCK[:-4])
        pretended = (
            f"import sys; sys.orig_argv[1:] = {command}; sys.prefix = {str(ROOT / 'tests')!r}"
        )
        project.run(sys.executable, "-S", "-c", "\n".join(_with_packages([pretended, *code])))
        assert ((checkout / "dvc.lock").read_text() != LOCK[:-4]) == mended, command


def _with_packages(lines: list[str]) -> list[str]:
    """Run without .pth files, but with the packages of this Python."""
    packages = Path(zc.lockfile.__file__).parents[2]
    return [f"import sys; sys.path.append({str(packages)!r})", *lines]


@pytest.mark.parametrize(
    ("command", "left"), [(("dvc", "repro"), 0.6), (("snakemake", "--cores", "4"), 0.0)]
)
def test_either_engine_goes_on_after_it_without_training_anything(
    quick: Project, command: tuple[str, ...], left: float
) -> None:
    lock = quick.folder / "dvc.lock"
    whole = lock.read_text()
    cut = whole[: int(left * len(whole))]
    lock.write_text(cut.rstrip("\n"))
    said = quick.run(*command).stdout
    assert "dvc.lock was cut off when a run was killed" in said
    assert ran(said) <= {"download", "report"}  # which keep right files, and take seconds
    assert "Traceback" not in said
    quick.snakemake()
    assert lock.read_text() == whole
    quick.assert_up_to_date()


@pytest.mark.parametrize("command", [("dvc", "repro"), ("dvc", "status"), ("snakemake", "-n")])
def test_params_of_100_megabytes_are_refused_unread(
    quick: Project, command: tuple[str, ...]
) -> None:
    with (quick.folder / "params.yaml").open("ab") as file:
        file.truncate(100 * 2**20)  # takes no room, but would when read
    done = quick.run(*command, check=False)
    assert done.returncode == 1
    [error] = [line for line in done.stdout.splitlines() if "error" in line.lower()]
    assert error == f"error: params.yaml has {100 * 2**20} bytes; more than {2**20} are not read"


def test_a_list_of_readers_and_writers_that_was_cut_off_stops_nobody(quick: Project) -> None:
    rwlock = quick.folder / ".dvc" / "tmp" / "rwlock"
    for command in (("dvc", "repro"), ("snakemake", "--cores", "4")):
        rwlock.write_text('{"read": {"/some')
        quick.run(*command)
        quick.assert_up_to_date()
