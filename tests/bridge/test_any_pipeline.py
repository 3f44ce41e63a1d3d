"""The Snakefile of the package, in projects that have never heard of this one."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.processes import start, wait_until
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
    "names that need care": {
        "dvc.yaml": """
stages:
  my stage: {cmd: "echo 1 > 'a b.txt'", outs: ["a b.txt"]}
  each:
    foreach: ["x y", é, "1.5", "50%", "k{z}", "p:q", "true"]
    do:
      cmd: echo "${item}" > "out-${item}.txt"
      deps: ["a b.txt"]
      outs: ["out-${item}.txt"]
  "1": {cmd: echo 1 > one.txt, deps: ["out-x y.txt"], outs: [one.txt]}
  nested:
    foreach: [p, p/q, LONG]
    do:
      cmd: mkdir -p d/${item} && echo ${item} > d/${item}/o.txt
      deps: [one.txt]
      outs: ["d/${item}/o.txt"]
""".replace("LONG", f"{'long' * 50}"),
    },
    "lists of dicts": {
        "dvc.yaml": """
stages:
  dicts:
    foreach: [{size: 1}, {size: 2}]
    do:
      cmd: echo ${item.size} > s-${item.size}.txt
      outs: ["s-${item.size}.txt"]
""",
    },
    "folders that a run makes": {
        "dvc.yaml": """
stages:
  slow: {cmd: sleep 1; mkdir -p new/sub; echo 1 > new/sub/1.txt, outs: [new/sub/1.txt]}
  fast: {cmd: mkdir -p new/sub; echo 2 > new/sub/2.txt, outs: [new/sub/2.txt]}
  all: {cmd: ls -a new/sub > all.txt, deps: [new], outs: [all.txt]}
""",
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
  logs: {cmd: mkdir -p logs/dvc && echo 1 > logs/dvc/x.log, outs: [logs]}
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
    left_out = {".git", ".snakemake", "tmp", "cache"}
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


def test_after_a_kill_new_folders_get_the_gitignore_of_dvc_repro(tmp_path: Path) -> None:
    graph = GRAPHS["folders that a run makes"]["dvc.yaml"]
    project = lay_out(tmp_path / "project", {"dvc.yaml": graph.replace("sleep 1", "sleep 60")})
    twin = lay_out(tmp_path / "twin", {"dvc.yaml": graph})
    run = start(project, "snakemake", "--snakefile", SNAKEFILE, "--cores", "4")
    lock = project.folder / "dvc.lock"
    wait_until(lambda: lock.exists() and "fast:" in lock.read_text())
    run.kill()
    run.wait(30)
    (project.folder / "dvc.yaml").write_text(graph)
    project.run("snakemake", "--snakefile", SNAKEFILE, "--cores", "4")
    twin.repro()
    for name in ("dvc.lock", "new/sub/.gitignore"):
        assert (project.folder / name).read_bytes() == (twin.folder / name).read_bytes()


def test_threads_and_resources_of_meta_reach_snakemake(tmp_path: Path) -> None:
    """On 8 cores and one GPU: no two stages at once where each asks for the GPU, or 5 threads."""
    stages = """
stages:
  plain: {cmd: echo 0 > plain.txt, outs: [plain.txt]}
  fit:
    matrix: {n: [1, 2, 3]}
    desc: Fit ${item.n}
    cmd: mkdir fitting && sleep 0.5 && rmdir fitting && echo ${item.n} > ${item.n}.txt
    deps: [plain.txt]
    outs: ["${item.n}.txt"]
    meta: {snakemake: {resources: {gpu: 1, mem_mb: 100, queue: long}}}
  "score it":
    foreach: [1, 2]
    do:
      cmd: mkdir scoring && sleep 0.5 && rmdir scoring
      deps: ["${item}.txt", sub/x.txt]
      meta: {snakemake: {threads: 5}}
"""
    files = {
        "dvc.yaml": stages,
        "sub/dvc.yaml": """
stages:
  x:
    cmd: mkdir ../fitting && sleep 0.5 && rmdir ../fitting && echo x > x.txt
    outs: [x.txt]
    meta: {snakemake: {resources: {gpu: 1}}}
""",
    }
    project = lay_out(tmp_path / "project", files)
    command = ("snakemake", "--snakefile", SNAKEFILE, "--cores", "8")
    said = project.run(*command, "--resources", "gpu=1").stdout
    assert set(re.findall(r"^Job \d+: (.+)", said, re.MULTILINE)) == {
        *(f"Fit {n}" for n in (1, 2, 3)),
        *(f"Stage score it@{n}" for n in (1, 2)),
        "Stage plain",
        "Stage sub/dvc.yaml:x",
        "All stages have been run",
    }
    assert project.status() == {}


RULES = """
import sys

sys.path.insert(0, "somewhere else")
from dvc_bridge.workflow import Bridge

dvc = Bridge(workflow)

rule all:
    input: dvc.targets
"""
RULE = """
rule {stage}:
    input: dvc.inputs("{stage}")
    output: dvc.outputs("{stage}")
    threads: dvc.threads("{stage}")
    resources: **dvc.resources("{stage}")
    params: **dvc.params("{stage}")
    shell: "python 'somewhere else/dvc_bridge' job {{params.stage:q}}"
"""


def test_named_rules_for_every_kind_of_stage(tmp_path: Path) -> None:
    """Snakemake knows the outs whose paths are fixed by wildcards; DVC knows the others."""
    stages = """
vars: [{folder: made}]
stages:
  plain: {cmd: "mkdir made; echo 1 > made/x.txt", outs: ["${folder}/x.txt"]}
  list:
    foreach: [a, b]
    do: {cmd: "cat made/x.txt > ${item}.txt", deps: [made/x.txt], outs: ["${item}.txt"]}
  dict:
    foreach: {p: {n: 1}, q: {n: 2}}
    do:
      cmd: cat a.txt > ${key}.out; cat a.txt > ${item.n}.out
      deps: [a.txt]
      outs: ["${key}.out", "${item.n}.out"]
  grid:
    matrix: {n: [1, 2], thing: [{v: x}, {v: y}]}
    cmd: cat p.out > ${item.n}-${item.thing.v}.txt
    deps: [p.out, 1.out]
    outs: ["${item.n}-${item.thing.v}.txt"]
    meta: {snakemake: {threads: 2, resources: {gpu: 1}}}
  last: {cmd: "cat *-*.txt > last.txt", deps: [1-x.txt, 2-y.txt], outs: [last.txt]}
"""
    project = lay_out(tmp_path / "project", {"dvc.yaml": stages})
    twin = project.copy(tmp_path / "twin")
    rules = [RULE.format(stage=stage) for stage in ("plain", "list", "dict", "grid", "last")]
    snakefile = project.folder / "Snakefile"
    snakefile.write_text(
        "".join([RULES, *rules, "\ninclude: 'somewhere else/dvc_bridge/rules.smk'"])
    )
    project.snakemake()
    assert "Nothing to be done" in project.run("snakemake", "--cores", "1").stdout
    assert "Building DAG" in project.run("snakemake", "-n", "b.txt", "q.out").stdout
    twin.repro()
    snakefile.unlink()
    assert results(project) == results(twin)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ("{threads: many}", "a: meta.snakemake.threads = 'many': must be 1 or more"),
        ("{resources: 3}", "a: meta.snakemake.resources = 3: must be a mapping"),
        (
            "{resources: {gpu: [1]}}",
            "a: meta.snakemake.resources.gpu = [1]: must be an integer or a string",
        ),
    ],
)
def test_resources_that_snakemake_cannot_take(meta: str, message: str, tmp_path: Path) -> None:
    stages = f"stages:\n  a: {{cmd: 'true', meta: {{snakemake: {meta}}}}}\n"
    project = lay_out(tmp_path / "project", {"dvc.yaml": stages})
    done = project.run("snakemake", "--snakefile", SNAKEFILE, "-n", check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == f"error: {message}"
    assert "Traceback" not in done.stdout


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
