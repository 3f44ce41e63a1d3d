"""Stage report: the results of all runs as tables, figures, a page and its Markdown twin."""

import overfitting.common.check_environment  # noqa: F401

# isort: split
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from overfitting.analysis import claims, predictions, results
from overfitting.analysis.predictions import Predictions
from overfitting.common import datasets, params
from overfitting.common.arguments import ScriptArgumentParser
from overfitting.common.console import run_script, start_log
from overfitting.common.files import write_text
from overfitting.data import checksums
from overfitting.evaluation.corruptions import CORRUPTIONS
from overfitting.report import pages, tables
from overfitting.report.figures import images as image_figures
from overfitting.report.figures import learning as learning_figures
from overfitting.report.figures import predictions as prediction_figures
from overfitting.report.figures import robustness as robustness_figures
from overfitting.report.figures import style

DISPUTED = 12  # images shown on which the models disagree
PARTS = ["train", "validation", "test", "whole_test"]
SECTIONS = {  # of the report, by the number of the claim that their figures are about
    1: ("the gap", "the-gap"),
    2: ("the gap in its parts", "the-gap"),
    3: ("who errs where", "errors"),
    4: ("accuracy under shift", "shift"),
    7: ("reliability", "calibration"),
}


@dataclass(frozen=True)
class Found:
    """What the runs found, read and compared."""

    models: list[str]
    seeds: list[int]
    runs: list[dict[str, Any]]
    predictions: dict[str, Predictions]
    by_run: pd.DataFrame
    gaps: pd.DataFrame
    curves: pd.DataFrame
    claims: list[claims.Claim]
    corruptions: pd.DataFrame
    corruption_errors: pd.DataFrame
    reliability: pd.DataFrame
    confusions: dict[str, np.ndarray]


def main(argv: list[str]) -> None:
    parser = ScriptArgumentParser(__doc__)
    parser.add_input("results", "folder with the results of all runs")
    parser.add_input("train", "training subset (.npz)")
    parser.add_input("test", "test subset (.npz)")
    parser.add_input("corrupted", "the first test images, corrupted (.npz)")
    parser.add_input("checksums", "SHA-256 of each raw file")
    parser.add_input("templates", "folder with the templates")
    parser.add_output("reports", "folder of the report")
    arguments = parser.parse(argv)
    declared = params.stage_params("report")
    log = start_log("report")
    found = compare(arguments.results, declared["compare"], declared["seeds"])
    log.info("%d runs read and compared", len(found.runs))
    [test_images] = datasets.load_examples(arguments.test, "images")
    drawings = {
        **learning(found),
        **under_shift(found, test_images, arguments.corrupted),
        **of_predictions(found, test_images),
        **pictures(found, arguments.results, arguments.train),
    }
    data = checksums.read_checksums(arguments.checksums)

    # All has been read: what is corrupt was refused before anything is removed or written.
    for removed in results.remove_other_runs(arguments.results, found.models, found.seeds):
        log.info("%s: no longer asked for, removed (DVC's cache keeps it)", removed)
    for name, table in tables_of(found).items():
        text = table.to_csv(index=False, float_format="%.6f")
        write_text(arguments.reports / "tables" / f"{name}.csv", text)
    metrics = json.dumps(results.metrics(found.gaps), indent=2, allow_nan=False)
    write_text(arguments.reports / "metrics.json", metrics + "\n")
    for name, draw in drawings.items():
        style.save(draw(), arguments.reports / "figures" / f"{name}.svg")
        log.info("figure %s drawn", name)

    markdown = pages.render(arguments.templates / "report.md.j2", **words(found, data))
    write_text(arguments.reports / "report.md", markdown)
    page = pages.page(markdown, arguments.reports, arguments.templates / "page.html.j2")
    write_text(arguments.reports / "report.html", page)
    log.info("written to %s", arguments.reports / "report.html")


def compare(folder: Path, models: list[str], seeds: list[int]) -> Found:
    """Read the results of all runs and compare them."""
    runs = results.load_runs(folder, models, seeds)
    predicted = predictions.load(folder, models, seeds)
    augmentations = {run["model"]: run["augmentation"] for run in runs}
    by_run = results.runs_table(runs)
    corruptions = predictions.corruption_table(predicted, seeds, augmentations)
    return Found(
        models,
        seeds,
        runs,
        predicted,
        by_run,
        results.gap_table(by_run),
        results.curves_table(runs),
        claims.judge(by_run, predicted, augmentations),
        corruptions,
        predictions.corruption_errors(corruptions),
        predictions.reliability_table(predicted, seeds),
        predictions.confusions(predicted),
    )


def tables_of(found: Found) -> dict[str, pd.DataFrame]:
    """Return the tables that are kept as files, by name."""
    return {
        "gap": found.gaps,
        "curves": results.mean_curves(found.curves),
        "claims": claims.table(found.claims),
        "corruptions": found.corruptions,
        "reliability": found.reliability,
        "confusion": predictions.confusion_table(found.confusions),
    }


Drawings = dict[str, Callable[[], Figure]]
"""By name, what draws each figure; drawn and saved one by one, as they take much memory."""


def learning(found: Found) -> Drawings:
    """Return what draws the figures of training."""
    return {
        "split": partial(learning_figures.gap_split, found.by_run),
        "curves": partial(learning_figures.curves, found.curves),
        "gap": partial(learning_figures.gap_per_epoch, found.curves),
    }


def under_shift(found: Found, test_images: np.ndarray, corrupted: Path) -> Drawings:
    """Return what draws the figures of shifted and corrupted images."""
    if found.corruptions.empty:
        names = ["shift", "corruptions", "corruption_errors", "corrupted"]
        return not_measured(names, "robustness.test_size is 0")
    corrupted_images = zip(
        CORRUPTIONS, datasets.load_examples(corrupted, *CORRUPTIONS), strict=True
    )
    first = {name: np.stack([test_images[0], *images[:, 0]]) for name, images in corrupted_images}
    maps = predictions.shift_maps(found.predictions)
    return {
        "shift": partial(robustness_figures.shift_maps, maps),
        "corruptions": partial(robustness_figures.corruption_curves, found.corruptions),
        "corruption_errors": partial(robustness_figures.corruption_errors, found.corruption_errors),
        "corrupted": partial(image_figures.corrupted_pictures, first),
    }


def of_predictions(found: Found, test_images: np.ndarray) -> Drawings:
    """Return what draws the figures of who predicts what."""
    errors = dict(zip(found.gaps["model"], found.gaps["ece"], strict=True))
    drawings: Drawings = {
        "reliability": partial(prediction_figures.reliability_diagrams, found.reliability, errors),
        "confusion": partial(
            prediction_figures.confusion_matrices, found.confusions, datasets.CLASSES
        ),
    }
    if len(found.models) == 1:
        return drawings | not_measured(["classes", "disagreements"], "compare has one model")
    changes = predictions.class_changes(found.predictions, found.seeds)
    disputed = predictions.disputed(found.predictions, test_images, DISPUTED)
    return drawings | {
        "classes": partial(prediction_figures.class_changes, changes),
        "disagreements": partial(image_figures.disagreements, disputed),
    }


def pictures(found: Found, folder: Path, train: Path) -> Drawings:
    """Return what draws the figures of training images."""
    seen = results.augmented_images(folder, found.runs)
    images, labels = datasets.load_examples(train, "images", "labels")
    return {
        "augmentation": partial(image_figures.augmentation_grid, seen),
        "samples": partial(image_figures.samples, images, labels),
    }


def not_measured(names: list[str], reason: str) -> Drawings:
    """Return what draws, for each name, a figure that says why there is nothing to see."""
    draw = partial(style.not_measured, "Not measured", f"In params.yaml, {reason}.")
    return dict.fromkeys(names, draw)


def words(found: Found, data: dict[str, str]) -> dict[str, Any]:
    """Return what the template of the report is filled with.

    Args:
        data: the SHA-256 of each raw file.
    """
    return {
        "models": found.models,
        "seeds": found.seeds,
        "parts": {part: found.runs[0][part]["images"] for part in PARTS},
        "robustness_images": next(iter(found.predictions.values())).shifted.shape[-1],
        "answer": tables.answer(found.claims, found.gaps),
        "claims": found.claims,
        "sections": SECTIONS,
        "findings": tables.findings,
        "margin": f"{100 * claims.MARGIN:g} percentage point",
        "suggestion": "baseline" if found.models == ["regularized"] else "regularized",
        "lowest_loss": [
            (model, epoch, int(found.curves[found.curves["model"] == model]["epoch"].max()))
            for model, epoch in results.lowest_val_loss(found.curves).items()
        ],
        "tables": {
            "gap": tables.gap_table(found.gaps),
            "corruptions": tables.corruptions(found.corruptions, found.corruption_errors),
            "other_claims": tables.other_claims(found.models),
            "calibration": tables.calibration(found.gaps),
            "settings": tables.settings(found.runs),
            "versions": tables.pairs(("computed with", "version"), found.runs[0]["versions"]),
            "data": tables.pairs(("raw file", "SHA-256"), data),
        },
    }


if __name__ == "__main__":
    run_script(main)
