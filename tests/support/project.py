"""A small copy of this project, with little data in the real IDX format, to run in tests."""

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ruamel.yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Project:
    """A checkout, with methods for the commands that users run in it."""

    folder: Path

    def run(
        self, *command: str, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; its `stdout` has standard output and standard error together."""
        done = subprocess.run(
            [program(command[0]), *command[1:]],
            cwd=self.folder,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",  # such as pictures in the history of Git
        )
        if check and done.returncode:
            raise AssertionError(
                f"{' '.join(command)} ended with exit status {done.returncode}:\n{done.stdout}"
            )
        return done

    def environment(self, **changes: str) -> dict[str, str]:
        """Return a user's environment: `.venv` is activated, FASHION_MNIST_DIR is set."""
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "VIRTUAL_ENV"))
        }
        inherited["PATH"] = f"{BIN}{os.pathsep}{inherited['PATH']}"
        inherited["FASHION_MNIST_DIR"] = str(self.folder / "by hand")
        inherited["DVC_SITE_CACHE_DIR"] = f"{self.folder}.site-cache"  # else under /var/tmp
        return inherited | changes

    def repro(self, *arguments: str, **environment: str) -> str:
        """Run `dvc repro`; return its output."""
        return self.run("dvc", "repro", *arguments, check=True, **environment).stdout

    def snakemake(self, *arguments: str, **environment: str) -> str:
        """Run `snakemake --cores 4`; return its output."""
        return self.run("snakemake", "--cores", "4", *arguments, check=True, **environment).stdout

    def git(self, *arguments: str) -> str:
        """Run `git` with the name and address of an author; return its output."""
        author = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
        return self.run("git", *author, *arguments).stdout

    def commit(self) -> None:
        """Commit everything that git does not ignore."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "state")

    def edit(self, change: Callable[[Any], None]) -> None:
        """Edit params.yaml with a function that modifies its contents; comments are kept."""
        yaml = ruamel.yaml.YAML()
        path = self.folder / "params.yaml"
        content = yaml.load(path)
        change(content)
        yaml.dump(content, path)

    def params(self) -> dict[str, Any]:
        """Return the contents of params.yaml."""
        return ruamel.yaml.YAML(typ="safe").load(self.folder / "params.yaml")

    def status(self) -> dict[str, Any]:
        """Return what `dvc status` lists as changed, by stage."""
        *_, status = self.run("dvc", "status", "--json").stdout.splitlines()  # warnings come first
        return json.loads(status)

    def planned(self, *targets: str) -> set[str]:
        """Return the stages that `snakemake -n` lists."""
        done = self.run("snakemake", "-n", "--printshellcmds", *targets)
        stages = set(re.findall(r"dvc_bridge job (\S+)", done.stdout))
        assert bool(stages) != ("Nothing to be done" in done.stdout)
        return stages

    def assert_up_to_date(self) -> None:
        """Assert that neither Snakemake nor DVC has anything to do."""
        assert self.status() == {}
        assert self.planned() == set()

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return the contents of reports/metrics.json: the metrics of each model."""
        return json.loads((self.folder / "reports" / "metrics.json").read_text())

    def copy(self, folder: Path) -> "Project":
        """Copy the whole folder, including DVC's cache."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)


def program(name: str) -> str:
    """Return the path of a program in `.venv`, or its name if it is not installed there."""
    return str(BIN / name) if (BIN / name).exists() else name


def executed_stages(output: str) -> set[str]:
    """Return the stages whose commands were executed, from the output of either engine."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def write_idx(path: Path, values: np.ndarray) -> None:
    """Write an array to a file in the IDX format, with unsigned bytes."""
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


def write_data(folder: Path, train: int, test: int) -> str:
    """Write four IDX files of noisy images; each class has a bright band at another height.

    Args:
        folder: where to write them.
        train: the number of training images.
        test: the number of test images.

    Returns:
        The contents of a SHA256SUMS file.
    """
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    lines = []
    for prefix, count in (("train", train), ("t10k", test)):
        labels = np.arange(count) % 10
        images = random.integers(0, 120, size=(count, 28, 28))
        for image, label in zip(images, labels, strict=True):
            image[2 * label : 2 * label + 6, 4:24] += 100
        write_idx(folder / f"{prefix}-images-idx3-ubyte", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels)
    for path in sorted(folder.iterdir()):
        lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    return "".join(lines)


def make_project(folder: Path) -> Project:
    """Create a fresh clone of this project in `folder`, with little data and short trainings."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "reports/", "dvc.lock")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    project = Project(folder)
    (folder / "data" / "SHA256SUMS").write_text(write_data(folder / "by hand", 200, 60))
    (folder / ".gitignore").open("a").write("/by hand/\n")

    def shorten(content: Any) -> None:
        content["data"].update(train_size=150, test_size=50, sources=["$FASHION_MNIST_DIR"])
        content["training"].update(epochs=2)
        content["robustness"].update(test_size=10)
        del content["seeds"][1:]

    project.edit(shorten)
    project.git("init", "--quiet", "--initial-branch=main")
    project.commit()
    return project


STUB_STAGES = ["download", "subset", "corruptions", "train", "evaluate", "report"]


def make_stub_project(folder: Path) -> Project:
    """Create a clone of this project with stub stages, for tests of the engines alone."""
    project = make_project(folder)
    for stage in STUB_STAGES:
        script = folder / "workflow" / "scripts" / f"{stage}.py"
        shutil.copy(ROOT / "tests" / "support" / "stub_stage.py", script)
    return project


RUN_ALL_STAGES = """
import sys
from pathlib import Path
sys.path[:0] = ["workflow/scripts", sys.argv[1]]
from overfitting.common import params
from support.stub_stage import make
declared = params.read(Path("params.yaml"))
for stage in ("download", "subset", "corruptions"):
    make(stage, [])
for stage in ("train", "evaluate"):
    for model in declared.compare:
        for seed in declared.seeds:
            make(stage, [model, str(seed)])
make("report", [])
"""


def run_without_engine(project: Project, scratch: Path) -> Path:
    """Run all stages of a stub project once, in a new folder, without Snakemake and DVC.

    Returns:
        The folder, whose reports are those that a run in a fresh clone would give.
    """
    fresh = scratch / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    for name in ("workflow", "data/SHA256SUMS", "params.yaml", "dvc.yaml"):
        source = project.folder / name
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, fresh / name)
    Project(fresh).run(sys.executable, "-c", RUN_ALL_STAGES, str(ROOT / "tests"))
    return fresh


def reports(folder: Path) -> dict[str, str]:
    """Return the contents of all files in `reports` of a stub project, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted((folder / "reports").rglob("*"))
        if path.is_file()
    }
