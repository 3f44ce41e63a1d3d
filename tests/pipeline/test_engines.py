"""The ten cases in which Snakemake and DVC must agree, through the commands that users type."""

import json
import os
import random
import re
import subprocess
from pathlib import Path

import pytest
from support.project import BIN, Project, ran

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
OF_REGULARIZED = {"params", "train@regularized-0", "evaluate@regularized-0", "report"}


def set_dropout(project: Project, rate: float) -> None:
    project.edit(lambda params: params["models"]["regularized"]["dropout"].update(dense=rate))


def shuffle_times(project: Project) -> None:
    """Give every file a time of its own, in random order, as a checkout may."""
    for path in project.folder.rglob("*"):
        if path.is_file() and not {".git", ".dvc"} & set(path.parts):
            moment = random.randint(1_000_000_000, 1_700_000_000)
            os.utime(path, (moment, moment))


def test_a_fresh_clone_by_snakemake(finished: Project) -> None:
    output = (finished.folder.parent / "finished.txt").read_text()
    assert ran(output) == ALL
    finished.assert_up_to_date()
    assert ran(finished.repro()) == set()


def test_trainings_run_in_parallel(finished: Project) -> None:
    output = (finished.folder.parent / "finished.txt").read_text()
    starts = [output.index(f"Train {model} with seed 0") for model in ("baseline", "regularized")]
    first_end = output.index("epoch 2/2")
    assert max(starts) < first_end


def test_a_fresh_clone_by_dvc(fresh: Project, finished: Project) -> None:
    assert ran(fresh.repro()) == ALL
    fresh.assert_up_to_date()
    assert fresh.planned("corruptions") == set()
    # Both engines give the same bytes, in parallel and one after the other.
    for name in ("dvc.lock", "reports/metrics.json", "reports/report.html"):
        assert (fresh.folder / name).read_bytes() == (finished.folder / name).read_bytes()


def test_an_edit_in_either_engine_and_back(quick: Project) -> None:
    before = quick.metrics()
    set_dropout(quick, 0.3)
    assert quick.planned() == OF_REGULARIZED
    output = quick.repro()
    assert ran(output) == OF_REGULARIZED
    quick.assert_up_to_date()
    assert quick.metrics()["baseline"] == before["baseline"]
    assert quick.metrics()["regularized"] != before["regularized"]
    quick.commit()

    set_dropout(quick, 0.1)
    output = quick.snakemake()
    assert ran(output) == OF_REGULARIZED
    quick.assert_up_to_date()

    set_dropout(quick, 0.5)  # as it was at first: nothing is trained again
    assert ran(quick.snakemake()) == {"report"}
    quick.assert_up_to_date()
    assert quick.metrics() == before

    set_dropout(quick, 0.3)
    assert ran(quick.repro()) == {"report"}
    quick.assert_up_to_date()


def test_another_branch_whatever_the_times(quick: Project) -> None:
    quick.git("checkout", "--quiet", "-b", "other")
    set_dropout(quick, 0.2)
    quick.snakemake()
    quick.commit()
    for branch in ("main", "other"):
        quick.git("checkout", "--quiet", branch)
        quick.run("dvc", "checkout")
        shuffle_times(quick)
        quick.assert_up_to_date()
        assert ran(quick.snakemake()) == set()
        assert ran(quick.repro()) == set()


def test_another_branch_with_more_seeds(quick: Project) -> None:
    quick.git("checkout", "--quiet", "-b", "other")
    quick.edit(lambda params: params["seeds"].insert(0, 7))
    quick.edit(lambda params: params["compare"].remove("regularized"))
    quick.snakemake()
    quick.commit()
    for branch in ("main", "other", "main"):
        quick.git("checkout", "--quiet", branch)
        quick.run("dvc", "checkout")  # DVC removes what the branch does not have
        quick.assert_up_to_date()


def test_a_clone_that_pulls(quick: Project, tmp_path: Path) -> None:
    quick.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    quick.run("dvc", "push")
    quick.commit()
    clone = Project(tmp_path / "the clone")
    quick.git("clone", "--quiet", str(quick.folder), str(clone.folder))
    clone.run("dvc", "pull")
    assert not (clone.folder / ".snakemake").exists()
    clone.assert_up_to_date()
    assert ran(clone.snakemake()) == set()
    set_dropout(clone, 0.35)
    assert clone.planned() == OF_REGULARIZED
    assert ran(clone.snakemake()) == OF_REGULARIZED
    clone.assert_up_to_date()


@pytest.mark.parametrize(
    ("file", "stale", "rerun"),
    [
        # An equal result stops the wave: nothing is trained again.
        ("workflow/scripts/subset.py", ALL - {"params", "download"}, {"subset"}),
        (
            "workflow/scripts/overfitting/evaluation/inference.py",
            {"corruptions", "evaluate@baseline-0", "evaluate@regularized-0", "report"},
            {"corruptions", "evaluate@baseline-0", "evaluate@regularized-0", "report"},
        ),
    ],
)
def test_a_script_or_shared_module_edited(
    project: Project, file: str, stale: set[str], rerun: set[str]
) -> None:
    with (project.folder / file).open("a") as script:
        script.write("\n# edited\n")
    assert project.planned() == stale
    by_snakemake = file.endswith("subset.py")
    assert ran(project.snakemake() if by_snakemake else project.repro()) == rerun
    project.assert_up_to_date()


@pytest.mark.parametrize("file", ["scripts/overfitting/report/pages.py", "templates/report.md.j2"])
def test_what_only_the_report_reads_edited(quick: Project, file: str) -> None:
    with (quick.folder / "workflow" / file).open("a") as edited:
        edited.write("\n# edited\n")
    assert quick.planned() == {"report"}
    assert ran(quick.snakemake() if file.endswith(".j2") else quick.repro()) == {"report"}
    quick.assert_up_to_date()


def test_models_and_seeds_come_and_go(quick: Project, tmp_path: Path) -> None:
    before = quick.metrics()
    quick.edit(lambda params: params["compare"].remove("regularized"))
    assert ran(quick.repro()) == {"params", "report"}
    quick.assert_up_to_date()
    assert quick.metrics() == {"baseline": before["baseline"]}

    quick.edit(lambda params: params["seeds"].append(3))
    added = {"params", "train@baseline-3", "evaluate@baseline-3", "report"}
    assert quick.planned() == added
    by_dvc = quick.copy(tmp_path / "by DVC" / "copy")
    assert ran(quick.snakemake()) == added
    quick.assert_up_to_date()
    by_dvc.repro()
    assert (quick.folder / "dvc.lock").read_text() == (by_dvc.folder / "dvc.lock").read_text()

    quick.edit(lambda params: params["compare"].append("dropout_only"))
    quick.edit(lambda params: params["seeds"].remove(3))
    added = {"params", "train@dropout_only-0", "evaluate@dropout_only-0", "report"}
    assert ran(quick.repro()) == added
    quick.assert_up_to_date()
    assert list(quick.metrics()) == ["baseline", "dropout_only"]

    quick.edit(lambda params: params.update(compare=["baseline", "regularized"]))
    assert ran(quick.repro()) <= {"params", "report"}  # it was trained before
    quick.assert_up_to_date()
    assert quick.metrics() == before


def test_leftovers_do_not_outlive_a_revert(quick: Project) -> None:
    quick.edit(lambda params: params["seeds"].append(9))
    quick.edit(lambda params: params["compare"].remove("regularized"))
    quick.snakemake()
    lock = quick.git("show", "HEAD:dvc.lock")
    quick.git("checkout", "--quiet", "--", ".")
    # The seed's results are still there, and DVC watches the folder they are in.
    assert (quick.folder / "results" / "baseline" / "9").exists()
    assert ran(quick.repro()) <= {"report"}
    quick.assert_up_to_date()
    assert (quick.folder / "dvc.lock").read_text() == lock


def test_experiments(quick: Project) -> None:
    rate = "models.regularized.dropout.dense"
    quick.run("dvc", "exp", "run", "--set-param", f"{rate}=0.2")
    quick.assert_up_to_date()
    quick.git("stash", "--quiet")
    quick.run("dvc", "checkout")
    quick.run("dvc", "exp", "run", "--temp", "--set-param", f"{rate}=0.15")
    quick.run("dvc", "exp", "run", "--queue", "--set-param", f"{rate}=0.2")
    quick.run("dvc", "exp", "run", "--run-all")
    shown = quick.run("dvc", "exp", "show", "--csv").stdout
    rates = {float(found) for found in re.findall(r",(0\.\d+),", shown)}
    assert {0.2, 0.15} <= rates
    quick.assert_up_to_date()


def test_graphs_and_lists(finished: Project) -> None:
    assert "train@baseline-0" in finished.run("dvc", "stage", "list").stdout
    assert "train@baseline-0" in finished.run("dvc", "dag").stdout
    for option, expected in (("--dag", "model: baseline"), ("--rulegraph", 'label = "train"')):
        done = subprocess.run(  # standard output alone: it is piped into dot
            [BIN / "snakemake", option],
            cwd=finished.folder,
            env=finished.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith("digraph")
        assert expected in done.stdout
    assert "good condition" in finished.run("snakemake", "--lint").stdout


def test_make_check_says_what_disagrees(project: Project) -> None:
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


def test_make_check_finds_engines_that_differ(quick: Project) -> None:
    """A bridge that forgets a stage: DVC itself is asked as well."""
    bridge = quick.folder / "workflow" / "scripts" / "dvc_bridge" / "planner.py"
    told = "PlannedStage(inputs, stale)"
    text = bridge.read_text()
    assert text.count(told) == 1
    forgotten = "PlannedStage(inputs, stale and stage.name != 'train@regularized-0')"
    bridge.write_text(text.replace(told, forgotten))
    set_dropout(quick, 0.45)
    done = quick.run("python", "workflow/scripts/check.py", check=False)
    assert done.returncode == 1
    assert "DIFFERS  Snakemake and DVC: only DVC would run train@regularized-0\n" in done.stdout
    bridge.write_text(text.replace(told, "PlannedStage(inputs, stale or stage.name == 'subset')"))
    done = quick.run("python", "workflow/scripts/check.py", check=False)
    assert "DIFFERS  Snakemake and DVC: only Snakemake would run subset\n" in done.stdout


def test_make_check_finds_a_report_of_other_models(quick: Project) -> None:
    metrics = quick.folder / "reports" / "metrics.json"
    metrics.write_text(json.dumps({"baseline": quick.metrics()["baseline"]}))
    done = quick.run("python", "workflow/scripts/check.py", check=False)
    assert done.returncode == 1
    found = "DIFFERS  reports: reports/metrics.json has ['baseline'], compare is ['baseline', "
    assert found in done.stdout
    metrics.unlink()
    done = quick.run("python", "workflow/scripts/check.py", check=False)
    assert "DIFFERS  reports: reports/metrics.json is missing; run `dvc repro`" in done.stdout


def test_make_check_on_a_clone_without_data(project: Project, tmp_path: Path) -> None:
    clone = Project(tmp_path / "the clone")
    project.git("clone", "--quiet", str(project.folder), str(clone.folder))
    verified = clone.run("python", "workflow/scripts/dvc_bridge", "verify").stdout
    assert "data files are not on this machine" in verified
    assert "DIFFERS" not in verified + clone.run("python", "workflow/scripts/check.py").stdout
