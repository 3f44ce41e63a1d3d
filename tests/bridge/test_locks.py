"""Who waits for whom: by DVC's locks, by those of the bridge; and who only looks never waits."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import output_of, running_processes, start, wait_until
from support.project import BIN, executed_stages
from support.toy import FACTOR_8, POWERS, Toy

SNAKEMAKE = ("snakemake", "--cores", "4")


@pytest.fixture(scope="session")
def other_dvc(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Another installation of DVC, in a virtual environment of its own."""
    folder = tmp_path_factory.mktemp("other") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    ours = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (packages / "packages.pth").write_text(f"{ours}\n")  # the same files, another installation
    return [str(folder / "bin" / "python"), "-m", "dvc"]


@pytest.fixture
def working(done: Toy) -> Iterator[tuple[Toy, subprocess.Popen[str]]]:
    """A run of Snakemake in the middle of its last power: it waits until `wait-a-1-2` is gone."""
    done.write("params.yaml", FACTOR_8)
    done.hold("a-1-2")
    before = len(done.ran())
    run = start(done, *SNAKEMAKE)
    wait_until(lambda: done.lock().count("factor: 8") == len(POWERS) - 1)
    wait_until(lambda: len(done.ran()) == before + len(POWERS))
    yield done, run
    if run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait(30)


def test_another_dvc_does_not_run_what_a_job_runs(
    working: tuple[Toy, subprocess.Popen[str]], other_dvc: list[str]
) -> None:
    toy, run = working
    began = toy.ran()
    refused = toy.run(*other_dvc, "repro", "power@a-1-2", check=False)
    assert refused.returncode != 0
    assert "busy, it is being blocked by" in refused.stdout
    [job] = [
        p.pid for p in running_processes(toy, "dvc_bridge job power@a-1-2") if "python" in p.name()
    ]
    assert f"(PID {job}): " in refused.stdout
    (toy.folder / "wait-a-1-2").unlink()
    assert run.wait(60) == 0, output_of(toy)
    assert toy.ran() == began  # each stage once
    assert "didn't change, skipping" in toy.run(*other_dvc, "repro", "power@a-1-2").stdout
    toy.assert_up_to_date()


def test_a_job_waits_for_another_dvc_and_takes_what_it_did(done: Toy, other_dvc: list[str]) -> None:
    done.write("params.yaml", FACTOR_8)
    held = done.hold("a-1-2")
    before = done.ran()
    first = start(done, *other_dvc, "repro", "power@a-1-2")
    wait_until(lambda: len(done.ran()) > len(before))
    run = start(done, *SNAKEMAKE)
    log = done.folder / "logs" / "power" / "a-1-2.log"
    holder = f"repro power@a-1-2` (PID {first.pid}) is at work on files of this stage"
    wait_until(lambda: log.exists() and holder in log.read_text())
    assert run.poll() is None
    held.unlink()
    assert first.wait(60) == 0
    assert run.wait(60) == 0, output_of(done)
    assert "Stage 'power@a-1-2' didn't change, skipping" in log.read_text()
    assert sorted(done.ran()) == sorted([*before, *POWERS])
    done.assert_up_to_date()


def test_two_snakemakes(working: tuple[Toy, subprocess.Popen[str]]) -> None:
    toy, first = working
    began = toy.ran()
    second = subprocess.Popen(
        [BIN / "snakemake", "--cores", "4"],
        cwd=toy.folder,
        env=toy.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert second.stdout
    lines = iter(second.stdout)
    waiting = next(line for line in lines if "at work in this folder" in line)
    assert f"(snakemake, PID {first.pid} on " in waiting and "waiting" in waiting
    (toy.folder / "wait-a-1-2").unlink()
    assert "Nothing to be done" in "".join(lines)
    assert second.wait(60) == 0
    assert first.wait(60) == 0
    assert toy.ran() == began


def test_a_waiting_snakemake_can_be_interrupted(
    working: tuple[Toy, subprocess.Popen[str]],
) -> None:
    toy, first = working
    before = len(output_of(toy))
    second = start(toy, *SNAKEMAKE)
    wait_until(lambda: "at work in this folder" in output_of(toy)[before:])
    second.send_signal(signal.SIGINT)
    assert second.wait(30) != 0
    assert first.poll() is None


READ_ONLY = [
    ("-n",),
    ("--lint",),
    ("--dag",),
    ("--rulegraph",),
    ("--summary",),
    ("--list-rules",),
    ("--cores", "4", "--dag"),
]


def test_looking_waits_for_nobody_and_disturbs_nobody(
    working: tuple[Toy, subprocess.Popen[str]],
) -> None:
    toy, run = working
    for options in READ_ONLY:
        toy.run("snakemake", *options, check=options != ("--lint",))
        assert run.poll() is None, f"{options} came after the run"
    assert toy.planned() == {"power@a-1-2", "total"}
    toy.run("snakemake", "--report", "report.zip", check=False)  # some results are still missing
    assert toy.run("python", "anywhere/dvc_bridge", "verify", check=False).returncode == 1
    assert run.poll() is None
    (toy.folder / "wait-a-1-2").unlink()
    assert run.wait(60) == 0, output_of(toy)
    toy.assert_up_to_date()


def contents(toy: Toy) -> dict[str, bytes]:
    """All that a look must leave alone: everything but Snakemake's folder and logs."""
    return {
        path.relative_to(toy.folder).as_posix(): path.read_bytes()
        for path in toy.folder.rglob("*")
        if path.is_file() and not {".snakemake", "logs", "tmp"} & set(path.parts)
    }


def test_looking_changes_nothing_and_lists_what_a_run_runs(done: Toy) -> None:
    done.write("params.yaml", FACTOR_8)
    done.write("input.txt", "4\n")
    (done.folder / "out" / "b" / "3.txt").unlink()
    before = contents(done)
    for options in READ_ONLY:
        done.run("snakemake", *options, check=options != ("--lint",))
    planned = done.planned()
    assert contents(done) == before
    run = done.snakemake("--printshellcmds")
    log = done.folder / "logs"
    logs = "".join(path.read_text() for path in log.rglob("*.log"))
    assert planned == executed_stages(run + logs)


def test_an_editor_that_asks_dvc_all_the_time_stops_nobody(done: Toy) -> None:
    done.write("params.yaml", FACTOR_8)
    held = done.hold("a-1-2")
    before = len(done.ran())
    run = start(done, *SNAKEMAKE)
    for command in (
        ("status", "--json"),
        ("data", "status", "--json"),
        ("exp", "show", "--json"),
        ("plots", "diff", "--json"),
    ):
        done.run("dvc", *command)
    held.unlink()
    assert run.wait(60) == 0, output_of(done)
    assert len(done.ran()) == before + len(POWERS)


def test_repair_removes_the_rwlock_entry_of_a_killed_job(
    working: tuple[Toy, subprocess.Popen[str]],
) -> None:
    toy, run = working
    os.killpg(run.pid, signal.SIGKILL)
    run.wait(30)
    wait_until(lambda: not running_processes(toy, "dvc"))
    rwlock = toy.folder / ".dvc" / "tmp" / "rwlock"
    assert json.loads(rwlock.read_text())["write"]
    (toy.folder / "wait-a-1-2").unlink()
    toy.run("python", "anywhere/dvc_bridge", "repair")  # needed where no process reaps zombies
    assert executed_stages(toy.repro()) == {"power@a-1-2", "total"}
    toy.assert_up_to_date()


def test_on_another_machine_jobs_exclude_each_other_by_their_own_lock(done: Toy) -> None:
    """There, PIDs belong to other processes, so DVC's list of them is left alone."""
    plan = done.folder / ".snakemake" / "dvc" / "plan.json"
    content = json.loads(plan.read_text())
    plan.write_text(json.dumps(content | {"machine": "another"}))
    done.write("params.yaml", FACTOR_8)
    held = done.hold("b-2")
    before = len(done.ran())
    job = ("python", "anywhere/dvc_bridge", "job", "power@b-2")
    environment = {"DVC_BRIDGE_SNAKEMAKE_PID": str(os.getpid())}
    rwlock = done.folder / ".dvc" / "tmp" / "rwlock"
    mine = {"pid": os.getpid(), "cmd": " ".join(sys.argv)}
    entries = {"write": {str(done.folder / "out" / "b" / "2.txt"): mine}}
    rwlock.write_text(json.dumps(entries))
    os.environ.update(environment)
    try:
        first = start(done, *job)
        wait_until(lambda: len(done.ran()) > before)
        second = start(done, *job)
        wait_until(lambda: f"power@b-2, PID {first.pid} on " in output_of(done))
        held.unlink()
        assert first.wait(60) == 0, output_of(done)
        assert second.wait(60) == 0, output_of(done)
    finally:
        os.environ.pop("DVC_BRIDGE_SNAKEMAKE_PID")
    assert len(done.ran()) == before + 1
    assert "'power@b-2' didn't change, skipping" in output_of(done)
    assert json.loads(rwlock.read_text()) == entries
