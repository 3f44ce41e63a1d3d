"""A small project to run for real: a copy of this one with small data in the real IDX format."""

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
    """A checkout and the commands that a user types in it."""

    folder: Path

    def run(
        self, *command: str, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; standard output and error come together, as in a terminal."""
        done = subprocess.run(
            [program(command[0]), *command[1:]],
            cwd=self.folder,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if check and done.returncode:
            words = " ".join(command)
            raise AssertionError(f"{words} ended with {done.returncode}:\n{done.stdout}")
        return done

    def environment(self, **changes: str) -> dict[str, str]:
        """A user's environment: `.venv` activated, the data in a folder of theirs."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "VIRTUAL_ENV"))}
        kept["PATH"] = f"{BIN}{os.pathsep}{kept['PATH']}"
        kept["FASHION_MNIST_DIR"] = str(self.folder / "by hand")
        kept["DVC_SITE_CACHE_DIR"] = f"{self.folder}.site-cache"  # it would outlive the tests
        return kept | changes

    def repro(self, *arguments: str, **environment: str) -> str:
        """`dvc repro`."""
        return self.run("dvc", "repro", *arguments, check=True, **environment).stdout

    def snakemake(self, *arguments: str, **environment: str) -> str:
        """`snakemake --cores 4`."""
        return self.run("snakemake", "--cores", "4", *arguments, check=True, **environment).stdout

    def git(self, *arguments: str) -> str:
        """`git`, as somebody."""
        who = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
        return self.run("git", *who, *arguments).stdout

    def commit(self) -> None:
        """Commit everything that git does not ignore."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "state")

    def edit(self, change: Callable[[Any], None]) -> None:
        """Edit params.yaml by a function that changes its contents; comments stay."""
        yaml = ruamel.yaml.YAML()
        path = self.folder / "params.yaml"
        content = yaml.load(path)
        change(content)
        yaml.dump(content, path)

    def params(self) -> dict[str, Any]:
        """What params.yaml says."""
        return ruamel.yaml.YAML(typ="safe").load(self.folder / "params.yaml")

    def status(self) -> dict[str, Any]:
        """What `dvc status` calls changed, by stage."""
        *_, status = self.run("dvc", "status", "--json").stdout.splitlines()  # after remarks
        return json.loads(status)

    def planned(self, *targets: str) -> set[str]:
        """The stages that `snakemake -n` would run."""
        done = self.run("snakemake", "-n", "--printshellcmds", *targets)
        found = set(re.findall(r"dvc_bridge job (\S+)", done.stdout))
        assert bool(found) != ("Nothing to be done" in done.stdout)
        return found

    def assert_up_to_date(self) -> None:
        """Both engines have nothing to do, from the same contents."""
        assert self.status() == {}
        assert self.planned() == set()

    def metrics(self) -> dict[str, dict[str, float]]:
        """What the report says about each model."""
        return json.loads((self.folder / "reports" / "metrics.json").read_text())

    def copy(self, folder: Path) -> "Project":
        """Another copy of the whole folder, with DVC's cache and all."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)


def program(name: str) -> str:
    """Where a program is that `.venv` has; others are found as usual."""
    return str(BIN / name) if (BIN / name).exists() else name


def executed_stages(output: str) -> set[str]:
    """The stages whose command was really run, by either engine."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def write_idx(path: Path, values: np.ndarray) -> None:
    """Write an IDX file of unsigned bytes."""
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


def write_data(folder: Path, train: int, test: int) -> str:
    """Write four IDX files of noisy images, a brighter band per class; return their checksums."""
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
    """Lay out this project in `folder` as a fresh clone, but with small data and short runs."""
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
    """Lay out this project with stub stages, where only the engines matter."""
    project = make_project(folder)
    for stage in STUB_STAGES:
        script = folder / "workflow" / "scripts" / f"{stage}.py"
        shutil.copy(ROOT / "tests" / "support" / "stub_stage.py", script)
    return project


ALL_AT_ONCE = """
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
    """What a fresh clone would make of params and stand-ins in a project, without any engine."""
    fresh = scratch / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    for name in ("workflow", "data/SHA256SUMS", "params.yaml", "dvc.yaml"):
        source = project.folder / name
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, fresh / name)
    Project(fresh).run(sys.executable, "-c", ALL_AT_ONCE, str(ROOT / "tests"))
    return fresh


def reports(folder: Path) -> dict[str, str]:
    """The contents of each file of a report that stand-ins have made."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted((folder / "reports").rglob("*"))
        if path.is_file()
    }
