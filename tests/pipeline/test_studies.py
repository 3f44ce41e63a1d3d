"""A study runs the same pipeline with another params file, beside the results of the checkout."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from support.processes import start, wait_until
from support.project import ROOT, Project, executed_stages, make_stub_project
from support.stub_stage import SECONDS_PER_EPOCH

import check
import study
from overfitting.common import params
from overfitting.common.yaml_files import load_yaml

NAMES = ["all_images", "claims", "quick"]
LONG = round(20 / SECONDS_PER_EPOCH)
"""Epochs of a training that can be killed in the middle, also on a slow machine."""


@pytest.mark.parametrize("name", NAMES)
def test_the_studies_here_are_accepted(name: str) -> None:
    shipped = params.read(ROOT / "params.yaml")
    of_study = params.read(ROOT / "studies" / name / "params.yaml")
    for model in shipped.models:
        assert of_study.models[model] == shipped.models[model]
    assert of_study.data.classes == shipped.data.classes


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A stub project that has been run, with a study of two models, one of which is new."""
    project = make_stub_project(tmp_path_factory.mktemp("studies") / "a 'checkout' é")
    (project.folder / ".venv").symlink_to(Path(shutil.which("python") or "").parent.parent)
    folder = project.folder / "studies" / "mine"
    folder.mkdir(parents=True)
    before = (project.folder / "params.yaml").read_text()
    project.edit(lambda content: content.update(compare=["baseline", "dropout_only"]))
    (project.folder / "params.yaml").rename(folder / "params.yaml")
    (project.folder / "params.yaml").write_text(before)
    project.snakemake()
    project.commit()
    yield project


def step(project: Project, name: str) -> None:
    project.run("python", "workflow/scripts/study.py", name, "mine")


def study_of(project: Project) -> tuple[Project, str]:
    """Run a study as `make study` does; return its working copy and what Snakemake printed."""
    step(project, "prepare")
    work = Project(project.folder / "studies" / "mine" / "work")
    output = work.snakemake()
    step(project, "collect")
    return work, output


def test_make_study_does_all_steps() -> None:
    text = (ROOT / "Makefile").read_text()
    recipe = text[text.index("\nstudy:") :].split("\n\n")[0]
    steps = ["study.py prepare '$(STUDY)'", "cd 'studies/$(STUDY)/work' && ", "study.py collect"]
    places = [recipe.index(each) for each in steps]
    assert places == sorted(places)


def test_a_study_leaves_the_checkout_alone_and_trains_nothing_twice(checkout: Project) -> None:
    before = checkout.git("status", "--short")
    work, output = study_of(checkout)
    changed = executed_stages(output)
    assert changed == {"params", "train@dropout_only-0", "evaluate@dropout_only-0", "report"}
    new = [line for line in checkout.git("status", "--short").splitlines() if "studies/" in line]
    assert new
    assert checkout.git("status", "--short").replace("\n".join(new), "").strip() == before.strip()
    checkout.assert_up_to_date()
    work.assert_up_to_date()
    assert list(work.metrics()) == ["baseline", "dropout_only"]
    folder = checkout.folder / "studies" / "mine"
    for name in ("dvc.lock", "reports/metrics.json"):
        assert (folder / name).read_bytes() == (work.folder / name).read_bytes()
    assert (folder / "reports" / "report.md").exists()
    assert not (folder / "reports" / "report.html").exists()
    assert executed_stages(study_of(checkout)[1]) == set()
    assert executed_stages(work.repro()) == set()


def test_a_study_runs_the_code_as_it_stands(checkout: Project, tmp_path: Path) -> None:
    project = checkout.copy(tmp_path / "copy")
    work, _ = study_of(project)
    module = project.folder / "workflow" / "scripts" / "overfitting" / "evaluation" / "mine.py"
    module.write_text("# not committed\n")
    notes = work.folder / "notes.txt"
    notes.write_text("mine")
    _, output = study_of(project)
    assert "evaluate@baseline-0" in executed_stages(output)
    assert "train@baseline-0" not in executed_stages(output)
    module.unlink()
    work, output = study_of(project)
    assert executed_stages(output) == {"report"}  # all others come from DVC's run cache
    work.assert_up_to_date()
    assert notes.read_text() == "mine"
    # A colleague's clone starts from what was collected.
    lock = (project.folder / "studies" / "mine" / "dvc.lock").read_bytes()
    shutil.rmtree(work.folder)
    step(project, "prepare")
    assert (work.folder / "dvc.lock").read_bytes() == lock


def notes() -> list[str]:
    """Return what `make check` notes of the study `mine` in the current folder."""
    return [note for note in check.outdated_studies() if note.startswith("studies/mine: ")]


def test_a_study_of_other_code_or_params_is_noted(
    checkout: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = checkout.copy(tmp_path / "copy")
    study_of(project)
    project.commit()
    monkeypatch.chdir(project.folder)
    assert notes() == []
    path = project.folder / "studies" / "mine" / "params.yaml"
    lock = path.with_name("dvc.lock")
    locked = load_yaml(lock)
    locked["stages"]["train@baseline-99"] = {"params": {"params.yaml": {"training": "of old"}}}
    lock.write_text(json.dumps(locked))  # DVC keeps what was once compared
    assert notes() == []
    path.write_text(path.read_text().replace("epochs: 2", "epochs: 3"))
    script = project.folder / "workflow" / "scripts" / "evaluate.py"
    script.write_text(script.read_text() + "# edited\n")  # and nothing is run with it yet
    assert (
        "note     studies/mine: made from other workflow/scripts/evaluate.py, params (training); "
        "`make study STUDY=mine` makes it again\n"
    ) in project.run("python", "workflow/scripts/check.py", check=False).stdout
    study_of(project)  # with the new code, which the checkout itself has not run
    assert notes() == []
    path.write_text("seeds: [0]\n")
    [note] = notes()
    assert note.startswith("studies/mine: studies/mine/params.yaml")
    lock.write_text("{")
    assert len(notes()) == 1


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A Git repository with one commit, which is the current folder."""
    made = Project(tmp_path / "a 'checkout' é")
    made.folder.mkdir()
    made.git("init", "--quiet", "--initial-branch", "mine")
    (made.folder / "requirements.txt").touch()
    made.commit()
    monkeypatch.chdir(made.folder)
    return made


WORK = Path("studies", "mine", "work")


def test_a_working_copy_follows_every_kind_of_change(repository: Project) -> None:
    code, copied = Path("workflow"), WORK / "workflow"
    (code / "old" / "deep").mkdir(parents=True)
    (code / "old" / "deep" / "a.py").touch()
    (code / "tool.sh").touch()
    (code / "link").symlink_to("old")
    odd = os.fsdecode(b" odd \xff\n" if sys.platform == "linux" else b" odd\n")
    Path(odd).touch()
    WORK.mkdir(parents=True)
    study.update_repository(WORK)
    study.copy_checkout(WORK)
    assert (copied / "old" / "deep" / "a.py").exists()
    assert (copied / "link").readlink() == Path("old")
    assert (WORK / odd).exists()
    times = {(folder / "requirements.txt").stat().st_mtime for folder in (Path(), WORK)}
    assert len(times) == 1  # else `make` there would install the packages again
    shutil.rmtree(code / "old")
    (code / "old").touch()  # a file where a folder was
    (code / "tool.sh").chmod(0o755)
    (code / "link").unlink()
    study.copy_checkout(WORK)
    assert (copied / "old").is_file()
    assert os.access(copied / "tool.sh", os.X_OK)
    assert not (copied / "link").is_symlink()


def commit_of(folder: Path) -> str:
    return Project(folder).git("rev-parse", "HEAD")


def test_a_working_copy_of_a_checkout_that_was_moved(
    repository: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".venv").mkdir()
    (WORK / ".git").mkdir(parents=True)  # as a Git leaves it that is killed
    study.update_repository(WORK)
    study.link_environment(WORK)
    repository.folder.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    moved = Project(tmp_path / "moved")
    moved.git("commit", "--allow-empty", "--quiet", "--message", "another")
    of_user = Project(WORK)
    of_user.git("switch", "--quiet", "--create", "own")
    of_user.git("commit", "--allow-empty", "--quiet", "--message", "of the user")
    before = of_user.git("rev-parse", "own")
    (WORK / ".git" / "index.lock").touch()
    study.update_repository(WORK)
    assert commit_of(WORK) == commit_of(moved.folder)
    assert of_user.git("rev-parse", "own") == before
    assert (WORK / ".venv").is_dir()
    (WORK / ".venv").unlink()
    (WORK / ".venv").symlink_to("nowhere")
    study.link_environment(WORK)
    assert (WORK / ".venv").is_dir()


def test_a_working_copy_of_a_shallow_clone_in_a_hook(
    repository: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CI has it, with no branch; and Git names another repository to a hook."""
    repository.git("commit", "--allow-empty", "--quiet", "--message", "another")
    shallow = Project(tmp_path / "shallow")
    repository.git("clone", "--quiet", "--depth", "1", Path.cwd().as_uri(), str(shallow.folder))
    shallow.git("checkout", "--quiet", "--detach")
    monkeypatch.chdir(shallow.folder)
    monkeypatch.setenv("GIT_DIR", str(repository.folder / ".git"))
    before = (repository.folder / ".git" / "HEAD").read_text()
    WORK.mkdir(parents=True)
    study.update_repository(WORK)
    monkeypatch.delenv("GIT_DIR")
    assert commit_of(WORK) == commit_of(shallow.folder)
    assert (repository.folder / ".git" / "HEAD").read_text() == before


def test_a_killed_study_is_finished_by_the_same_command(checkout: Project, tmp_path: Path) -> None:
    project = checkout.copy(tmp_path / "copy")
    folder = project.folder / "studies" / "mine"
    shutil.rmtree(folder / "work", ignore_errors=True)
    (folder / "work" / ".git").mkdir(parents=True)  # as a Git leaves it that is killed
    text = (folder / "params.yaml").read_text()
    text = text.replace("dense: 0.5", "dense: 0.4").replace("epochs: 2", f"epochs: {LONG}")
    (folder / "params.yaml").write_text(text)
    step(project, "prepare")
    work = Project(folder / "work")
    running = start(work, "snakemake", "--cores", "4")
    log = work.folder / "logs" / "train" / "dropout_only-0.log"
    wait_until(lambda: log.exists() and "epoch" in log.read_text())
    running.send_signal(signal.SIGKILL)
    running.wait(30)
    work, output = study_of(project)
    assert "train@dropout_only-0" in executed_stages(output)
    work.assert_up_to_date()


def test_links_to_code_lead_there_also_from_a_study(tmp_path: Path) -> None:
    work, collected, again = tmp_path / "work", tmp_path / "study", tmp_path / "again"
    text = "[code](../workflow/scripts/x.py) and [table](tables/gap.csv)\n"
    for folder in (work, collected, again):
        (folder / "reports").mkdir(parents=True)
    (work / "reports" / "report.md").write_text(text)
    (work / "dvc.lock").write_text("")
    study.collect(work, collected)
    found = (collected / "reports" / "report.md").read_text()
    assert found == "[code](../../../workflow/scripts/x.py) and [table](tables/gap.csv)\n"
    study.replace_in(collected / "reports" / "report.md", *reversed(study.LINKS))
    assert (collected / "reports" / "report.md").read_text() == text


@pytest.mark.parametrize("model", ["baseline", "regularized"])
def test_the_committed_long_trainings_begin_as_the_short_ones(model: str) -> None:
    curves = pd.read_csv(ROOT / "studies" / "claims" / "reports" / "tables" / "curves.csv")
    long, short = (
        curves[curves["model"] == name].drop(columns="model").set_index(["set", "epoch"])
        for name in (f"{model}_60_epochs", model)
    )
    assert len(long) == 4 * len(short) > 0
    pd.testing.assert_frame_equal(long.loc[short.index], short)


def test_a_study_that_is_missing_or_wrong_is_refused_in_one_line(checkout: Project) -> None:
    script = ("python", "workflow/scripts/study.py", "prepare")
    missing = checkout.run(*script, "nope", check=False)
    assert missing.returncode == 1
    [line] = missing.stdout.splitlines()
    assert line.startswith("error: studies/nope/params.yaml is missing; there are")
    wrong = checkout.folder / "studies" / "wrong"
    wrong.mkdir()
    (wrong / "params.yaml").write_text("seeds: [0]\n")
    lines = checkout.run(*script, "wrong", check=False).stdout.splitlines()
    assert all(line.startswith(("error: studies/wrong/params.yaml", "studies/")) for line in lines)
    shutil.rmtree(wrong)
