"""What is measured of this project's own pipeline: a function per section."""

import importlib.util
import json
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import ruamel.yaml

from checkout import ROOT, Checkout, Measure, Measured

MODELS = ["baseline", "regularized"]
RUN = ["snakemake", "--cores", "4"]


@cache
def finished(scratch: Path) -> Checkout:
    """Lay out a checkout of this project in which all is done, once for all sections."""
    return Checkout.finished(scratch / "finished")


def whole(scratch: Path, number: int) -> list[Measure]:
    """The default job from the raw files, and the lesson's script once for each of its seeds.

    Beside them the job's ideal time: what its trainings and evaluations take one at a time, with
    nothing else at work, divided by the cores. Every seed is the same work, so one is measured.
    """
    seeds = read_yaml("params.yaml")["seeds"]

    def pipeline() -> Measured:
        with finished(scratch).with_raw_files_only() as checkout:
            figures = checkout.timed(*RUN)
            yield "pipeline", figures | phases(checkout, figures["wall"])
            seconds = 0.0
            for stage, model in product(("train", "evaluate"), MODELS):
                command = read_yaml("dvc.yaml")["stages"][stage]["cmd"]
                command = command.replace("${item.model}", model)
                words = command.replace("${item.seed}", str(seeds[0])).split()[2:]
                seconds += alone(checkout, "stage", stage, *words)["cpu"]
            cpu = len(seeds) * seconds
            yield "alone", {"cpu": cpu, "ideal": cpu / (psutil.cpu_count() or 1)}

    def lesson() -> Measured:
        script = str(ROOT / "benchmarks" / "lesson.py")
        runs = [finished(scratch).timed("python", script, "data/raw") for _ in seeds]
        wall, cpu = (sum(figures[name] for figures in runs) for name in ("wall", "cpu"))
        yield "lesson", {"wall": wall, "cpu": cpu, "peak": max(run["peak"] for run in runs)}

    return [pipeline, lesson]


def training(scratch: Path, number: int) -> list[Measure]:
    """An epoch of one training alone, in CPU-seconds: here, the lesson's way, in PyTorch."""
    ways = {"pipeline": "pipeline", "lesson": "lesson", "lesson, oneDNN off": "lesson"}
    if importlib.util.find_spec("torch"):
        ways["PyTorch"] = "pytorch"

    def epoch(case: str, model: str) -> Measured:
        environment = {"TF_ENABLE_ONEDNN_OPTS": "0"} if "off" in case else {}
        yield f"{case}, {model}", alone(finished(scratch), ways[case], model, **environment)

    def sgemm() -> Measured:
        yield "sgemm", alone(finished(scratch), "sgemm")

    return [sgemm, *(partial(epoch, case, model) for case in ways for model in MODELS)]


def growth(scratch: Path, number: int) -> list[Measure]:
    """The lesson's own work with one epoch for each training, for more and more seeds."""

    def with_seeds(count: int) -> Measured:
        changes = {"seeds": list(range(count)), "robustness.test_size": 0, "training.epochs": 1}
        with finished(scratch).with_raw_files_only(changes) as checkout:
            yield str(count), checkout.timed(*RUN)

    return [partial(with_seeds, count) for count in (1, 2, 4, 8)]


def idle(scratch: Path, number: int) -> list[Measure]:
    """Nothing to do; and what it takes Snakemake to start, without this project."""
    engines = ["dvc status", "dvc repro", "snakemake --cores 4", "snakemake -n"]

    def timed(command: str) -> Measured:
        yield command, finished(scratch).timed(*command.split())

    def of_one_rule() -> Measured:
        yield "snakemake --cores 4, one rule", one_rule(scratch).timed(*RUN)

    return [
        *(partial(timed, command) for command in [*engines, "make", "make verify"]),
        of_one_rule,
    ]


@cache
def one_rule(scratch: Path) -> Checkout:
    """Lay out a folder with a Snakefile of one rule, which has nothing to do."""
    folder = scratch / "one rule"
    folder.mkdir()
    (folder / "Snakefile").write_text('rule made:\n    output:\n        touch("made"),\n')
    (folder / "made").touch()
    return Checkout(folder)


def edited(scratch: Path, number: int) -> list[Measure]:
    """The regularized model's dropout edited: the whole run, and its trainings within it."""

    def rerun() -> Measured:
        with finished(scratch).copied() as checkout:
            checkout.edit({"models.regularized.dropout.dense": round(0.41 + number / 100, 2)})
            figures = checkout.timed(*RUN)
            yield "snakemake --cores 4", figures | phases(checkout, figures["wall"])

    return [rerun]


def phases(checkout: Checkout, wall: float) -> dict[str, float]:
    """Divide the wall time of the run just timed, in seconds, by what Snakemake printed."""
    begun = min(seconds for model in MODELS for seconds in checkout.when(f"Train {model}"))
    trained = checkout.when("(Rule: train)")[-1]
    evaluated = checkout.when("(Rule: evaluate)")[-1]
    return {
        "planning": begun,
        "training": trained - begun,
        "evaluating": evaluated - trained,
        "report": wall - evaluated,
    }


def alone(checkout: Checkout, *words: str, **environment: str) -> dict[str, float]:
    """Return what `alone.py` measures with nothing else at work."""
    script = str(ROOT / "benchmarks" / "alone.py")
    checkout.timed("python", script, *words, OPENBLAS_NUM_THREADS="1", **environment)
    return json.loads(checkout.printed.splitlines()[-1])


def read_yaml(name: str) -> Any:
    return ruamel.yaml.YAML(typ="safe").load(ROOT / name)
