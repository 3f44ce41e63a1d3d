"""What is measured of this project's own pipeline: a function per section."""

import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

from support.project import ROOT

from checkout import Checkout, Measure, Measured
from overfitting.common import yaml_files

MODELS = ["baseline", "regularized"]
RUN = ["snakemake", "--cores", "4"]
ALONE = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}/workflow/scripts"}


@cache
def finished(scratch: Path) -> Checkout:
    """Clone this project and bring it up to date, by its cache or else by training all models.

    Without tests of robustness: what most sections measure is the lesson's own work.
    """
    Checkout(scratch).run("git", "clone", "--quiet", str(ROOT), "finished")
    checkout = Checkout(scratch / "finished")
    if (cached := ROOT / ".dvc" / "cache").exists():
        shutil.copytree(cached, checkout.folder / ".dvc" / "cache")
        checkout.timed("dvc", "checkout", "--quiet", "--allow-missing")
    (checkout.folder / ".venv").symlink_to(Path(sys.prefix))
    os.utime(checkout.folder / "requirements.txt", (0, 0))  # else `make` installs it into .venv
    checkout.edit(lambda params: params["robustness"].update(test_size=0))
    checkout.timed(*RUN)
    return checkout


@contextmanager
def raw_files(scratch: Path, edit: Callable[[Any], None]) -> Iterator[Checkout]:
    """Give a clone in which the data are downloaded, params edited, and nothing else was run."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        checkout = Checkout(Path(folder))
        checkout.run("git", "clone", "--quiet", str(ROOT), ".")
        shutil.copytree(finished(scratch).folder / "data/raw", checkout.folder / "data/raw")
        (checkout.folder / "dvc.lock").unlink()
        checkout.edit(edit)
        checkout.timed("dvc", "repro", "--quiet", "--single-item", "params", "download")
        yield checkout


def whole(scratch: Path, number: int) -> list[Measure]:
    """The default job from the raw files, and the lesson's script once for each of its seeds.

    Beside them the job's ideal time: what its trainings and evaluations take one at a time, with
    nothing else at work, divided by the cores. Every seed is the same work, so one is measured.
    """
    seeds = yaml_files.load_yaml(ROOT / "params.yaml")["seeds"]
    stages = yaml_files.load_yaml(ROOT / "dvc.yaml")["stages"]

    def pipeline() -> Measured:
        with raw_files(scratch, lambda params: None) as checkout:
            figures = checkout.timed(*RUN)
            yield "pipeline", figures | phases(checkout, figures["wall"])
            seconds = 0.0
            for stage, model in product(("train", "evaluate"), MODELS):
                command = stages[stage]["cmd"].replace("${item.model}", model)
                words = command.replace("${item.seed}", str(seeds[0])).partition(".py ")[2].split()
                seconds += alone(checkout, "stage", stage, *words)["cpu"]
            cpu = len(seeds) * seconds
            yield "alone", {"cpu": cpu, "ideal": cpu / (os.cpu_count() or 1)}

    def lesson() -> Measured:
        script = str(ROOT / "benchmarks" / "lesson.py")
        runs = [finished(scratch).timed("python", script, "data/raw") for _ in seeds]
        wall, cpu = (sum(run[name] for run in runs) for name in ("wall", "cpu"))
        yield "lesson", {"wall": wall, "cpu": cpu, "peak": max(run["peak"] for run in runs)}

    return [pipeline, lesson]


def training(scratch: Path, number: int) -> list[Measure]:
    """An epoch of one training alone, in CPU-seconds: here, the lesson's way, in PyTorch."""
    ways = {"pipeline": "pipeline", "lesson": "lesson", "lesson, oneDNN off": "lesson"}
    if importlib.util.find_spec("torch"):
        ways["PyTorch"] = "pytorch"

    def measured(case: str, *words: str) -> Measured:
        environment = {"TF_ENABLE_ONEDNN_OPTS": "0"} if "off" in case else {}
        yield case, alone(finished(scratch), *words, **environment)

    epochs = [
        partial(measured, f"{case}, {model}", "epoch", ways[case], model)
        for case, model in product(ways, MODELS)
    ]
    return [partial(measured, "sgemm", "sgemm"), *epochs]


def growth(scratch: Path, number: int) -> list[Measure]:
    """The lesson's own work with one epoch for each training, for more and more seeds."""

    def with_seeds(count: int) -> Measured:
        def edit(params: Any) -> None:
            params.update(seeds=list(range(count)), robustness={"test_size": 0})
            params["training"].update(epochs=1)

        with raw_files(scratch, edit) as checkout:
            yield str(count), checkout.timed(*RUN)

    return [partial(with_seeds, count) for count in (1, 2, 4, 8)]


def idle(scratch: Path, number: int) -> list[Measure]:
    """Nothing to do."""

    def timed(command: str) -> Measured:
        yield command, finished(scratch).timed(*command.split())

    engines = ["dvc status", "dvc repro", "snakemake --cores 4", "snakemake -n"]
    return [partial(timed, command) for command in [*engines, "make", "make verify"]]


def edited(scratch: Path, number: int) -> list[Measure]:
    """The regularized model's dropout edited: the whole run, and its trainings within it."""
    dropout = {"conv": 0.25, "dense": round(0.41 + number / 100, 2)}

    def rerun() -> Measured:
        checkout = finished(scratch)
        checkout.edit(lambda params: params["models"]["regularized"].update(dropout=dropout))
        figures = checkout.timed(*RUN)
        yield "snakemake --cores 4", figures | phases(checkout, figures["wall"])

    return [rerun]


def phases(checkout: Checkout, wall: float) -> dict[str, float]:
    """Divide the wall time of the run just timed, in seconds, by what Snakemake printed."""

    def when(text: str) -> list[float]:
        return [seconds for seconds, line in checkout.lines if text in line]

    begun, trained, evaluated = when("Train ")[0], when(": train)")[-1], when(": evaluate)")[-1]
    training, evaluating, report = trained - begun, evaluated - trained, wall - evaluated
    return {"planning": begun, "training": training, "evaluating": evaluating, "report": report}


def alone(checkout: Checkout, *words: str, **environment: str) -> dict[str, float]:
    """Return what `alone.py` measures with nothing else at work."""
    script = str(ROOT / "benchmarks" / "alone.py")
    checkout.timed("python", script, *words, **environment, **ALONE)
    return json.loads(checkout.lines[-1][1])
