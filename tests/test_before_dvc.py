"""What DVC does not survive is put right before it starts, whichever command comes next."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import zc.lockfile
from conftest import ROOT, Project, ran
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import parse_yaml

from overfitting import before_dvc, console, one_run, params

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


def test_what_is_written_twice_is_the_same() -> None:
    assert before_dvc.LARGEST_PARAMS == params.LARGEST  # no import where each command would feel it
    assert before_dvc.SNAKEMAKE_PID == console.SNAKEMAKE_PID


def test_what_is_no_lock_is_left_alone(checkout: Path) -> None:
    before_dvc.prepare(checkout)  # none
    (checkout / "dvc.lock").mkdir()
    before_dvc.prepare(checkout)
    assert (checkout / "dvc.lock").is_dir()


SLEEPS = "import sys, time; print(flush=True); time.sleep(60)"


@contextmanager
def living(*arguments: str) -> Iterator[int]:
    """A process that sleeps, called with some arguments."""
    command = [sys.executable, "-c", SLEEPS, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        yield process.pid
        process.kill()


@contextmanager
def dead_but_for_its_number() -> Iterator[int]:
    """A DVC that was killed and that nobody has asked for: a zombie."""
    with subprocess.Popen([sys.executable, "-c", SLEEPS, "dvc"]) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ask, and let it be
        yield process.pid


def test_who_reads_and_writes_is_forgotten_with_its_last_process(checkout: Path) -> None:
    held = checkout / ".dvc" / "tmp" / "rwlock"
    with living("dvc", "repro") as dvc, living() as other, dead_but_for_its_number() as dead:
        assert psutil.pid_exists(dead)  # as DVC asks
        for pids, forgotten in [
            ([], False),
            ([other], True),  # another program has the number now
            ([dead], True),
            ([os.getpid()], True),
            ([dvc], False),
            ([dead, dvc], False),
        ]:
            for kind in ("read", "write"):
                entries = [{"pid": pid, "cmd": "dvc repro"} for pid in pids]
                by_path: dict[str, Any] = {f"/{entry['pid']}": entry for entry in entries}
                if kind == "read":
                    by_path = {"/data": entries}
                held.write_text(json.dumps({kind: by_path}))
                before_dvc.prepare(checkout)
                assert held.exists() != forgotten, (kind, pids)


@pytest.mark.parametrize("content", ["", '{"write": {"a": {"pid": 1', "\0" * 10, "[3]"])
def test_a_cut_off_list_of_readers_and_writers_is_forgotten(checkout: Path, content: str) -> None:
    held, guard = (checkout / ".dvc" / "tmp" / name for name in ("rwlock", "rwlock.lock"))
    held.write_text(content)
    writing = zc.lockfile.SimpleLockFile(str(guard))
    before_dvc.prepare(checkout)
    assert held.read_text() == content  # a living DVC is writing it
    writing.close()
    before_dvc.prepare(checkout)
    assert not held.exists()


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


@pytest.mark.parametrize("command", [("dvc", "repro"), ("snakemake", "-n")])
def test_a_lock_that_cannot_be_had_is_named(quick: Project, command: tuple[str, ...]) -> None:
    lock = quick.folder / one_run.LOCK
    lock.unlink()
    lock.mkdir()
    done = quick.run(*command, check=False)
    assert done.returncode == 1
    [error] = [line for line in done.stdout.splitlines() if "error" in line.lower()]
    assert error.startswith("error: ") and str(one_run.LOCK) in error
    lock.rmdir()
    quick.run(*command)


def test_a_list_of_readers_and_writers_of_a_killed_run_stops_nobody(quick: Project) -> None:
    rwlock = quick.folder / ".dvc" / "tmp" / "rwlock"
    reports = str(quick.folder / "reports" / "report.md")
    with dead_but_for_its_number() as dead:
        for command in (("dvc", "repro"), ("snakemake", "--cores", "4")):
            for content in (
                '{"read": {"/some',
                json.dumps({"write": {reports: {"pid": dead, "cmd": "dvc repro"}}}),
            ):
                rwlock.write_text(content)
                quick.run(*command)
        quick.assert_up_to_date()
