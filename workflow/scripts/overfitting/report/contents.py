"""The results of all runs, and everything that the report computes from them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from overfitting.analysis import claims, findings, lesson, models, predictions, results
from overfitting.analysis import robustness_tables as robustness
from overfitting.analysis.predictions import Disagreement, Predictions

from . import exercises, questions

N_DISAGREEMENTS = 12
"""How many images on which the models disagree are shown."""


@dataclass(frozen=True)
class Contents:
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
    class_changes: pd.DataFrame
    disagreements: list[Disagreement]
    exercises: list[exercises.Exercise]
    answers: list[questions.Answer]

    @property
    def compared_with(self) -> str:
        """The model that tables and figures compare the others with: the first, if need be."""
        return self.reference or self.models[0]


def compare(
    folder: Path, declared: dict[str, Any], train_labels: np.ndarray, test_images: np.ndarray
) -> Contents:
    """Read the results of all runs in a folder and compare them.

    Args:
        folder: with the results of all runs.
        declared: the params of the stage, by key.
        train_labels: integers, the classes of the training subset.
        test_images: uint8, N×28×28, the test subset.
    """
    names, seeds = declared["compare"], declared["seeds"]
    runs = results.load_runs(folder, names, seeds)
    predicted = predictions.load(folder, names, seeds)
    augmentations = {run["model"]: run["augmentation"] for run in runs}
    reported = {run["model"]: lesson.reported(run, declared["data.name"]) for run in runs}
    reference = models.reference(runs)
    by_run = results.runs_table(runs)
    compared = models.by_name(runs, by_run, predicted)
    curves = results.curves_table(runs)
    corruptions = robustness.corruption_table(predicted, seeds, augmentations)
    classes = declared["data.classes"]
    return Contents(
        data_name=declared["data.name"],
        classes=classes,
        models=names,
        seeds=seeds,
        reference=reference,
        runs=runs,
        predictions=predicted,
        by_run=by_run,
        gaps=results.gap_table(by_run, predicted, reported),
        curves=curves,
        claims=claims.evaluate(compared, reference),
        corruptions=corruptions,
        corruption_errors=robustness.corruption_errors(corruptions, reference or names[0]),
        reliability=predictions.reliability_table(predicted, seeds),
        confusion_matrices=predictions.confusion_matrices(predicted),
        class_changes=predictions.class_changes(predicted, seeds, classes, reference or names[0]),
        disagreements=(
            predictions.largest_disagreements(predicted, test_images, classes, N_DISAGREEMENTS)
            if len(names) > 1
            else []
        ),
        exercises=exercises.answer(
            list(compared.values()), {model: bool(found) for model, found in reported.items()}
        ),
        answers=questions.answers(
            compared,
            reference,
            curves,
            results.lowest_val_loss(curves),
            train_labels,
            (runs[0]["train"]["images"], runs[0]["validation"]["images"]),
        ),
    )


def csv_tables(contents: Contents) -> dict[str, pd.DataFrame]:
    """Return the tables that are written as CSV files, by name."""
    return {
        "gap": contents.gaps,
        "runs": contents.by_run,
        "curves": results.mean_curves(contents.curves),
        "claims": findings.table(contents.claims),
        "points": findings.points_table(contents.claims),
        "shift": robustness.shift_table(contents.predictions),
        "corruptions": contents.corruptions,
        "corruption_errors": contents.corruption_errors,
        "reliability": contents.reliability,
        "confusion": predictions.confusion_table(contents.confusion_matrices, contents.classes),
        "classes": contents.class_changes,
        "disagreements": predictions.disagreement_table(contents.disagreements, contents.seeds),
    }
