"""Measure how long the pipeline takes, against the lesson's script, PyTorch and DVC alone.

    make bench                             everything, five rounds: about three hours on two cores
    make bench BENCH="--only idle edited"  some sections; the others' figures are kept
    make bench BENCH="--rounds 2"          fewer rounds
    make bench BENCH="--rounds 2 --add"    two more rounds, beside those measured before

Every section goes round by round, each case once per round and in changing order, so that a
machine that slows down slows all of them. What takes long and is compared with nothing else in
its round, `full` and `stages`, is measured once. Each figure is added to `benchmarks/results.csv`
when it is known; a section that is measured again replaces its old figures, unless rounds are
added to them. At the end `benchmarks/results.md` and the plot are made from that file.
"""

import argparse
import csv
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path

import machine
import page
from checkout import Checkout
from many_stages import MODELS, ManyStages
from overfitting.common.console import run_script

HERE = Path(__file__).parent
RESULTS = HERE / "results.csv"
COLUMNS = ["section", "case", "round", "figure", "value"]
ROBUSTNESS = 1000  # test images that are shifted and corrupted by default
GROWTH_SEEDS = [1, 2, 4, 8]
GROWTH_IMAGES = [3000, 15000, 30000, 60000]
ONCE = {"full", "stages"}
GROWTH_RUNS = [10, 100, 1000, 5000]
GROWTH_EPOCHS = 1  # the overhead of a seed weighs most when its training is short

Figures = Iterator[tuple[str, dict[str, float]]]


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--add", action="store_true", help="keep the rounds measured before")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        finished = Checkout.finished(Path(scratch) / "finished")
        for section in arguments.only:
            others = [row for row in read() if row["section"] != section]
            earlier = [row for row in read() if row["section"] == section and arguments.add]
            first = page.Results(RESULTS).rounds(section) if earlier else 0
            measured = [row for row in earlier if row["round"] and int(row["round"]) < first]
            rounds = first + (1 if section in ONCE else arguments.rounds)
            write([*others, *machine.rows(section, rounds, earlier), *measured])
            for number in range(first, rounds):
                for case, figures in SECTIONS[section](finished, number):
                    say(f"{section} {number + 1}/{rounds}  {case}  {in_words(figures)}")
                    rows = [
                        dict(zip(COLUMNS, (section, case, number, *figure), strict=True))
                        for figure in figures.items()
                    ]
                    write([*read(), *rows])
    page.write(RESULTS, HERE)
    say(f"written to {HERE / 'results.md'}")


def whole(finished: Checkout, number: int) -> Figures:
    """The whole job with one seed, from the raw files to the report, and the lesson's script.

    Each round has a seed of its own, and the lesson's script sets none, so the accuracies of both
    can be compared over the rounds.
    """

    def pipeline(case: str, n_corrupted: int) -> Figures:
        with finished.with_raw_files_only([number], n_corrupted=n_corrupted) as checkout:
            figures = checkout.timed("snakemake", "--cores", "4")
            metrics = json.loads((checkout.folder / "reports" / "metrics.json").read_text())
            yield (
                case,
                figures
                | {
                    f"test accuracy, {model}": metrics[model]["test_accuracy"]
                    for model in ("baseline", "regularized")
                },
            )

    def lesson() -> Figures:
        script = str(HERE / "lesson.py")
        figures = finished.timed("python", script, "data/raw")
        measured = json.loads(finished.printed.splitlines()[-1])
        yield (
            "lesson",
            figures
            | {f"test accuracy, {model}": measured[model]["test_accuracy"] for model in measured},
        )

    ways: list[Callable[[], Figures]] = [
        partial(pipeline, "pipeline", 0),
        partial(pipeline, "pipeline, tests of robustness", ROBUSTNESS),
        lesson,
    ]
    yield from in_turn(number, ways)


def training(finished: Checkout, number: int) -> Figures:
    """One training alone, CPU-seconds per epoch: here, the lesson's way, in PyTorch."""
    cases: dict[str, tuple[str, dict[str, str]]] = {
        "pipeline": ("pipeline", {}),
        "lesson": ("lesson", {}),
        "lesson, oneDNN off": ("lesson", {"TF_ENABLE_ONEDNN_OPTS": "0"}),
    }
    if importlib.util.find_spec("torch"):
        cases["PyTorch"] = ("pytorch", {})

    def alone(case: str, model: str) -> Callable[[], Figures]:
        way, environment = cases[case]
        return lambda: iter(
            [(f"{case}, {model}", training_alone(finished, way, model, environment))]
        )

    measure = [alone(case, model) for case in cases for model in ("baseline", "regularized")]
    yield "sgemm", training_alone(finished, "sgemm", "baseline")
    yield from in_turn(number, measure)
    yield "sgemm", training_alone(finished, "sgemm", "baseline")


def seeds(finished: Checkout, number: int) -> Figures:
    """The whole job for more and more seeds."""

    def with_seeds(count: int) -> Callable[[], Figures]:
        def measured() -> Figures:
            with finished.with_raw_files_only(list(range(count)), GROWTH_EPOCHS) as checkout:
                yield str(count), checkout.timed("snakemake", "--cores", "4")

        return measured

    yield from in_turn(number, [with_seeds(count) for count in GROWTH_SEEDS])


def images(finished: Checkout, number: int) -> Figures:
    """The baseline's training for more and more images."""

    def with_images(count: int) -> Callable[[], Figures]:
        return lambda: iter(
            [(str(count), training_alone(finished, "pipeline", "baseline", images=count))]
        )

    yield from in_turn(number, [with_images(count) for count in GROWTH_IMAGES])


def full(finished: Checkout, number: int) -> Figures:
    """Every stage with all images there are, one after the other, with one seed."""
    with finished.with_raw_files_only([number], n_corrupted=ROBUSTNESS) as checkout:
        checkout.edit(lambda params: params["data"].update(train_size=60_000, test_size=10_000))
        runs = [f"{stage}@{model}-{number}" for stage in ("train", "evaluate") for model in MODELS]
        for stage in ("subset", "corruptions", *runs, "report"):
            case = stage.removesuffix(f"-{number}")
            yield case, checkout.timed("dvc", "repro", "--single-item", stage)


def stages(finished: Checkout, number: int) -> Figures:
    """The engines' own work for more and more runs (model and seed), with stages that stand in."""

    def with_runs(runs: int) -> Callable[[], Figures]:
        def measured() -> Figures:
            checkout = many_stages(finished.folder.parent, runs)
            status = checkout.timed("dvc", "status")
            planned = checkout.timed("snakemake", "-n")
            figures = {"dvc status": status["cpu"], "dvc status, memory": status["peak"]}
            figures |= {"snakemake -n": planned["cpu"], "snakemake -n, memory": planned["peak"]}
            yield str(runs), figures | checkout.engines_work()

        return measured

    yield from in_turn(number, [with_runs(runs) for runs in GROWTH_RUNS])


@cache
def many_stages(folder: Path, runs: int) -> ManyStages:
    """Lay out a checkout with many runs, once for all rounds."""
    return ManyStages(folder / f"{runs} runs", runs)


def idle(finished: Checkout, number: int) -> Figures:
    """Nothing to do; and what it takes Snakemake to start, without this project."""
    engines = ["dvc status", "dvc repro", "snakemake --cores 4", "snakemake -n"]
    commands = [*engines, "make", "make verify"]

    def timed(command: str) -> Callable[[], Figures]:
        return lambda: iter([(command, finished.timed(*command.split()))])

    def of_one_rule() -> Figures:
        checkout = one_rule(finished.folder.parent / "one rule")
        yield "snakemake --cores 4, one rule", checkout.timed("snakemake", "--cores", "4")

    yield from in_turn(number, [*map(timed, commands), of_one_rule])


@cache
def one_rule(folder: Path) -> Checkout:
    """Lay out a folder with a Snakefile of one rule, which has nothing to do."""
    folder.mkdir()
    (folder / "Snakefile").write_text('rule made:\n    output:\n        touch("made"),\n')
    (folder / "made").touch()
    return Checkout(folder)


def edited(finished: Checkout, number: int) -> Figures:
    """The regularized model's dropout edited: the whole run, and its trainings within it."""
    with finished.copied() as checkout:
        checkout.edit(
            lambda params: params["models"]["regularized"]["dropout"].update(
                dense=round(0.41 + number / 100, 2)
            )
        )
        figures = checkout.timed("snakemake", "--cores", "4")
        begun = checkout.when("Train regularized")[0]
        trained = checkout.when("(Rule: train)")[-1]
        evaluated = checkout.when("(Rule: evaluate)")[-1]
        yield (
            "snakemake --cores 4",
            figures
            | {
                "planning": begun,
                "training": trained - begun,
                "evaluating": evaluated - trained,
                "report": figures["wall"] - evaluated,
            },
        )


SECTIONS = {
    "whole": whole,
    "training": training,
    "seeds": seeds,
    "images": images,
    "full": full,
    "stages": stages,
    "idle": idle,
    "edited": edited,
}


def training_alone(
    finished: Checkout,
    way: str,
    model: str,
    environment: dict[str, str] | None = None,
    images: int = 15000,
) -> dict[str, float]:
    script = str(HERE / "training_alone.py")
    return finished.run_json(
        *("python", script, way, model, "data/raw", "--images", str(images)),
        OPENBLAS_NUM_THREADS="1",
        **environment or {},
    )


def in_turn(number: int, measures: list[Callable[[], Figures]]) -> Figures:
    """Run each of `measures` once; where they begin changes from round to round."""
    for position in range(len(measures)):
        yield from measures[(position + number) % len(measures)]()


def in_words(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def read() -> list[dict[str, str]]:
    if not RESULTS.exists():
        return []
    with RESULTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(rows: Iterable[Mapping[str, object]]) -> None:
    from overfitting.common.files import atomic_write

    with atomic_write(RESULTS) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    run_script(main)
