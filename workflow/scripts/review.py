"""Compare the results of this checkout with those of another commit; print a review as Markdown.

The review says which metrics changed significantly. Run by `make review BASE=main`. Nothing is
written into the checkout. The results of both sides are those that dvc.lock records, read from
DVC's cache. Results of the other commit that are not in the cache are fetched from the default
remote, if there is one, into a temporary folder.
"""

import overfitting.common.environment  # noqa: F401

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

import numpy as np
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
    """A result of a run was not recorded, is corrupt or is not on this machine."""

    reason: str
    """The beginning of a sentence, without a full stop."""
    advice: str
    """A sentence that follows, with a leading space; may be empty."""


@dataclass(frozen=True)
class Side:
    """One of the two sides of the comparison: a commit, or the checkout."""

    name: str
    """For messages."""
    models: list[str]
    seeds: list[int]
    recorded: dict[str, str]
    """The MD5 checksum of each output in dvc.lock, by its path."""
    metrics: dict[str, dict[str, float | None]]
    """The contents of reports/metrics.json."""
    cache: Path
    """The folder of DVC's cache, whose files are named after their MD5 checksum."""
    folder: Path
    """Where outputs may also be under their own paths."""

    def results(self, model: str) -> dict[int, tuple[Path, Path]]:
        """Return the paths of evaluation.json and predictions.npz of a model, by seed.

        The dictionary is empty if this side does not have the model.

        Raises:
            MissingResultError: one of the files was not recorded or is not on this machine.
        """
        return {
            seed: (
                self.find(f"{RESULTS}/{model}/{seed}/evaluation.json"),
                self.find(f"{RESULTS}/{model}/{seed}/predictions.npz"),
            )
            for seed in (self.seeds if model in self.models else [])
        }

    def find(self, path: str) -> Path:
        """Return the path of a copy of an output.

        Raises:
            MissingResultError: it was not recorded or is not on this machine.
        """
        if path not in self.recorded:
            raise MissingResultError(f"{self.name} recorded no {Path(path).name}", "")
        md5 = self.recorded[path]
        for copy in (self.cache / md5[:2] / md5[2:], self.folder / path):
            if copy.exists():
                return copy
        raise MissingResultError(
            f"the results of {self.name} are not in DVC's cache",
            " In a checkout of it, `dvc pull` fetches them if they were pushed, and "
            "`snakemake --cores 4` recreates them.",
        )


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", help="the commit to compare with: a branch, a tag or a hash")
    parser.add_argument(
        "--figures",
        metavar="URL",
        help="link to the figures at a code host, where a committed file is at URL/COMMIT/PATH",
    )
    parser.add_argument(
        "--fail", choices=["worse"], help="end with status 1 if a metric became worse"
    )
    arguments = parser.parse_args(argv)
    # Without a handler, SIGTERM would end the process before the temporary folder is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    base = arguments.base
    commit = output_of(
        *("git", "rev-parse", "--verify", f"{base}^{{commit}}"),
        error=f"{base} is not a commit of this repository; name one: make review BASE=origin/main",
    )
    check_up_to_date()
    cache = Path(output_of(*DVC, "cache", "dir"), "files", "md5")
    with tempfile.TemporaryDirectory(prefix="review-") as folder:
        before = read(
            base, lambda path: output_of("git", "show", f"{commit}:./{path}"), cache, Path(folder)
        )
        after = read("this checkout", lambda path: Path(path).read_text("utf-8"), cache, Path())
        fetch_missing(before, commit, Path(folder))
        models, notes = compare(before, after)
    head = output_of("git", "rev-parse", "HEAD")
    print(
        page.render(
            f"Review against `{base}` ({commit[:7]})",
            models,
            notes,
            differing_params(base),
            page.curves(CURVES, base, (commit, head), arguments.figures),
        )
    )
    if arguments.fail and (worse := comparison.worse(models)):
        sys.stdout.flush()
        raise UserError(f"worse than {base}: {', '.join(worse)}")


def output_of(*command: str, error: str = "") -> str:
    """Run a command and return its standard output.

    Raises:
        UserError: the command failed. The message is `error` if given, otherwise the last line of
            the command's standard error.
    """
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise UserError(error or f"{' '.join([*command[-3:], 'failed:', *last])}")
    return done.stdout.strip()


def differing_params(base: str) -> str:
    """Return the params that differ from those of a commit as a Markdown table; empty if none."""
    table = output_of(*DVC, "params", "diff", "--md", base)
    return table if len(table.splitlines()) > 2 else ""  # else it has no row below its header


def check_up_to_date() -> None:
    """Check that the results were computed with the current code and params.

    Files that are not on this machine are ignored, because a fresh clone has none. The report stage
    is not checked: DVC would call it changed where the results folder is incomplete.

    Raises:
        UserError: the results are stale.
    """
    stale = "the results are stale: run `snakemake --cores 4` first (`dvc status` says why)"
    output = output_of(*DVC, "repro", "--dry", "--allow-missing", "evaluate", error=stale)
    if not output.endswith("Data and pipelines are up to date."):
        raise UserError(stale)


def read(name: str, read_text: Callable[[str], str], cache: Path, folder: Path) -> Side:
    """Read params.yaml, dvc.lock and reports/metrics.json of one side.

    Args:
        name: the name of the side, for messages.
        read_text: returns the text of the file at a path of the repository.
        cache: the folder of DVC's cache, which stores files by MD5 checksum.
        folder: where outputs may be that are not in the cache, by their paths.

    Raises:
        UserError: one of the files is not of this pipeline, or the pipeline has not been run.
    """
    yaml = ruamel.yaml.YAML(typ="safe")
    params, lock = yaml.load(read_text("params.yaml")), yaml.load(read_text("dvc.lock"))
    try:
        return Side(
            name,
            models=params["compare"],
            seeds=params["seeds"],
            recorded={
                out["path"]: out["md5"]
                for stage in lock["stages"].values()
                for out in stage.get("outs", [])
            },
            metrics=json.loads(read_text("reports/metrics.json")),
            cache=cache,
            folder=folder,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{name}: params.yaml, dvc.lock or reports/metrics.json does not belong to this "
            f"pipeline ({error}); name another commit"
        ) from None


def fetch_missing(side: Side, commit: str, folder: Path) -> None:
    """Fetch the results of a commit from the default remote if one is not on this machine.

    Args:
        side: the commit.
        commit: its hash.
        folder: where to put the results, below `RESULTS`.
    """
    try:
        for model in side.models:
            side.results(model)
    except MissingResultError:
        if output_of(*DVC, "config", "core.remote"):
            # A failure is ignored here: the review will list the results that are missing.
            command = ["get", "--quiet", ".", RESULTS, "--rev", commit]
            subprocess.run([*DVC, *command, "--out", str(folder / RESULTS)], capture_output=True)


def compare(before: Side, after: Side) -> tuple[dict[str, comparison.Comparison], list[str]]:
    """Compare each model that either side has.

    A model whose results are missing is listed with its means from reports/metrics.json.

    Returns:
        The comparisons by model, with verdicts, and a note for each reason why results are missing.
    """
    models: dict[str, comparison.Comparison] = {}
    notes: dict[str, str] = {}
    for model in dict.fromkeys([*after.models, *before.models]):
        try:
            models[model] = comparison.compare(runs_of(model, before), runs_of(model, after))
        except MissingResultError as error:
            notes[error.reason] = f"Some results were not compared: {error.reason}.{error.advice}"
            models[model] = comparison.from_metrics(
                before.metrics.get(model, {}), after.metrics.get(model, {}), error.reason
            )
    return comparison.judge(models), list(notes.values())


def runs_of(model: str, side: Side) -> comparison.Runs | None:
    """Read the runs of a model; None if this side does not have the model.

    Raises:
        MissingResultError: a result is corrupt or not on this machine.
    """
    files = side.results(model)
    if not files:
        return None
    seeds = sorted(files)
    try:
        evaluations = [read_record(files[seed][0]) for seed in seeds]
        predictions = [
            load_examples(files[seed][1], "probabilities", "labels", "corrupted") for seed in seeds
        ]
    except UserError as error:
        raise MissingResultError(f"of {side.name}, {error}", "") from None
    probabilities, labels, corrupted = zip(*predictions, strict=True)
    return comparison.Runs(
        seeds,
        np.array([evaluation["train"]["accuracy"] for evaluation in evaluations]),
        np.stack(probabilities),
        labels[0],
        np.stack(corrupted),
        evaluations[0]["augmentation"],
    )


if __name__ == "__main__":
    run_script(main)
