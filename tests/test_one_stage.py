"""A job of Snakemake is DVC at work on one stage of many: dvc.lock gets the same bytes."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Project, ran
from dvc.utils.serialize import dumps_yaml
from pydantic import TypeAdapter, ValidationError

from overfitting.errors import UserError
from overfitting.lockfile import HEAD, OPENING, Lock
from overfitting.params import Name
from overfitting.plan import Plan

JOB = (sys.executable, "workflow/scripts/reproduce.py")
ENTRIES = {name: f"  {name}:\n    cmd: {name}\n    outs:\n    - path: x\n" for name in "abc"}
WHOLE = HEAD + OPENING + "".join(ENTRIES.values())


@pytest.mark.parametrize(
    "text",
    [
        (ROOT / "dvc.lock").read_text(encoding="utf-8"),
        WHOLE,
        WHOLE + "datasets:\n- name: d\n",
        "schema: '2.0'\ndatasets:\n- name: d\nstages:\n" + ENTRIES["a"],
        HEAD + OPENING,
    ],
)
def test_a_lock_taken_apart_is_the_same(text: str) -> None:
    assert str(Lock.of(text)) == text


def test_entries_are_found_replaced_and_ordered() -> None:
    lock = Lock.of(WHOLE + "datasets: []\n")
    assert lock.names() == ["a", "b", "c"]
    assert {name: lock.entry(name) for name in "abcd"} == ENTRIES | {"d": ""}
    lock.put("b", "  b:\n    cmd: other\n")
    lock.put("d", "  d:\n    cmd: new\n")
    assert str(lock) == (
        f"{HEAD}{OPENING}{ENTRIES['a']}  b:\n    cmd: other\n{ENTRIES['c']}"
        "  d:\n    cmd: new\ndatasets: []\n"
    )
    lock.in_order(["c", "no longer there", "a"])
    assert lock.names() == ["c", "a", "b", "d"]
    assert [lock.entry(name) for name in "ac"] == [ENTRIES["a"], ENTRIES["c"]]


@pytest.mark.parametrize("text", ["", "schema: '2.0'\nstages: {}\n", "schema: '2.0'\n"])
def test_the_first_entry(text: str) -> None:
    lock = Lock.of(text)
    assert lock.entry("a") == ""
    lock.put("a", ENTRIES["a"])
    assert str(lock) == HEAD + OPENING + ENTRIES["a"]


def test_the_longest_name_is_written_like_any_other() -> None:
    """YAML writes longer keys in another way: `? key`, a line that is no line of a stage."""
    longest = f"evaluate@{'a' * 100}-{2**32 - 1}"
    text = dumps_yaml({"schema": "2.0", "stages": {longest: {"cmd": "a"}}})
    assert Lock.of(text).names() == [longest]
    TypeAdapter(Name).validate_python("a" * 100)
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python("a" * 101)


STAGES = ["subset", "corruptions", "train@baseline-0", "evaluate@baseline-0", "report"]


def test_dvc_lock_is_the_one_that_dvc_writes(quick: Project, tmp_path: Path) -> None:
    """Entries that change, that are added and that are the first."""
    quick.edit(lambda params: params["data"].update(train_size=140))
    quick.edit(lambda params: params.update(seeds=[0, 1]))
    by_dvc = quick.copy(tmp_path / "by dvc")
    runs = [*STAGES, "train@regularized-1"]
    shown = [quick.run(*JOB, stage).stdout for stage in runs]
    by_dvc.repro("--single-item", *runs)
    assert [ran(text) for text in shown] == [{stage} for stage in runs]
    assert lock_of(quick) == lock_of(by_dvc)
    assert quick.status() == by_dvc.status()

    for project in (quick, by_dvc):
        (project.folder / "dvc.lock").unlink()
    quick.run(*JOB, "params")
    by_dvc.repro("--single-item", "params")
    assert lock_of(quick) == lock_of(by_dvc)


def lock_of(project: Project) -> str:
    return (project.folder / "dvc.lock").read_text(encoding="utf-8")


def test_a_job_has_the_status_of_dvc(quick: Project) -> None:
    before = lock_of(quick)
    assert "didn't change, skipping" in quick.run(*JOB, "train@baseline-0").stdout
    unknown = quick.run(*JOB, "train@baseline-7", check=False)
    assert unknown.returncode == 255
    assert "'train@baseline-7' not found" in unknown.stdout
    script = quick.folder / "workflow" / "scripts" / "train.py"
    script.write_text("import sys; sys.exit('no luck')\n")
    failed = quick.run(*JOB, "train@baseline-0", check=False)
    assert failed.returncode == 255
    assert "no luck" in failed.stdout
    assert "failed to reproduce 'train@baseline-0'" in failed.stdout
    assert lock_of(quick) == before


def test_a_job_leaves_the_entries_of_other_stages_unread(quick: Project) -> None:
    """With thousands of stages it would read for longer than it works."""
    lock = quick.folder / "dvc.lock"
    other = "  train@other-0:\n    cmd: [not even YAML\n"
    lock.write_text(lock_of(quick) + other)
    (quick.folder / "models" / "baseline" / "0.weights.h5").unlink()
    assert ran(quick.run(*JOB, "train@baseline-0").stdout) == set()  # from DVC's cache
    assert lock_of(quick).endswith(other)


def test_two_jobs_for_one_stage(quick: Project) -> None:
    """On a cluster the jobs of a Snakemake that was killed go on."""
    quick.edit(lambda params: params["training"].update(epochs=40))  # four seconds
    stage = "train@baseline-0"
    first = subprocess.Popen(
        [*JOB, stage],
        cwd=quick.folder,
        env=quick.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert first.stdout
    for _ in itertools.takewhile(lambda line: "epoch" not in line, first.stdout):
        pass
    second = quick.run(*JOB, stage)
    assert f"{stage}, PID {first.pid} on " in second.stdout
    assert "is at work; waiting for it" in second.stdout
    assert "didn't change, skipping" in second.stdout
    first.stdout.close()
    assert first.wait(60) == 0


def test_what_jobs_on_a_cluster_know_of_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    plan = Plan(
        outputs={"train": ["models/{model}/{seed}"]},
        wildcards={"train": ["model", "seed"], "report": []},
        inputs={"train@a-b-1": ["data"], "report": ["results"]},
        stale={"report"},
    )
    plan.write()
    assert Plan.read() == plan
    assert plan.address("train", {"seed": "1", "model": "a-b"}) == "train@a-b-1"
    assert plan.address("report", {}) == "report"
    with pytest.raises(UserError, match=r"there is no stage train@a-2: see compare and seeds"):
        plan.address("train", {"seed": "2", "model": "a"})
