"""`make review`, on a pipeline that writes the same files without training."""

from pathlib import Path

import pytest
import ruamel.yaml
from support.project import ROOT, Project

from overfitting.common.files import write_text
from review import MissingResultError, Side

MEASURE = """
import sys
from pathlib import Path

import numpy as np
import ruamel.yaml

sys.path.append(SCRIPTS)
from overfitting.common.files import write_record

model, seed = sys.argv[1], int(sys.argv[2])
accuracy = ruamel.yaml.YAML(typ="safe").load(Path("params.yaml"))["models"][model]["accuracy"]
random = np.random.default_rng([seed, round(1000 * accuracy)])
labels = np.arange(500) % 10
right = random.random(500) < accuracy
folder = Path("results", model, str(seed))
folder.mkdir(parents=True, exist_ok=True)
np.savez(
    folder / "predictions.npz",
    probabilities=np.eye(10, dtype=np.float32)[(labels + ~right) % 10],
    labels=labels,
    corrupted=np.empty((12, 5, 0), dtype=bool),
)
measured = {
    "augmentation": {"flip": None, "translation": 0.0},
    "train": {"accuracy": 0.95 + 0.01 * random.random()},
}
write_record(folder / "evaluation.json", measured)
"""
REPORT = """
import json
from pathlib import Path

import ruamel.yaml

params = ruamel.yaml.YAML(typ="safe").load(Path("params.yaml"))
Path("reports/figures").mkdir(parents=True, exist_ok=True)
accuracies = {model: params["models"][model]["accuracy"] for model in params["compare"]}
metrics = {model: {"test_accuracy": accuracy} for model, accuracy in accuracies.items()}
Path("reports/metrics.json").write_text(json.dumps(metrics))
"""
STAGES = """
stages:
  evaluate:
    matrix:
      model: ${compare}
      seed: ${seeds}
    cmd: python measure.py ${item.model} ${item.seed}
    params:
      - models.${item.model}
    outs:
      - results/${item.model}/${item.seed}/evaluation.json
      - results/${item.model}/${item.seed}/predictions.npz
  report:
    cmd: python report.py
    deps:
      - results
    params:
      - compare
      - models
    metrics:
      - reports/metrics.json:
          cache: false
"""
BEFORE = """
compare: [kept, changed, lost]
seeds: [0, 1]
models:
  kept: {accuracy: 0.85}
  changed: {accuracy: 0.95}
  lost: {accuracy: 0.9}
  added: {accuracy: 0.9}
"""
AFTER = BEFORE.replace("lost]", "added]").replace("0.95", "0.6")


def review_of(project: Project, *arguments: str, check: bool = True, **environment: str) -> str:
    script = ROOT / "workflow" / "scripts" / "review.py"
    return project.run("python", str(script), *arguments, check=check, **environment).stdout


@pytest.fixture(scope="module")
def branched(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project on the branch `other`, which changed, removed and added one model each."""
    folder = tmp_path_factory.mktemp("review") / "an é 'project"
    folder.mkdir()
    project = Project(folder)
    project.git("init", "--quiet", "--initial-branch=main")
    project.run("dvc", "init", "--quiet")
    project.run("dvc", "config", "core.analytics", "false")
    for name, text in {
        "measure.py": MEASURE.replace("SCRIPTS", repr(str(ROOT / "workflow" / "scripts"))),
        "report.py": REPORT,
        "dvc.yaml": STAGES,
        ".gitignore": "/results/\n",
    }.items():
        (folder / name).write_text(text)
    for params in (BEFORE, AFTER):
        (folder / "params.yaml").write_text(params)
        project.repro("--quiet")
        project.commit()
        project.git("checkout", "--quiet", "-B", "other")
    project.git("branch", "--force", "main", "other~1")
    return project


def everything_in(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return the size and modification time of each file except DVC's temporary files."""
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and ".dvc/tmp" not in path.as_posix()
    }


def test_a_review_writes_nothing_into_the_checkout(branched: Project, tmp_path: Path) -> None:
    before = everything_in(branched.folder)
    page = review_of(branched, "main", TMPDIR=str(tmp_path))
    assert everything_in(branched.folder) == before
    assert list(tmp_path.iterdir()) == []
    kept, changed, added, lost = page.split("### ")[1:5]
    assert kept.count("| 0.00 points | 0.00 to 0.00 | – | within noise |") == 3
    assert kept.count("| 0.0000 nats | 0.0000 to 0.0000 | – | within noise |") == 1
    assert "| test accuracy ↑ | 0.9" in changed
    assert changed.splitlines()[4].endswith("| worse |")
    assert added.count("not comparable (new)") == lost.count("not comparable (removed)") == 4
    assert "| params.yaml | models.changed.accuracy | 0.95" in page
    for figure in ("curves", "gap"):
        assert f"`git show main:reports/figures/{figure}.svg`" in page
    assert "Traceback" not in page


def test_a_review_can_fail_where_something_became_worse(branched: Project) -> None:
    script = str(ROOT / "workflow" / "scripts" / "review.py")
    failed = branched.run("python", script, "main", "--fail", "worse", check=False)
    assert failed.returncode == 1
    assert failed.stdout.splitlines()[-1].startswith("error: worse than main: test accuracy of ch")
    assert "### Learning curves" in failed.stdout  # the review is printed all the same
    same = branched.run("python", script, "HEAD", "--fail", "worse").stdout
    assert "### Params\n\nNone differ." in same
    branched.run("python", script, "main")
    wrong = branched.run("python", script, "main", "--fail", "better", check=False)
    assert wrong.returncode == 2
    assert "'worse'" in wrong.stdout


def test_without_results_the_committed_metrics_are_listed(
    branched: Project, tmp_path: Path
) -> None:
    clone = Project(tmp_path / "clone")
    branched.git("clone", "--quiet", str(branched.folder), str(clone.folder))
    clone.git("checkout", "--quiet", "--detach")  # as in CI
    page = review_of(clone, "origin/main", "--figures", "https://example.org/raw")
    assert "| test accuracy ↑ | 0.9500 | 0.6000 | −35.00 points | – | – | not comparable (" in page
    assert (
        "Some results were not compared: the results of origin/main are not in DVC's cache. In a "
        in page
    )
    assert "not comparable (new)" in page
    assert "not comparable (removed)" in page
    head = clone.git("rev-parse", "HEAD").strip()
    assert f"https://example.org/raw/{head}/reports/figures/curves.svg" in page


def test_results_are_fetched_from_the_remote(branched: Project, tmp_path: Path) -> None:
    origin = branched.copy(tmp_path / "origin é")
    origin.run("dvc", "remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    origin.run("dvc", "push", "--quiet", "--all-branches")
    clone = Project(tmp_path / "clone é")
    origin.git("clone", "--quiet", str(origin.folder), str(clone.folder))
    clone.run("dvc", "remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    clone.git("checkout", "--quiet", "--detach")
    clone.run("dvc", "pull", "--quiet", "evaluate")
    before = everything_in(clone.folder)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    base = branched.git("rev-parse", "main").strip()
    assert review_of(clone, base, TMPDIR=str(temporary)) == review_of(branched, base)
    assert everything_in(clone.folder) == before
    assert list(temporary.iterdir()) == []


def test_errors_are_reported_in_one_line(branched: Project, tmp_path: Path) -> None:
    output = review_of(branched, "no-such-branch", check=False)
    assert output.startswith("error: no-such-branch is not a commit of this repository")
    assert output.count("\n") == 1

    stale = branched.copy(tmp_path / "stale")
    params = stale.folder / "params.yaml"
    params.write_text(params.read_text().replace("0.85", "0.86"))
    output = review_of(stale, "main", check=False)
    assert output.startswith("error: the results are stale: run `snakemake --cores 4` first")
    assert output.count("\n") == 1


def test_a_commit_without_predictions_is_not_compared(tmp_path: Path) -> None:
    path = "results/a/0/evaluation.json"
    write_text(tmp_path / path, "{}")
    outs = {path: "d41d8cd98f00b204e9800998ecf8427e"}
    side = Side("main", ["a"], [0], outs, {}, cache=tmp_path / "cache", folder=tmp_path)
    with pytest.raises(MissingResultError) as raised:
        side.results("a")
    assert raised.value.reason == "main recorded no predictions.npz"
    assert side.results("b") == {}


def test_a_review_of_the_real_pipeline(project: Project) -> None:
    project.git("checkout", "--quiet", "-b", "other")
    project.edit(lambda params: params["models"]["regularized"]["dropout"].update(dense=0.1))
    project.snakemake()
    project.commit()
    page = project.run("python", "workflow/scripts/review.py", "main").stdout
    baseline, regularized = page.split("### ")[1:3]
    assert baseline.count("| within noise |") >= 4  # and a fifth if robustness is measured
    assert "not comparable" not in baseline
    assert regularized.count("not comparable (a single seed cannot tell a change from noise") >= 1
    assert "models.regularized.dropout.dense" in page
    assert "Traceback" not in page


# Continuous integration


def test_the_workflow_has_few_permissions_and_is_safe_from_injection() -> None:
    workflow = ruamel.yaml.YAML(typ="safe").load(ROOT / ".github" / "workflows" / "review.yml")
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert list(workflow["on"]) == ["pull_request"]  # not pull_request_target
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        for step in job["steps"]:
            assert step.get("uses", "actions/").startswith("actions/")
            assert "${{" not in step.get("run", ""), "untrusted text in a shell: use env"
