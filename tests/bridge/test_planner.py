"""What DVC says of a pipeline, as Snakemake needs it."""

from pathlib import Path
from typing import Any

import pytest
from dvc.dependency import param
from dvc.output import Output
from dvc.repo import Repo
from support.toy import Toy

from dvc_bridge.plan import Plan, PlannedStage
from dvc_bridge.planner import make_plan
from dvc_bridge.repository import open_read_only

FOLDERS = """
stages:
  folder: {cmd: mkdir out, outs: [out]}
  file: {cmd: touch in/a, outs: [in/a]}
  reads_file: {cmd: 'true', deps: [out/a/b], outs: [x]}
  reads_folder: {cmd: 'true', deps: [in], outs: [in-other/y]}
  reads_all: {cmd: 'true', deps: [x, in, out], outs: [z]}
"""


def test_folders_connect_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage may make a folder, read a folder, or read a file in a folder that another makes."""
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    Path("dvc.yaml").write_text(FOLDERS)
    repo = open_read_only(tmp_path)
    plan = make_plan(repo)
    assert plan.stages["reads_all"].inputs == {
        "reads_file": ["x"],
        "file": ["in/a"],
        "folder": ["out"],
    }
    graph = repo.index.graph
    for stage in graph:
        upstream = {above.addressing for above in graph.successors(stage)}
        assert set(plan.stages[stage.addressing].inputs) == upstream


def test_a_plan_that_is_read_is_the_one_that_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stages = {
        "a": PlannedStage("a", "Stage a", {}, stale=False),
        "b@x-1": PlannedStage("b", "Fit", {"a": ["data"]}, True, 4, {"gpu": 1, "queue": "long"}),
    }
    plan = Plan(stages, {"dvc.lock": ["a", "b@x-1"]}, {"out/.gitignore": ["/x", "/y"]}, "here")
    plan.write()
    assert Plan.read() == plan
    assert plan.stale() == ["b@x-1"]


def test_files_and_params_are_read_once_for_all_stages(
    done: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC alone does so for each stage, in a file that has more values where it has more stages."""
    done.write("params.yaml", "names: [a, b, c, d]\npowers: [2, 3, 4]\nfactor: 8\n")
    hash_file, parse, look_up = Output._get_hash_meta, param.load_path, param.read_param_file
    hashed: list[str] = []
    parsed: list[str] = []
    asked: list[tuple[str, ...]] = []

    def counted_hash(out: Output) -> Any:
        hashed.append(out.fs_path)
        return hash_file(out)

    def counted_parse(path: str, fs: Any, **options: Any) -> Any:
        parsed.append(path)
        return parse(path, fs, **options)

    def counted_look_up(fs: Any, path: str, keys: list[str], **options: Any) -> Any:
        asked.append((path, *keys))
        return look_up(fs, path, keys, **options)

    monkeypatch.setattr(Output, "_get_hash_meta", counted_hash)
    monkeypatch.setattr(param, "load_path", counted_parse)
    monkeypatch.setattr(param, "read_param_file", counted_look_up)
    monkeypatch.chdir(done.folder)
    assert len(make_plan(open_read_only(done.folder)).stale()) == 13
    assert len(hashed) == len(set(hashed))
    assert str(done.folder / "numbers.txt") in hashed
    assert [Path(path).name for path in parsed] == ["params.yaml"]
    assert len(asked) == len(set(asked)) == 1
    assert Output._get_hash_meta is counted_hash
    assert (param.load_path, param.read_param_file) == (counted_parse, counted_look_up)
