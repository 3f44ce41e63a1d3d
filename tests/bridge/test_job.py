"""A job of Snakemake is DVC at work on one stage of many: dvc.lock gets the same bytes."""

import os
import signal
from pathlib import Path

from support.processes import running_processes, start, wait_until
from support.project import executed_stages
from support.toy import FACTOR_8, Toy

JOB = ("python", "anywhere/dvc_bridge", "job")
MORE = "names: [a-1, b, c]\npowers: [2, 3]\nfactor: 8\n"


def test_dvc_lock_is_the_one_that_dvc_writes(done: Toy, tmp_path: Path) -> None:
    """Entries that change, that are added and that are the first."""
    done.write("params.yaml", MORE)
    for folder in ("a-1", "b", "c"):
        (done.folder / "out" / folder).mkdir(exist_ok=True)
    twin = done.twin(tmp_path / "twin")
    stages = ["power@a-1-2", "power@c-3", "source", "total"]
    shown = [done.run(*JOB, stage).stdout for stage in stages]
    twin.repro("--single-item", *stages)
    assert [executed_stages(text) for text in shown] == [
        {"power@a-1-2"},
        {"power@c-3"},
        set(),
        {"total"},
    ]
    assert done.lock() == twin.lock()
    assert done.status() == twin.status()

    for toy in (done, twin):
        (toy.folder / "dvc.lock").unlink()
    done.run(*JOB, "source")
    twin.repro("--single-item", "source")
    assert done.lock() == twin.lock()


def test_a_job_has_the_status_of_dvc(done: Toy) -> None:
    before = done.lock()
    assert "didn't change, skipping" in done.run(*JOB, "power@b-2").stdout
    unknown = done.run(*JOB, "power@b-7", check=False)
    assert unknown.returncode == 255
    assert "'power@b-7' not found" in unknown.stdout
    done.write("params.yaml", MORE)
    done.write("dvc.yaml", (done.folder / "dvc.yaml").read_text().replace("echo ", "exit 3;", 1))
    failed = done.run(*JOB, "power@b-2", check=False)
    assert failed.returncode == 255
    *_, last = failed.stdout.splitlines()
    assert last.startswith("error: failed to reproduce 'power@b-2'; failed to run: ")
    assert last.endswith(", exited with 3")
    assert done.lock() == before


def test_a_job_leaves_the_entries_of_other_stages_unread(done: Toy) -> None:
    """With thousands of stages it would read for longer than it works."""
    other = "  power@other-0:\n    cmd: [not even YAML\n"
    done.write("dvc.lock", done.lock() + other)
    (done.folder / "out" / "b" / "2.txt").unlink()
    assert executed_stages(done.run(*JOB, "power@b-2").stdout) == set()  # from DVC's cache
    assert done.lock().endswith(other)


def test_a_job_and_its_stage_end_with_the_snakemake_that_started_them(done: Toy) -> None:
    done.write("params.yaml", FACTOR_8)
    done.hold("b-2")
    before = len(done.ran())
    run = start(done, "snakemake", "--cores", "4", "out/b/2.txt")
    wait_until(lambda: len(done.ran()) > before)
    os.kill(run.pid, signal.SIGKILL)
    run.wait(30)
    wait_until(lambda: not running_processes(done))  # neither the job nor its stage's command


def test_an_unusable_run_lock_is_named(done: Toy) -> None:
    lock = done.folder / ".dvc" / "tmp" / "dvc_bridge" / "run.lock"
    lock.unlink()
    lock.mkdir()
    assert done.planned() == set()  # who looks needs no lock
    refused = done.run("snakemake", "--cores", "1", check=False)
    assert refused.returncode == 1
    *_, last = refused.stdout.splitlines()
    assert last.startswith("error: ") and ".dvc/tmp/dvc_bridge/run.lock" in last
    lock.rmdir()
    done.snakemake()


def test_verify_names_what_differs(done: Toy) -> None:
    verify = ("python", "anywhere/dvc_bridge", "verify")
    assert "DIFFERS" not in done.run(*verify).stdout
    out = done.folder / "out" / "b" / "2.txt"
    out.unlink()
    out.write_text("something else\n")
    done.write("params.yaml", FACTOR_8)
    found = done.run(*verify, check=False)
    assert found.returncode == 1
    assert "DIFFERS  files: out/b/2.txt is not what dvc.lock records; remove it" in found.stdout
    for stage in ("power@a-1-2", "power@b-3"):
        assert f"DIFFERS  dvc.lock: {stage} is not as dvc.lock records" in found.stdout
    done.snakemake()
    assert "DIFFERS" not in done.run(*verify).stdout


def test_data_that_a_user_has_changed_is_not_to_be_removed(done: Toy) -> None:
    done.write("sub/data.bin", "one\n")
    done.run("dvc", "add", "--quiet", "sub/data.bin")
    done.write("sub/data.bin", "two\n")
    found = done.run("python", "anywhere/dvc_bridge", "verify", check=False)
    [line] = [line for line in found.stdout.splitlines() if "files:" in line]
    assert line.endswith(
        "files: sub/data.bin is not what sub/data.bin.dvc records; `dvc commit` records it, "
        "`dvc checkout` changes it back"
    )
