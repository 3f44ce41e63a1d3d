"""Stage report: the results of all runs as tables and figures, and as Markdown and HTML pages."""

import overfitting.common.environment  # noqa: F401

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

from overfitting.analysis import claims, findings, lesson, models, predictions, results
from overfitting.analysis import robustness_tables as robustness
from overfitting.analysis.predictions import Predictions
from overfitting.common import datasets, params
from overfitting.common.arguments import ScriptArgumentParser
from overfitting.common.console import run_script, start_log
from overfitting.common.files import write_text
from overfitting.data import checksums
from overfitting.evaluation.corruptions import CORRUPTIONS
from overfitting.report import pages, sentences, tables
from overfitting.report.figures import images as image_figures
from overfitting.report.figures import learning as learning_figures
from overfitting.report.figures import predictions as prediction_figures
from overfitting.report.figures import robustness as robustness_figures
from overfitting.report.figures import style

N_DISAGREEMENTS = 12  # how many images on which the models disagree are shown
SECTIONS = {  # by the number of a claim: link text and anchor of the section with its figure
    "1": ("the gap", "the-gap"),
    "2": ("the parts of the gap", "the-gap"),
    "3": ("errors by class", "errors"),
    "4": ("accuracy under shift", "shift"),
    "7a": ("reliability", "calibration"),
    "7b": ("the estimates of the accuracy", "calibration"),
    "7c": ("the scores", "calibration"),
}


@dataclass(frozen=True)
class Comparison:
    """The results of all runs and everything that is computed from them."""

    data_name: str
    classes: list[str]
    models: list[str]
    seeds: list[int]
    reference: str | None
    """The model without regularizers that the others are compared with; None if there is none."""
    runs: list[dict[str, Any]]
    predictions: dict[str, Predictions]
    by_run: pd.DataFrame
    gaps: pd.DataFrame
    curves: pd.DataFrame
    claims: list[findings.Claim]
    corruptions: pd.DataFrame
    corruption_errors: pd.DataFrame
    reliability: pd.DataFrame
    confusion_matrices: dict[str, np.ndarray]

    @property
    def compared_with(self) -> str:
        """The model that tables and figures compare the others with: the first, if need be."""
        return self.reference or self.models[0]


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
    comparison = compare(arguments.results, declared)
    log.info("%d runs read and compared", len(comparison.runs))
    [test_images] = datasets.load_examples(arguments.test, "images")
    figures = {
        **figures_of_training(comparison),
        **figures_of_robustness(comparison, test_images, arguments.corrupted),
        **figures_of_predictions(comparison, test_images),
        **figures_of_training_images(comparison, arguments.results, arguments.train),
    }
    data = checksums.read_checksums(arguments.checksums)

    # All inputs have been read, so that a corrupt one ends the script before files are changed.
    for removed in results.remove_other_runs(
        arguments.results, comparison.models, comparison.seeds
    ):
        log.info("%s removed: not among compare and seeds (DVC's cache keeps it)", removed)
    for name, table in csv_tables(comparison).items():
        text = table.to_csv(index=False, float_format="%.6f")
        write_text(arguments.reports / "tables" / f"{name}.csv", text)
    metrics = json.dumps(results.metrics(comparison.gaps), indent=2, allow_nan=False)
    write_text(arguments.reports / "metrics.json", metrics + "\n")
    for name, draw in figures.items():
        style.save(draw(), arguments.reports / "figures" / f"{name}.svg")
        log.info("figure %s drawn", name)

    markdown = pages.render(
        arguments.templates / "report.md.j2", **template_context(comparison, data)
    )
    write_text(arguments.reports / "report.md", markdown)
    page = pages.html_page(markdown, arguments.reports, arguments.templates / "page.html.j2")
    write_text(arguments.reports / "report.html", page)
    log.info("written to %s", arguments.reports / "report.html")


def compare(folder: Path, declared: dict[str, Any]) -> Comparison:
    """Read the results of all runs in a folder and compare them.

    Args:
        folder: with the results of all runs.
        declared: the params of the stage, by key.
    """
    names, seeds = declared["compare"], declared["seeds"]
    runs = results.load_runs(folder, names, seeds)
    predicted = predictions.load(folder, names, seeds)
    augmentations = {run["model"]: run["augmentation"] for run in runs}
    reported = {run["model"]: lesson.reported(run, declared["data.name"]) for run in runs}
    reference = models.reference(runs)
    by_run = results.runs_table(runs)
    corruptions = robustness.corruption_table(predicted, seeds, augmentations)
    return Comparison(
        data_name=declared["data.name"],
        classes=declared["data.classes"],
        models=names,
        seeds=seeds,
        reference=reference,
        runs=runs,
        predictions=predicted,
        by_run=by_run,
        gaps=results.gap_table(by_run, predicted, reported),
        curves=results.curves_table(runs),
        claims=claims.evaluate(runs, by_run, predicted),
        corruptions=corruptions,
        corruption_errors=robustness.corruption_errors(corruptions, reference or names[0]),
        reliability=predictions.reliability_table(predicted, seeds),
        confusion_matrices=predictions.confusion_matrices(predicted),
    )


def csv_tables(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """Return the tables that are written as CSV files, by name."""
    return {
        "gap": comparison.gaps,
        "curves": results.mean_curves(comparison.curves),
        "claims": findings.table(comparison.claims),
        "corruptions": comparison.corruptions,
        "reliability": comparison.reliability,
        "confusion": predictions.confusion_table(comparison.confusion_matrices, comparison.classes),
    }


FigureFunctions = dict[str, Callable[[], Figure]]
"""By the name of a figure, the function that draws it. Figures are drawn and saved one at a time,
because an open figure takes much memory."""


def figures_of_training(comparison: Comparison) -> FigureFunctions:
    """Return the functions that draw the learning curves and gaps."""
    return {
        "split": partial(learning_figures.gap_split, comparison.by_run),
        "curves": partial(learning_figures.curves, comparison.curves),
        "gap": partial(learning_figures.gap_per_epoch, comparison.curves),
    }


def figures_of_robustness(
    comparison: Comparison, test_images: np.ndarray, corrupted: Path
) -> FigureFunctions:
    """Return the functions that draw the accuracy on shifted and corrupted images."""
    if comparison.corruptions.empty:
        names = ["shift", "corruptions", "corruption_errors", "corrupted"]
        return placeholders(names, "robustness.test_size is 0")
    corrupted_images = zip(
        CORRUPTIONS, datasets.load_examples(corrupted, *CORRUPTIONS), strict=True
    )
    first = {name: np.stack([test_images[0], *images[:, 0]]) for name, images in corrupted_images}
    maps = robustness.shift_maps(comparison.predictions)
    return {
        "shift": partial(robustness_figures.shift_maps, maps, comparison.compared_with),
        "corruptions": partial(robustness_figures.corruption_curves, comparison.corruptions),
        "corruption_errors": partial(
            robustness_figures.corruption_errors,
            comparison.corruption_errors,
            comparison.compared_with,
        ),
        "corrupted": partial(image_figures.corrupted_pictures, first),
    }


def figures_of_predictions(comparison: Comparison, test_images: np.ndarray) -> FigureFunctions:
    """Return the functions that draw calibration, confusion matrices and disagreements."""
    ece = dict(zip(comparison.gaps["model"], comparison.gaps["ece"], strict=True))
    figures: FigureFunctions = {
        "reliability": partial(
            prediction_figures.reliability_diagrams, comparison.reliability, ece
        ),
        "confusion": partial(
            prediction_figures.confusion_matrices, comparison.confusion_matrices, comparison.classes
        ),
    }
    if len(comparison.models) == 1:
        return figures | placeholders(["classes", "disagreements"], "compare has one model")
    changes = predictions.class_changes(
        comparison.predictions, comparison.seeds, comparison.classes, comparison.compared_with
    )
    disagreements = predictions.largest_disagreements(
        comparison.predictions, test_images, comparison.classes, N_DISAGREEMENTS
    )
    return figures | {
        "classes": partial(prediction_figures.class_changes, changes, comparison.compared_with),
        "disagreements": partial(image_figures.disagreements, disagreements),
    }


def figures_of_training_images(
    comparison: Comparison, folder: Path, train: Path
) -> FigureFunctions:
    """Return the functions that draw training images, with and without augmentation."""
    augmented = results.augmented_images(folder, comparison.runs)
    images, labels = datasets.load_examples(train, "images", "labels")
    return {
        "augmentation": partial(image_figures.augmentation_grid, augmented),
        "samples": partial(image_figures.samples, images, labels, comparison.classes),
    }


def placeholders(names: list[str], reason: str) -> FigureFunctions:
    """Return for each name a function that draws the reason why there is no such figure."""
    draw = partial(style.placeholder, "Not measured", f"In params.yaml, {reason}.")
    return dict.fromkeys(names, draw)


def template_context(comparison: Comparison, data: dict[str, str]) -> dict[str, Any]:
    """Return the values that the template `report.md.j2` uses.

    Args:
        data: by the name of each raw file, its SHA-256.
    """
    return {
        "data_name": comparison.data_name,
        "models": comparison.models,
        "seeds": comparison.seeds,
        "reference": comparison.reference,
        "compared_with": comparison.compared_with,
        "images": tables.image_counts(comparison.runs),
        "robustness_images": next(iter(comparison.predictions.values())).correct_shifted.shape[-1],
        "summary": sentences.summary(comparison.claims, comparison.gaps),
        "claims": comparison.claims,
        "sections": SECTIONS,
        "findings": tables.findings,
        "details": tables.details,
        "margin": f"{100 * findings.MARGIN:g} percentage point",
        "validation_loss": sentences.validation_loss(results.lowest_val_loss(comparison.curves)),
        "stops_early": [
            run["model"]
            for run in comparison.runs[:: len(comparison.seeds)]
            if run["model_settings"]["early_stopping"]
        ],
        "training_differences": sentences.training_differences(
            comparison.runs, comparison.reference
        ),
        "lesson_reports": comparison.gaps["reported_gap"].notna().any(),
        "tables": {
            "gap": tables.gap_table(comparison.gaps),
            "corruptions": tables.corruptions(
                comparison.corruptions, comparison.corruption_errors, comparison.compared_with
            ),
            "other_claims": tables.other_claims(comparison.models),
            "calibration": tables.calibration(comparison.gaps),
            "settings": tables.settings(comparison.runs),
            "versions": tables.versions(comparison.runs),
            "data": tables.pairs(("raw file", "SHA-256"), data),
        },
    }


if __name__ == "__main__":
    run_script(main)
