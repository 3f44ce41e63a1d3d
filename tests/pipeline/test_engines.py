"""Snakemake and DVC agree on what to run, tested with the commands that users type."""

import json
import os
import random
import re
import subprocess
from pathlib import Path

import pytest
from support.project import BIN, Project, executed_stages

ALL = {
    "params",
    "download",
    "subset",
    "corruptions",
    "train@baseline-0",
    "train@regularized-0",
    "evaluate@baseline-0",
    "evaluate@regularized-0",
    "report",
}
AFFECTED_STAGES = {"params", "train@regularized-0", "evaluate@regularized-0", "report"}


def set_dropout(project: Project, rate: float) -> None:
    project.edit(lambda params: params["models"]["regularized"]["dropout"].update(dense=rate))


def shuffle_times(project: Project) -> None:
    """Set random modification times, in an order that a checkout may also result in."""
    for path in project.folder.rglob("*"):
        if path.is_file() and not {".git", ".dvc"} & set(path.parts):
            moment = random.randint(1_000_000_000, 1_700_000_000)
            os.utime(path, (moment, moment))


def test_a_fresh_clone_by_snakemake(finished_project: Project) -> None:
    output = (finished_project.folder.parent / "finished.txt").read_text()
    assert executed_stages(output) == ALL
    finished_project.assert_up_to_date()
    assert executed_stages(finished_project.repro()) == set()


def test_trainings_run_in_parallel(finished_project: Project) -> None:
    output = (finished_project.folder.parent / "finished.txt").read_text()
    starts = [output.index(f"Train {model} with seed 0") for model in ("baseline", "regularized")]
    first_end = output.index("epoch 2/2")
    assert max(starts) < first_end


def test_a_fresh_clone_by_dvc(fresh_project: Project, finished_project: Project) -> None:
    assert executed_stages(fresh_project.repro()) == ALL
    fresh_project.assert_up_to_date()
    assert fresh_project.planned("corruptions") == set()
    # Snakemake runs trainings in parallel, DVC one after the other; the results are identical.
    for name in ("dvc.lock", "reports/metrics.json", "reports/report.html"):
        assert (fresh_project.folder / name).read_bytes() == (
            finished_project.folder / name
        ).read_bytes()


def test_an_edit_and_its_revert_with_either_engine(stub_project: Project) -> None:
    before = stub_project.metrics()
    set_dropout(stub_project, 0.3)
    assert stub_project.planned() == AFFECTED_STAGES
    output = stub_project.repro()
    assert executed_stages(output) == AFFECTED_STAGES
    stub_project.assert_up_to_date()
    assert stub_project.metrics()["baseline"] == before["baseline"]
    assert stub_project.metrics()["regularized"] != before["regularized"]
    stub_project.commit()

    set_dropout(stub_project, 0.1)
    output = stub_project.snakemake()
    assert executed_stages(output) == AFFECTED_STAGES
    stub_project.assert_up_to_date()

    set_dropout(stub_project, 0.5)  # the original value: nothing is trained again
    assert executed_stages(stub_project.snakemake()) == {"report"}
    stub_project.assert_up_to_date()
    assert stub_project.metrics() == before

    set_dropout(stub_project, 0.3)
    assert executed_stages(stub_project.repro()) == {"report"}
    stub_project.assert_up_to_date()


def test_another_branch_with_any_modification_times(stub_project: Project) -> None:
    stub_project.git("checkout", "--quiet", "-b", "other")
    set_dropout(stub_project, 0.2)
    stub_project.snakemake()
    stub_project.commit()
    for branch in ("main", "other"):
        stub_project.git("checkout", "--quiet", branch)
        stub_project.run("dvc", "checkout")
        shuffle_times(stub_project)
        stub_project.assert_up_to_date()
        assert executed_stages(stub_project.snakemake()) == set()
        assert executed_stages(stub_project.repro()) == set()


def test_another_branch_with_more_seeds(stub_project: Project) -> None:
    stub_project.git("checkout", "--quiet", "-b", "other")
    stub_project.edit(lambda params: params["seeds"].insert(0, 7))
    stub_project.edit(lambda params: params["compare"].remove("regularized"))
    stub_project.snakemake()
    stub_project.commit()
    for branch in ("main", "other", "main"):
        stub_project.git("checkout", "--quiet", branch)
        stub_project.run("dvc", "checkout")  # DVC removes what the branch does not have
        stub_project.assert_up_to_date()


def test_a_clone_that_pulls(stub_project: Project, tmp_path: Path) -> None:
    stub_project.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    stub_project.run("dvc", "push")
    stub_project.commit()
    clone = Project(tmp_path / "the clone")
    stub_project.git("clone", "--quiet", str(stub_project.folder), str(clone.folder))
    clone.run("dvc", "pull")
    assert not (clone.folder / ".snakemake").exists()
    clone.assert_up_to_date()
    assert executed_stages(clone.snakemake()) == set()
    set_dropout(clone, 0.35)
    assert clone.planned() == AFFECTED_STAGES
    assert executed_stages(clone.snakemake()) == AFFECTED_STAGES
    clone.assert_up_to_date()


@pytest.mark.parametrize(
    ("file", "stale", "rerun"),
    [
        # The output stays the same, so later stages are not run.
        ("workflow/scripts/subset.py", ALL - {"params", "download"}, {"subset"}),
        (
            "workflow/scripts/overfitting/evaluation/inference.py",
            {"corruptions", "evaluate@baseline-0", "evaluate@regularized-0", "report"},
            {"corruptions", "evaluate@baseline-0", "evaluate@regularized-0", "report"},
        ),
    ],
)
def test_editing_a_script_or_a_shared_module(
    project: Project, file: str, stale: set[str], rerun: set[str]
) -> None:
    with (project.folder / file).open("a") as script:
        script.write("\n# edited\n")
    assert project.planned() == stale
    by_snakemake = file.endswith("subset.py")
    assert executed_stages(project.snakemake() if by_snakemake else project.repro()) == rerun
    project.assert_up_to_date()


@pytest.mark.parametrize("file", ["scripts/overfitting/report/pages.py", "templates/report.md.j2"])
def test_editing_what_only_the_report_reads(stub_project: Project, file: str) -> None:
    with (stub_project.folder / "workflow" / file).open("a") as edited:
        edited.write("\n# edited\n")
    assert stub_project.planned() == {"report"}
    assert executed_stages(
        stub_project.snakemake() if file.endswith(".j2") else stub_project.repro()
    ) == {"report"}
    stub_project.assert_up_to_date()


def test_models_and_seeds_are_added_and_removed(stub_project: Project, tmp_path: Path) -> None:
    before = stub_project.metrics()
    stub_project.edit(lambda params: params["compare"].remove("regularized"))
    assert executed_stages(stub_project.repro()) == {"params", "report"}
    stub_project.assert_up_to_date()
    assert stub_project.metrics() == {"baseline": before["baseline"]}

    stub_project.edit(lambda params: params["seeds"].append(3))
    added = {"params", "train@baseline-3", "evaluate@baseline-3", "report"}
    assert stub_project.planned() == added
    by_dvc = stub_project.copy(tmp_path / "by DVC" / "copy")
    assert executed_stages(stub_project.snakemake()) == added
    stub_project.assert_up_to_date()
    by_dvc.repro()
    assert (stub_project.folder / "dvc.lock").read_text() == (
        by_dvc.folder / "dvc.lock"
    ).read_text()

    stub_project.edit(lambda params: params["compare"].append("dropout_only"))
    stub_project.edit(lambda params: params["seeds"].remove(3))
    added = {"params", "train@dropout_only-0", "evaluate@dropout_only-0", "report"}
    assert executed_stages(stub_project.repro()) == added
    stub_project.assert_up_to_date()
    assert list(stub_project.metrics()) == ["baseline", "dropout_only"]

    stub_project.edit(lambda params: params.update(compare=["baseline", "regularized"]))
    assert executed_stages(stub_project.repro()) <= {"params", "report"}  # it was trained before
    stub_project.assert_up_to_date()
    assert stub_project.metrics() == before


def test_leftover_results_are_removed_after_a_revert(stub_project: Project) -> None:
    stub_project.edit(lambda params: params["seeds"].append(9))
    stub_project.edit(lambda params: params["compare"].remove("regularized"))
    stub_project.snakemake()
    lock = stub_project.git("show", "HEAD:dvc.lock")
    stub_project.git("checkout", "--quiet", "--", ".")
    # The seed's results still exist in a folder that DVC tracks.
    assert (stub_project.folder / "results" / "baseline" / "9").exists()
    assert executed_stages(stub_project.repro()) <= {"report"}
    stub_project.assert_up_to_date()
    assert (stub_project.folder / "dvc.lock").read_text() == lock


def test_experiments(stub_project: Project) -> None:
    rate = "models.regularized.dropout.dense"
    stub_project.run("dvc", "exp", "run", "--set-param", f"{rate}=0.2")
    stub_project.assert_up_to_date()
    stub_project.git("stash", "--quiet")
    stub_project.run("dvc", "checkout")
    stub_project.run("dvc", "exp", "run", "--temp", "--set-param", f"{rate}=0.15")
    stub_project.run("dvc", "exp", "run", "--queue", "--set-param", f"{rate}=0.2")
    stub_project.run("dvc", "exp", "run", "--run-all")
    shown = stub_project.run("dvc", "exp", "show", "--csv").stdout
    rates = {float(value) for value in re.findall(r",(0\.\d+),", shown)}
    assert {0.2, 0.15} <= rates
    stub_project.assert_up_to_date()


def test_graphs_and_lists(finished_project: Project) -> None:
    assert "train@baseline-0" in finished_project.run("dvc", "stage", "list").stdout
    assert "train@baseline-0" in finished_project.run("dvc", "dag").stdout
    for option, expected in (("--dag", "model: baseline"), ("--rulegraph", 'label = "train"')):
        done = subprocess.run(  # users pipe standard output into dot, so it must have nothing else
            [BIN / "snakemake", option],
            cwd=finished_project.folder,
            env=finished_project.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith("digraph")
        assert expected in done.stdout
    assert "good condition" in finished_project.run("snakemake", "--lint").stdout


def test_make_check_lists_what_differs(project: Project) -> None:
    check = ("python", "workflow/scripts/check.py")
    assert "DIFFERS" not in project.run(*check).stdout
    set_dropout(project, 0.45)
    remote = "['remote \"store\"']\n    url = ssh://store.example.org/srv\n    password = a\n"
    (project.folder / ".dvc" / "config.local").write_text(remote)
    (project.folder / ".dvc" / "config.local").chmod(0o644)
    done = project.run(*check, check=False)
    assert done.returncode == 1
    assert "DIFFERS  remotes: others can read .dvc/config.local; `chmod 600" in done.stdout
    assert "params.yaml is not committed" in done.stdout
    assert "ok       Snakemake and DVC" in done.stdout
    done = project.run("python", "workflow/scripts/dvc_bridge", "verify", check=False)
    assert done.returncode == 1
    assert "DIFFERS  dvc.lock: train@regularized-0" in done.stdout


def test_make_check_detects_engines_that_disagree(stub_project: Project) -> None:
    """With a bug in the bridge: `make check` compares its plan with that of DVC itself."""
    bridge = stub_project.folder / "workflow" / "scripts" / "dvc_bridge" / "planner.py"
    correct = "stale=is_stale"
    text = bridge.read_text()
    assert text.count(correct) == 1
    incomplete = f"{correct} and stage.addressing != 'train@regularized-0'"
    bridge.write_text(text.replace(correct, incomplete))
    set_dropout(stub_project, 0.45)
    done = stub_project.run("python", "workflow/scripts/check.py", check=False)
    assert done.returncode == 1
    assert "DIFFERS  Snakemake and DVC: only DVC would run train@regularized-0\n" in done.stdout
    bridge.write_text(text.replace(correct, f"{correct} or stage.addressing == 'subset'"))
    done = stub_project.run("python", "workflow/scripts/check.py", check=False)
    assert "DIFFERS  Snakemake and DVC: only Snakemake would run subset\n" in done.stdout


def test_make_check_detects_a_report_of_other_models(stub_project: Project) -> None:
    metrics = stub_project.folder / "reports" / "metrics.json"
    metrics.write_text(json.dumps({"baseline": stub_project.metrics()["baseline"]}))
    done = stub_project.run("python", "workflow/scripts/check.py", check=False)
    assert done.returncode == 1
    expected = "DIFFERS  reports: reports/metrics.json has ['baseline'], compare is ['baseline', "
    assert expected in done.stdout
    metrics.unlink()
    done = stub_project.run("python", "workflow/scripts/check.py", check=False)
    assert "DIFFERS  reports: reports/metrics.json is missing; run `dvc repro`" in done.stdout


def test_make_check_on_a_clone_without_data(project: Project, tmp_path: Path) -> None:
    clone = Project(tmp_path / "the clone")
    project.git("clone", "--quiet", str(project.folder), str(clone.folder))
    verified = clone.run("python", "workflow/scripts/dvc_bridge", "verify").stdout
    assert "data files are not on this machine" in verified
    assert "DIFFERS" not in verified + clone.run("python", "workflow/scripts/check.py").stdout
