"""The Snakefile of the package, in projects that have never heard of this one."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.project import ROOT, Project
from support.toy import CONFIG

PACKAGE = ROOT / "workflow" / "scripts" / "dvc_bridge"
GRAPHS: dict[str, dict[str, str]] = {
    "matrix and foreach": {
        "dvc.yaml": """
vars: [more.yaml]
stages:
  list:
    foreach: [a, b-1]
    do:
      cmd: echo ${item} > l-${item}.txt
      outs: ["l-${item}.txt"]
  dict:
    foreach: ${things}
    do:
      cmd: echo ${key} ${item.size} > d-${key}.txt
      deps: [l-a.txt]
      outs: ["d-${key}.txt"]
  grid:
    matrix:
      x: [1, 2]
      thing: [{n: p, v: 3}, {n: q, v: 4}]
    cmd: echo ${item.x} ${item.thing.v} > g-${item.x}-${item.thing.n}.txt
    deps: [d-one.txt]
    outs: ["g-${item.x}-${item.thing.n}.txt"]
""",
        "more.yaml": "things: {one: {size: 1}, two: {size: 2}}\n",
    },
    "params of all kinds": {
        "dvc.yaml": """
stages:
  a:
    cmd: echo a > a.txt
    params: [alpha, {other.yaml: [beta.gamma]}, {code.py: [DELTA]}]
    outs: [a.txt]
  b:
    cmd: echo b > b.txt
    params: [{whole.yaml: }]
    deps: [a.txt]
    outs: [b.txt]
""",
        "params.yaml": "alpha: 1\n",
        "other.yaml": "beta: {gamma: 2}\n",
        "code.py": "DELTA = 3\n",
        "whole.yaml": "x: 1\n",
    },
    "folders": {
        "dvc.yaml": """
stages:
  many: {cmd: "mkdir -p many && echo 1 > many/1 && echo 2 > many/2", outs: [many]}
  inside: {cmd: "sleep 2; cat many/1 > in/one.txt", deps: [many/1], outs: [in/one.txt]}
  beside: {cmd: echo x > in/two.txt, deps: [in/readme.txt], outs: [in/two.txt]}
  all: {cmd: cat in/*.txt > all.txt, deps: [in], outs: [all.txt]}
  nothing: {cmd: cat all.txt, deps: [all.txt]}
""",
        "in/readme.txt": "a folder in Git\n",
    },
    "kinds of stages and outs": {
        "dvc.yaml": """
stages:
  several: {cmd: [echo 1 > s1.txt, echo 2 > s2.txt], outs: [s1.txt, s2.txt: {push: false}]}
  moved: {cmd: cat ../s1.txt > made.txt, wdir: sub, deps: [../s1.txt], outs: [made.txt]}
  frozen: {cmd: echo never > s3.txt, frozen: true, deps: [s1.txt]}
  kept:
    cmd: cat s1.txt >> kept.txt
    deps: [s1.txt]
    outs: [kept.txt: {persist: true, cache: false}]
  judged:
    cmd: echo '{"a":1}' > m.json; echo '[{"x":1,"y":2}]' > p.json
    deps: [sub/made.txt]
    metrics: [m.json: {cache: false}]
    plots: [p.json]
""",
        "sub/readme.txt": "a folder in Git\n",
    },
    "several files": {
        "dvc.yaml": """
stages:
  make: {cmd: cat one/x.txt data.bin > made.txt, deps: [one/x.txt, data.bin], outs: [made.txt]}
""",
        "one/dvc.yaml": """
stages:
  make: {cmd: cat ../two/y.txt > x.txt, deps: [../two/y.txt], outs: [x.txt]}
""",
        "two/dvc.yaml": """
stages:
  make: {cmd: echo y > y.txt, outs: [y.txt]}
  alone: {cmd: echo z > z.txt, outs: [z.txt]}
""",
        "data.bin": "data\n",
    },
}
SNAKEFILE = "somewhere else/dvc_bridge/Snakefile"


def lay_out(folder: Path, files: dict[str, str]) -> Project:
    project = Project(folder)
    shutil.copytree(
        PACKAGE,
        folder / "somewhere else" / "dvc_bridge",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name, text in {**files, **CONFIG}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    project.git("init", "--quiet")
    if "data.bin" in files:
        project.run("dvc", "add", "--quiet", "data.bin")
    project.commit()
    return project


def results(project: Project) -> dict[str, bytes]:
    """All files but those of the engines."""
    left_out = {".git", ".snakemake", "logs", "tmp", "cache"}
    return {
        path.relative_to(project.folder).as_posix(): path.read_bytes()
        for path in sorted(project.folder.rglob("*"))
        if path.is_file() and not left_out & set(path.parts)
    }


@pytest.mark.parametrize("name", GRAPHS)
def test_the_result_is_that_of_dvc_repro(name: str, tmp_path: Path) -> None:
    project = lay_out(tmp_path / "project", GRAPHS[name])
    twin = project.copy(tmp_path / "twin")
    project.run("snakemake", "--snakefile", SNAKEFILE, "--cores", "4")
    twin.repro()
    assert results(project) == results(twin)
    assert project.status() == twin.status()
    again = project.run("snakemake", "--snakefile", SNAKEFILE, "--cores", "4")
    assert "Nothing to be done" in again.stdout
    assert "Data and pipelines are up to date." in project.repro()


def test_all_pipelines(tmp_path: Path) -> None:
    project = lay_out(tmp_path / "project", GRAPHS["several files"])
    twin = project.copy(tmp_path / "twin")
    every = ("--config", "all_pipelines=true")
    project.run("snakemake", "--snakefile", SNAKEFILE, "--cores", "4", *every)
    twin.repro("--all-pipelines")
    assert results(project) == results(twin)
    assert project.status() == {}


def test_stages_that_always_change(tmp_path: Path) -> None:
    """They run every time, in both engines, and what follows only if they made something else."""
    stages = """
stages:
  always: {cmd: echo x >> log.txt; echo x > a.txt, always_changed: true, outs: [a.txt]}
  callback: {cmd: echo y >> log.txt}
  after: {cmd: echo z >> log.txt; cp a.txt b.txt, deps: [a.txt], outs: [b.txt]}
"""
    project = lay_out(tmp_path / "project", {"dvc.yaml": stages})
    for count in (1, 2):
        project.run("snakemake", "--snakefile", SNAKEFILE, "--cores", "1")
        lines = (project.folder / "log.txt").read_text().split()
        assert (lines.count("x"), lines.count("y"), lines.count("z")) == (count, count, 1)
    assert set(project.status()) == {"always", "callback"}


REFUSED: dict[str, Any] = {
    "a cycle": "a: {cmd: x, deps: [b], outs: [a]}\n  b: {cmd: x, deps: [a], outs: [b]}",
    "one out of two stages": "a: {cmd: x, outs: [o]}\n  b: {cmd: x, outs: [o]}",
    "an out in another": "a: {cmd: x, outs: [o]}\n  b: {cmd: x, outs: [o/p]}",
    "a missing param": "a: {cmd: 'echo ${nope}', outs: [o]}",
    "no command": "a: {outs: [o]}",
    "no YAML": "[",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_dvc_refuses_is_refused_in_a_line(name: str, tmp_path: Path) -> None:
    project = lay_out(tmp_path / "project", {"dvc.yaml": f"stages:\n  {REFUSED[name]}\n"})
    before = results(project)
    for options in (("-n",), ("--cores", "4")):
        done = project.run("snakemake", "--snakefile", SNAKEFILE, *options, check=False)
        assert done.returncode == 1
        assert [line for line in done.stdout.splitlines() if "error: " in line] == (
            done.stdout.splitlines()[-1:]
        )
        assert "Traceback" not in done.stdout
    assert results(project) == before
