"""For every key of params.yaml: a change makes exactly the right stages stale."""

import re
from pathlib import Path
from typing import Any

import pytest
import ruamel.yaml
from conftest import ROOT, Project, ran
from dvc.dependency import param
from dvc.output import Output
from dvc.repo import Repo

from overfitting.errors import UserError
from overfitting.pipeline import Pipeline, open_checked

PARAMS = ruamel.yaml.YAML(typ="safe").load(ROOT / "params.yaml")


def leaves(content: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The keys of params.yaml, each as the way to it; `{}` counts as a leaf."""
    if isinstance(content, dict) and content:
        return [leaf for key in content for leaf in leaves(content[key], (*path, key))]
    return [path]


def other_value(key: tuple[str, ...], value: Any) -> Any:
    """A value that is allowed in place of `value`."""
    known: dict[str, Any] = {"flip": "vertical", "sources": ["$FASHION_MNIST_DIR", "/nowhere"]}
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
    """What must run again after a change of `key`, as written down before any code was."""
    stages: tuple[str, ...]
    match key:
        case ("data", "sources"):
            return {"download"}
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
def edited(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished project whose params.yaml is edited in turn; nothing is run in it."""
    return finished.copy(tmp_path_factory.mktemp("staleness") / "project")


@pytest.mark.parametrize("key", KEYS, ids=".".join)
def test_a_key_makes_exactly_its_stages_stale(
    edited: Project, finished: Project, key: tuple[str, ...]
) -> None:
    def change(content: Any) -> None:
        for part in key[:-1]:
            content = content[part]
        content[key[-1]] = other_value(key, content[key[-1]])

    edited.edit(change)
    try:
        changed = stale_by_dvc(edited)
    finally:
        restore(edited, finished)
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
def test_a_list_makes_its_new_stages_stale(
    edited: Project, finished: Project, key: str, value: list[object], stale: set[str]
) -> None:
    edited.edit(lambda content: content.update({key: value}))
    try:
        changed = stale_by_dvc(edited)
    finally:
        restore(edited, finished)
    assert changed == {"params", *stale}


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (("compare: [", "compare: 3 #"), "params.yaml: compare = 3: must be a list"),
        (("seeds: [", "seeds: [2020-01-01, "), "params.yaml: seeds.0 = "),
        (("seeds: [", "around: &around [*around]\nseeds: ["), "params.yaml: around = "),
        (("compare: [", "seeds: [7]\ncompare: ["), "params.yaml, line "),
        (("compare: [", "compares: ["), "params.yaml: compares = "),
    ],
    ids=["number", "date", "circle", "twice", "misspelt"],
)
def test_what_dvc_stumbles_over_is_said_in_our_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: tuple[str, str], words: str
) -> None:
    """DVC raises errors of several kinds over a wrong params.yaml; all are caught."""
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    Path("dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    text = (ROOT / "params.yaml").read_text()
    assert edit[0] in text
    Path("params.yaml").write_text(text.replace(*edit))
    with pytest.raises(Exception) as found:
        Pipeline().changed  # noqa: B018  as DVC alone would end
    assert not str(found.value).startswith("params.yaml")
    with pytest.raises(UserError, match=f"^{re.escape(words)}"):
        open_checked()


def test_a_comment_makes_nothing_but_the_check_stale(edited: Project, finished: Project) -> None:
    path = edited.folder / "params.yaml"
    path.write_text(path.read_text() + "# a remark\n")
    try:
        assert stale_by_dvc(edited) == {"params"}
        assert edited.planned() == set()
    finally:
        restore(edited, finished)


def test_a_larger_test_set_retrains_nothing(project: Project) -> None:
    project.edit(lambda content: content["data"].update(test_size=60))
    corrupted = project.folder / "data" / "corrupted.npz"
    before = corrupted.read_bytes()
    again = {"subset", "corruptions", "evaluate@baseline-0", "evaluate@regularized-0", "report"}
    assert ran(project.snakemake()) == again
    project.assert_up_to_date()
    assert corrupted.read_bytes() == before  # it holds the first images, whatever follows them


def test_without_robustness_there_is_a_report(project: Project) -> None:
    project.edit(lambda content: content["robustness"].update(test_size=0))
    again = {"corruptions", "evaluate@baseline-0", "evaluate@regularized-0", "report"}
    assert ran(project.repro()) == again
    project.assert_up_to_date()
    assert "`robustness.test_size` in `params.yaml` is 0" in (
        project.folder / "reports" / "report.md"
    ).read_text(encoding="utf-8")


def test_the_files_between_stages_are_those_that_dvc_knows(
    edited: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(edited.folder)
    assert_edges_of_dvc()


def test_folders_connect_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage may make a folder, read a folder, or read a file in a folder that another makes."""
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    Path("dvc.yaml").write_text(
        "stages:\n"
        "  folder: {cmd: mkdir out, outs: [out]}\n"
        "  file: {cmd: touch in/a, outs: [in/a]}\n"
        "  reads_file: {cmd: 'true', deps: [out/a/b], outs: [x]}\n"
        "  reads_folder: {cmd: 'true', deps: [in], outs: [in-other/y]}\n"
        "  reads_all: {cmd: 'true', deps: [x, in, out], outs: [z]}\n"
    )
    assert_edges_of_dvc()
    assert Pipeline().plan().inputs["reads_all"] == ["x", "in/a", "out"]


def test_files_and_params_are_read_once_for_all_stages(
    quick: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC alone does so for each stage, in a file that has more seeds where it has more stages."""
    quick.edit(lambda params: params.update(seeds=list(range(10))))
    hash_of, parse, look_up = Output._get_hash_meta, param.load_path, param.read_param_file
    hashed: list[str] = []
    parsed: list[str] = []
    asked: list[tuple[str, ...]] = []

    def counted_hash(out: Output) -> Any:
        hashed.append(out.fs_path)
        return hash_of(out)

    def counted_parse(path: str, fs: Any, **options: Any) -> Any:
        parsed.append(path)
        return parse(path, fs, **options)

    def counted_look_up(fs: Any, path: str, keys: list[str], **options: Any) -> Any:
        asked.append((path, *keys))
        return look_up(fs, path, keys, **options)

    monkeypatch.setattr(Output, "_get_hash_meta", counted_hash)
    monkeypatch.setattr(param, "load_path", counted_parse)
    monkeypatch.setattr(param, "read_param_file", counted_look_up)
    monkeypatch.chdir(quick.folder)
    pipeline = Pipeline()
    assert {"train@baseline-9", "evaluate@regularized-9"} < pipeline.changed
    modules = quick.folder / "workflow" / "scripts" / "overfitting"
    assert len(hashed) == len(set(hashed))
    assert {str(modules / "networks.py"), str(modules / "training.py")} < set(hashed)
    assert [Path(path).name for path in parsed] == ["params.yaml"]
    assert len(asked) == len(set(asked)) == 8
    assert Output._get_hash_meta is counted_hash
    assert (param.load_path, param.read_param_file) == (counted_parse, counted_look_up)


def assert_edges_of_dvc() -> None:
    pipeline = Pipeline()
    graph, inputs = pipeline.repo.index.graph, pipeline.plan().inputs
    maker = {out.def_path: out.stage.addressing for out in pipeline.repo.index.outs}
    for stage in graph:
        read = {maker[path] for path in inputs[stage.addressing] if path in maker}
        assert read == {upstream.addressing for upstream in graph.successors(stage)}


def stale_by_dvc(project: Project) -> set[str]:
    """What `dvc status` calls changed, asked without starting a program for each key."""
    with Repo(str(project.folder)) as repo:
        return {name.rpartition(":")[2] for name in repo.status()}


def restore(edited: Project, finished: Project) -> None:
    for name in ("params.yaml", "dvc.lock"):
        Path(edited.folder, name).write_bytes(Path(finished.folder, name).read_bytes())
