"""A folder in which commands are run and timed as a user would type them."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from operator import getitem
from pathlib import Path

import ruamel.yaml

from overfitting.common.errors import UserError

ROOT = Path(__file__).parents[1]

Measured = Iterator[tuple[str, Mapping[str, float | str]]]
"""Cases, and the figures of each: numbers, or what was found in words."""
Measure = Callable[[], Measured]


class Checkout:
    """A folder with a project, and what the last command in it printed."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.lines: list[tuple[float, str]] = []
        """Each line the last command printed, after seconds since its start."""

    @classmethod
    def finished(cls, folder: Path) -> "Checkout":
        """Clone the last commit of this project and bring it up to date, helped by its cache.

        Without tests of robustness: what most sections measure is the lesson's own work.
        """
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        checkout = cls(folder)
        if (cache := ROOT / ".dvc" / "cache").exists():
            shutil.copytree(cache, folder / ".dvc" / "cache")
            checkout.timed("dvc", "checkout", "--quiet", "--allow-missing")
        (folder / ".venv").symlink_to(Path(sys.prefix))
        for lock in folder.glob("requirements*.txt"):
            os.utime(lock, (0, 0))  # `make` installs where a lock is newer than .venv
        checkout.edit({"robustness.test_size": 0})
        print("bringing a clone up to date; without `make` before, this trains all models")
        checkout.timed("snakemake", "--cores", "4")
        return checkout

    @contextmanager
    def copied(self) -> Iterator["Checkout"]:
        """Give a copy, to change; it is removed afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as parent:
            folder = Path(parent) / "checkout"
            shutil.copytree(self.folder, folder, symlinks=True)
            yield Checkout(folder)

    @contextmanager
    def with_raw_files_only(
        self, changes: Mapping[str, object] | None = None
    ) -> Iterator["Checkout"]:
        """Give a copy in which the data are downloaded and nothing else was ever run.

        Its params are those of the last commit, but for `changes`.
        """
        with self.copied() as checkout:
            checkout.timed("git", "checkout", "--quiet", "params.yaml")
            checkout.edit(changes or {})
            for made in ("models", "results", "data/subset", ".snakemake", ".dvc/cache/runs"):
                shutil.rmtree(checkout.folder / made)
            for made in ("dvc.lock", "data/corrupted.npz"):
                (checkout.folder / made).unlink()
            for stage in ("params", "download"):
                checkout.timed("dvc", "repro", "--quiet", "--single-item", stage)
            yield checkout

    def edit(self, changes: Mapping[str, object]) -> None:
        """Set values in params.yaml, by their keys, such as `training.epochs`."""
        yaml, path = ruamel.yaml.YAML(), self.folder / "params.yaml"
        params = yaml.load(path)
        for key, value in changes.items():
            *parents, last = key.split(".")
            reduce(getitem, parents, params)[last] = value
        yaml.dump(params, path)

    def timed(self, *command: str, **environment: str) -> dict[str, float]:
        """Run a command, keep the lines it prints with the time of each, return what it took.

        Returns:
            `wall` and `cpu` in seconds, `peak` in MiB: the memory of the largest process, but
            never less than this one has, which a command inherits for a moment.

        Raises:
            UserError: it failed.
        """
        begun = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout
        self.lines = [(time.perf_counter() - begun, line.rstrip("\n")) for line in process.stdout]
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - begun
        if process.returncode:
            raise UserError(f"{' '.join(command)} failed:\n{self.printed[-2000:]}")
        cpu = used.ru_utime + used.ru_stime
        return {"wall": wall, "cpu": cpu, "peak": used.ru_maxrss / 1024}

    @property
    def printed(self) -> str:
        """What the last command printed."""
        return "\n".join(line for _, line in self.lines)

    def when(self, text: str) -> list[float]:
        """When the last command printed lines with a text, in seconds since its start."""
        return [seconds for seconds, line in self.lines if text in line]

    def environment(self) -> dict[str, str]:
        """The environment of a user who has activated .venv."""
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return kept | {
            "PATH": os.pathsep.join([str(Path(sys.prefix, "bin")), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT / "workflow" / "scripts"),
            "DVC_SITE_CACHE_DIR": f"{self.folder}.site-cache",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
