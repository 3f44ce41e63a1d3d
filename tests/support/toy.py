"""A toy pipeline of shell commands with a copy of `dvc_bridge`, for tests of that package."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from support.project import ROOT, Project

PIPELINE = """
stages:
  source:
    desc: Copy the numbers
    cmd: cp input.txt numbers.txt
    deps: [input.txt]
    outs: [numbers.txt]
  power:
    desc: Raise ${item.name} to ${item.power}
    matrix:
      name: ${names}
      power: ${powers}
    cmd: >-
      mkdir -p out/${item.name}; echo ${item.name} ${item.power} >> ran.txt;
      while [ -e wait-${item.name}-${item.power} ]; do sleep 0.05; done;
      echo ${factor}${item.name}${item.power} | cat - numbers.txt >
      out/${item.name}/${item.power}.txt
    deps: [numbers.txt]
    params: [factor]
    outs:
      - out/${item.name}/${item.power}.txt
  total:
    desc: Add up
    cmd: cat out/*/*.txt > total.txt
    deps: [out]
    outs:
      - total.txt: {cache: false}
"""
PARAMS = "names: [a-1, b]\npowers: [2, 3]\nfactor: 7\n"
FACTOR_8 = PARAMS.replace("7", "8")
SNAKEFILE = """
import sys

sys.path.insert(0, f"{workflow.basedir}/anywhere")

from dvc_bridge.workflow import Bridge

dvc = Bridge(workflow)


rule all:
    input:
        dvc.targets,


rule power:
    input:
        dvc.inputs("power"),
    output:
        dvc.outputs("power"),
    params:
        **dvc.params("power"),
    log:
        "logs/power/{name}-{power}.log",
    benchmark:
        "logs/benchmarks/power/{name}-{power}.tsv"
    message:
        "{params.message}"
    shell:
        "python anywhere/dvc_bridge job {params.stage:q} > {log} 2>&1"


include: "anywhere/dvc_bridge/rules.smk"
"""
CONFIG = {
    ".dvc/config": "[core]\n    analytics = false\n    check_update = false\n",
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
}
POWERS = {f"power@{name}-{power}" for name in ("a-1", "b") for power in (2, 3)}
ALL = {"source", "total", *POWERS}


@dataclass(frozen=True)
class Toy(Project):
    """A checkout of the toy pipeline."""

    def ran(self) -> list[str]:
        """Return the stages `power@…` executed so far, in the order in which they started."""
        path = self.folder / "ran.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [f"power@{line.replace(' ', '-')}" for line in lines]

    def hold(self, run: str) -> Path:
        """Make a stage `power@…` block, once it runs, until the returned file is removed."""
        path = self.folder / f"wait-{run}"
        path.touch()
        return path

    def write(self, name: str, text: str) -> Path:
        """Write a file in the checkout; return its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def lock(self) -> str:
        """Return the contents of dvc.lock."""
        return (self.folder / "dvc.lock").read_text()

    def twin(self, folder: Path) -> "Toy":
        """Copy the whole folder, to run in it with DVC alone what is run here with Snakemake."""
        return Toy(self.copy(folder).folder)


def make_toy(folder: Path) -> Toy:
    """Create a fresh clone of the toy pipeline in `folder`."""
    toy = Toy(folder)
    package = ROOT / "workflow" / "scripts" / "dvc_bridge"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, folder / "anywhere" / "dvc_bridge", ignore=ignore)
    toy.write("dvc.yaml", PIPELINE)
    toy.write("params.yaml", PARAMS)
    toy.write("Snakefile", SNAKEFILE)
    toy.write("input.txt", "1 2 3\n")
    toy.write(".gitignore", "/numbers.txt\n/out/*/\n/.snakemake\n/logs\n/ran.txt\n/wait-*\n")
    toy.write("out/.gitignore", "")
    for name, text in CONFIG.items():
        toy.write(name, text)
    toy.git("init", "--quiet", "--initial-branch=main")
    toy.commit()
    return toy
