"""A run of Snakemake says how far it is, in the terminal and in its log."""

import json
import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.logging import LogEvent
from support.processes import start, wait_until
from support.toy import FACTOR_8, Toy

from dvc_bridge import progress
from dvc_bridge.plan import Plan, PlannedStage
from dvc_bridge.progress import Progress, in_words, seconds_left

CHAIN: dict[str, list[str]] = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


@pytest.mark.parametrize(
    ("seconds", "running", "slots", "expected"),
    [
        ({"a": 10, "b": 20, "c": 30, "d": 5}, [], 1, 65),
        ({"a": 10, "b": 20, "c": 30, "d": 5}, [], 2, 45),
        ({"a": 3, "b": 20, "c": 30, "d": 5}, ["a"], 2, 38),  # a has run for a while
        ({"c": 12, "d": 5}, ["c"], 4, 17),  # a and b are done
        ({}, [], 4, 0),
    ],
)
def test_time_left_by_hand(
    seconds: dict[str, float], running: list[str], slots: int, expected: float
) -> None:
    assert seconds_left(seconds, CHAIN, running, slots) == expected


def test_what_waits_for_a_failed_stage_takes_no_time() -> None:
    upstream = {"x": ["y"], "y": ["x"], "z": []}  # x and y can never start
    assert seconds_left({"x": 5, "y": 5, "z": 2}, upstream, [], 2) == 2


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "about 10 s left"), (42, "about 50 s left"), (60, "about 2 min left")],
)
def test_time_left_in_words(seconds: float, expected: str) -> None:
    assert in_words(seconds) == expected


def record(event: LogEvent, **values: Any) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", logging.INFO, "", 0, "", None, None)
    made.__dict__.update(event=event, **values)
    return made


def test_a_run_from_its_first_job_to_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    stages = {
        name: PlannedStage(name[:3], "", {above: [] for above in needs}, stale=True)
        for name, needs in {"get": [], "fit@a": ["get"], "fit@b": ["get"]}.items()
    } | {"old": PlannedStage("old", "", {}, stale=False)}
    plan = Plan(stages, {}, {}, "here")
    stamps = {f"stamps/{name}": name for name in stages}
    needed = ["stamps/get", "stamps/fit@a", "stamps/fit@b"]
    run = Progress(plan, stamps, 1, lambda: needed)
    run.emit(record(LogEvent.JOB_INFO, jobid=7, output=["stamps/get", "out"]))
    run.emit(record(LogEvent.JOB_INFO, jobid=9, output=None))  # rule all
    waiting = "Progress: 0 of 3 stages done; running: get; time left not known yet"
    assert run.sentence(1.0) == waiting
    clock.now = 2.0
    run.emit(record(LogEvent.JOB_FINISHED, job_id=7))
    run.emit(record(LogEvent.JOB_INFO, jobid=1, output=["stamps/fit@a"]))
    assert run.sentence(2.0).endswith("1 of 3 stages done; running: fit@a; time left not known yet")
    clock.now = 32.0
    run.emit(record(LogEvent.JOB_FINISHED, job_id=1))
    run.emit(record(LogEvent.JOB_INFO, jobid=2, output=["stamps/fit@b"]))
    assert run.sentence(37.0).endswith("2 of 3 stages done; running: fit@b; about 30 s left")
    run.emit(record(LogEvent.JOB_ERROR, jobid=2))
    assert run.sentence(40.0) == "Progress: 2 of 3 stages done; failed: fit@b"
    run.record_durations()
    later = Progress(plan, stamps, 2, lambda: needed[1:])  # all that was asked for
    later.emit(record(LogEvent.JOB_INFO, jobid=1, output=["stamps/fit@a"]))
    assert later.sentence(clock.now).endswith("0 of 2 stages done; running: fit@a; about 40 s left")


def test_of_many_running_stages_some_are_named() -> None:
    assert progress._listed([f"s{number}" for number in range(8)]).endswith("s6, s7")
    assert progress._listed([f"s{number}" for number in range(20)]).endswith("s7 and 12 more")


def test_durations_that_cannot_be_read_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for content in ("", "[1]", '{"a": "b"}', "\0"):
        path = tmp_path / progress.DURATIONS
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        assert progress._read_durations() == {}


def test_a_stage_that_was_only_restored_makes_later_runs_look_little_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / progress.DURATIONS
    path.parent.mkdir(parents=True)
    path.write_text('{"fit": 100.0, "other": 5.0}')
    plan = Plan({"fit": PlannedStage("fit", "", {}, stale=True)}, {}, {}, "here")
    run = Progress(plan, {"stamp": "fit"}, 1, lambda: ["stamp"])
    run.emit(record(LogEvent.JOB_INFO, jobid=1, output=["stamp"]))
    run.emit(record(LogEvent.JOB_FINISHED, job_id=1))
    run.record_durations()
    assert json.loads(path.read_text()) == {"fit": 70.0, "other": 5.0}


def test_a_run_says_what_is_done_and_running(done: Toy) -> None:
    done.write("params.yaml", FACTOR_8)
    held = done.hold("b-3")
    run = start(done, "snakemake", "--cores", "4")
    said = "Progress: 3 of 5 stages done; running: power@b-3; "
    log = done.folder / ".snakemake" / "log"
    wait_until(lambda: any(said in path.read_text() for path in log.iterdir()))
    held.unlink()
    assert run.wait(60) == 0
    newest = max(log.iterdir(), key=lambda path: path.stat().st_mtime).read_text()
    assert re.search(said + r"about \d+ s left", newest)
    assert "Progress" not in done.run("snakemake", "-n").stdout
    done.write("params.yaml", FACTOR_8.replace("8", "9"))
    held = done.hold("b-3")
    run = start(done, "snakemake", "--cores", "4", "out/b/3.txt")  # one stage is asked for
    said = "Progress: 0 of 1 stage done; running: power@b-3; "
    wait_until(lambda: any(said in path.read_text() for path in log.iterdir()))
    held.unlink()
    assert run.wait(60) == 0
