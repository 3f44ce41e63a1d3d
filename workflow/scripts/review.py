"""Print what this checkout changes against another commit, told from noise, as Markdown.

Run by `make review BASE=main`. Nothing is written into the checkout. The results of both sides are
those that dvc.lock records, read from DVC's cache; what the cache lacks of the other commit's is
fetched from the default remote, if there is one, into a temporary folder.
"""

import overfitting.common.check_environment  # noqa: F401

# isort: split
import argparse
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ruamel.yaml

from overfitting.common.console import run_script
from overfitting.common.datasets import load_examples
from overfitting.common.errors import UserError
from overfitting.common.files import read_record
from overfitting.review import comparison, page

DVC = [sys.executable, "-m", "dvc"]
RESULTS = "results"
CURVES = {
    "reports/figures/curves.svg": "Learning curves",
    "reports/figures/gap.svg": "Gap per epoch",
}


@dataclass
class MissingResultError(Exception):
    """A result of a run is not on this machine."""

    why: str
    advice: str


@dataclass(frozen=True)
class Side:
    """A commit, or the checkout: what Git has of it, and where its results are."""

    name: str
    models: list[str]
    seeds: list[int]
    recorded: dict[str, str]
    """The MD5 of each out, by its path."""
    metrics: dict[str, dict[str, float | None]]
    """The contents of reports/metrics.json."""
    places: list[Callable[[str, str], Path]]
    """From an out's path and MD5 to where it may lie."""

    def results(self, model: str) -> dict[int, tuple[Path, Path]]:
        """Return evaluation.json and predictions.npz of a model by seed; none if not compared.

        Raises:
            MissingResultError: one is not on this machine.
        """
        return {
            seed: (
                self.find(f"{RESULTS}/{model}/{seed}/evaluation.json"),
                self.find(f"{RESULTS}/{model}/{seed}/predictions.npz"),
            )
            for seed in (self.seeds if model in self.models else [])
        }

    def find(self, path: str) -> Path:
        """Return where an out is.

        Raises:
            MissingResultError: it is not on this machine.
        """
        if path not in self.recorded:
            raise MissingResultError(f"{self.name} recorded no {Path(path).name}", "")
        for place in self.places:
            if (copy := place(path, self.recorded[path])).exists():
                return copy
        raise MissingResultError(
            f"the results of {self.name} are not in DVC's cache",
            " There, `dvc pull` brings them if they were pushed, and `snakemake --cores 4` makes "
            "them again.",
        )


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", help="the commit to compare with: a branch, a tag or a hash")
    parser.add_argument(
        "--figures",
        metavar="URL",
        help="where a forge has committed files, as URL/COMMIT/PATH; the figures are linked there",
    )
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # not before the folder is removed

    base = arguments.base
    commit = ask(
        *("git", "rev-parse", "--verify", f"{base}^{{commit}}"),
        otherwise=f"{base} is no commit here; name one: make review BASE=origin/main",
    )
    refuse_stale()
    cache = Path(ask(*DVC, "cache", "dir"), "files", "md5")
    with tempfile.TemporaryDirectory(prefix="review-") as folder:
        before = read(
            base, lambda path: ask("git", "show", f"{commit}:./{path}"), cache, Path(folder)
        )
        after = read("this checkout", lambda path: Path(path).read_text("utf-8"), cache, Path())
        fetch_missing(before, commit, Path(folder))
        models, notes = compare(before, after)
    print(
        page.page(
            f"Review against `{base}` ({commit[:7]})",
            models,
            notes,
            ask(*DVC, "params", "diff", "--md", base),
            page.curves(CURVES, base, (commit, ask("git", "rev-parse", "HEAD")), arguments.figures),
        )
    )


def ask(*command: str, otherwise: str = "") -> str:
    """Return what a command prints.

    Raises:
        UserError: it fails; the message is `otherwise`, or the last line of its own.
    """
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise UserError(otherwise or f"{' '.join([*command[-3:], 'failed:', *last])}")
    return done.stdout.strip()


def refuse_stale() -> None:
    """Raise a UserError unless the results were made from this code and these params.

    Files that are not on this machine do not count: a fresh clone has none. Nor does the report,
    as a folder with some of the results only would count as a change of it.
    """
    stale = "the results are stale: run `snakemake --cores 4` first (`dvc status` says why)"
    said = ask(*DVC, "repro", "--dry", "--allow-missing", "evaluate", otherwise=stale)
    if not said.endswith("Data and pipelines are up to date."):
        raise UserError(stale)


def read(name: str, text_of: Callable[[str], str], cache: Path, folder: Path) -> Side:
    """Read what Git has of one side.

    Args:
        name: for people.
        text_of: from a path to what that file says.
        cache: where DVC keeps files, by their MD5.
        folder: where outs may lie that are not in the cache, by their paths.

    Raises:
        UserError: it is no finished run of this pipeline.
    """
    yaml = ruamel.yaml.YAML(typ="safe")
    declared, lock = yaml.load(text_of("params.yaml")), yaml.load(text_of("dvc.lock"))
    try:
        return Side(
            name,
            models=declared["compare"],
            seeds=declared["seeds"],
            recorded={
                out["path"]: out["md5"]
                for stage in lock["stages"].values()
                for out in stage.get("outs", [])
            },
            metrics=json.loads(text_of("reports/metrics.json")),
            places=[
                lambda _, md5: cache / md5[:2] / md5[2:],
                lambda path, _: folder / path,
            ],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{name}: params.yaml, dvc.lock or reports/metrics.json is not of this pipeline "
            f"({error}); name another commit"
        ) from None


def fetch_missing(side: Side, commit: str, folder: Path) -> None:
    """Get the results of a commit from the default remote if one of them is not here."""
    try:
        for model in side.models:
            side.results(model)
    except MissingResultError:
        if ask(*DVC, "config", "core.remote"):
            # If this fails, the comparison says what is missing.
            command = ["get", "--quiet", ".", RESULTS, "--rev", commit]
            subprocess.run([*DVC, *command, "--out", str(folder / RESULTS)], capture_output=True)


def compare(before: Side, after: Side) -> tuple[dict[str, comparison.Comparison], list[str]]:
    """Compare each model of either side; from reports/metrics.json where results are missing.

    Returns:
        The models by name, and a note for each thing that is missing.
    """
    models: dict[str, comparison.Comparison] = {}
    notes: dict[str, str] = {}
    for model in dict.fromkeys([*after.models, *before.models]):
        try:
            models[model] = comparison.compare(runs_of(model, before), runs_of(model, after))
        except MissingResultError as error:
            notes[error.why] = f"Not all is judged: {error.why}.{error.advice}"
            models[model] = comparison.from_metrics(
                before.metrics.get(model, {}), after.metrics.get(model, {}), error.why
            )
    return models, list(notes.values())


def runs_of(model: str, side: Side) -> dict[int, comparison.Run]:
    """Read the runs of a model, by seed.

    Raises:
        MissingResultError: a result is not on this machine, or corrupt.
    """
    runs = {}
    for seed, (evaluation, predictions) in side.results(model).items():
        try:
            measured = read_record(evaluation)
            probabilities, labels = load_examples(predictions, "probabilities", "labels")
        except UserError as error:
            raise MissingResultError(f"of {side.name}, {error}", "") from None
        runs[seed] = comparison.Run(measured, probabilities.argmax(axis=1) == labels, labels)
    return runs


if __name__ == "__main__":
    run_script(main)
