"""A change of any key of params.yaml makes exactly the stages stale that depend on it."""

from pathlib import Path
from typing import Any

import pytest
import ruamel.yaml
from dvc.repo import Repo
from support.project import ROOT, Project, executed_stages

PARAMS = ruamel.yaml.YAML(typ="safe").load(ROOT / "params.yaml")


def leaves(content: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path to each leaf of nested dictionaries; `{}` counts as a leaf."""
    if isinstance(content, dict) and content:
        return [leaf for key in content for leaf in leaves(content[key], (*path, key))]
    return [path]


def other_value(key: tuple[str, ...], value: Any) -> Any:
    """Return another valid value for a key."""
    known: dict[str, Any] = {
        "classes": [f"class {number}" for number in range(10)],
        "flip": "vertical",
        "name": "My images",
        "sources": ["$FASHION_MNIST_DIR", "/nowhere"],
    }
    if key[-1] in known:
        return known[key[-1]]
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value / 2
        case dict():
            return {"dropout": {"conv": 0.5}}
    raise AssertionError(key)


def expected(key: tuple[str, ...]) -> set[str]:
    """Return the stages that depend on a key, apart from `params`.

    This is the specification, stated independently of dvc.yaml.
    """
    stages: tuple[str, ...]
    match key:
        case ("data", "sources"):
            return {"download"}
        case ("data", "name" | "classes"):
            return {"report"}
        case ("data", _):
            return {"subset"}
        case ("robustness", _):
            return {"corruptions"}
        case ("training", "validation_split"):
            stages, models = ("train", "evaluate"), ["baseline", "regularized"]
        case ("training", _):
            stages, models = ("train",), ["baseline", "regularized"]
        case ("models", model, *_):
            compared = model in ("baseline", "regularized")
            stages, models = ("train", "evaluate"), [model] if compared else []
    return {f"{stage}@{model}-0" for stage in stages for model in models}


KEYS = [key for key in leaves(PARAMS) if key[0] not in ("compare", "seeds")]


@pytest.fixture(scope="module")
def edited(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the finished project whose params.yaml the tests edit; no stage is run in it."""
    return finished_project.copy(tmp_path_factory.mktemp("staleness") / "project")


@pytest.mark.parametrize("key", KEYS, ids=".".join)
def test_a_changed_key_makes_only_dependent_stages_stale(
    edited: Project, finished_project: Project, key: tuple[str, ...]
) -> None:
    def change(content: Any) -> None:
        for part in key[:-1]:
            content = content[part]
        content[key[-1]] = other_value(key, content[key[-1]])

    edited.edit(change)
    try:
        changed = stale_by_dvc(edited)
    finally:
        restore(edited, finished_project)
    assert changed == {"params", *expected(key)}


@pytest.mark.parametrize(
    ("key", "value", "stale"),
    [
        ("compare", ["baseline"], {"report"}),
        ("compare", ["regularized", "baseline"], {"report"}),
        (
            "compare",
            ["baseline", "regularized", "stacked"],
            {"report", "train@stacked-0", "evaluate@stacked-0"},
        ),
        (
            "seeds",
            [0, 4],
            {"report"}
            | {f"{s}@{m}-4" for s in ("train", "evaluate") for m in ("baseline", "regularized")},
        ),
    ],
)
def test_new_models_and_seeds_make_their_stages_stale(
    edited: Project, finished_project: Project, key: str, value: list[object], stale: set[str]
) -> None:
    edited.edit(lambda content: content.update({key: value}))
    try:
        changed = stale_by_dvc(edited)
    finally:
        restore(edited, finished_project)
    assert changed == {"params", *stale}


def test_a_comment_makes_only_the_stage_params_stale(
    edited: Project, finished_project: Project
) -> None:
    path = edited.folder / "params.yaml"
    path.write_text(path.read_text() + "# a comment\n")
    try:
        assert stale_by_dvc(edited) == {"params"}
        assert edited.planned() == {"params"}
    finally:
        restore(edited, finished_project)


def test_a_larger_test_set_retrains_nothing(project: Project) -> None:
    project.edit(lambda content: content["data"].update(test_size=60))
    corrupted = project.folder / "data" / "corrupted.npz"
    before = corrupted.read_bytes()
    again = {"params", "subset", "corruptions", "report"}
    again |= {"evaluate@baseline-0", "evaluate@regularized-0"}
    assert executed_stages(project.snakemake()) == again
    project.assert_up_to_date()
    assert corrupted.read_bytes() == before  # only the first images are corrupted


def test_the_report_works_without_robustness(project: Project) -> None:
    project.edit(lambda content: content["robustness"].update(test_size=0))
    again = {"params", "corruptions", "evaluate@baseline-0", "evaluate@regularized-0", "report"}
    assert executed_stages(project.repro()) == again
    project.assert_up_to_date()
    assert "`robustness.test_size` in `params.yaml` is 0" in (
        project.folder / "reports" / "report.md"
    ).read_text(encoding="utf-8")


def stale_by_dvc(project: Project) -> set[str]:
    """Return what `dvc status` lists as changed; called as a library to save time."""
    with Repo(str(project.folder)) as repo:
        return {name.rpartition(":")[2] for name in repo.status()}


def restore(edited: Project, finished_project: Project) -> None:
    for name in ("params.yaml", "dvc.lock"):
        Path(edited.folder, name).write_bytes(Path(finished_project.folder, name).read_bytes())
