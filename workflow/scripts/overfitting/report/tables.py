"""Formats results as tables, for the report and the terminal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from overfitting.analysis import lesson, measures
from overfitting.analysis.predictions import Predictions
from overfitting.analysis.statistics import Interval
from overfitting.evaluation.corruptions import CORRUPTIONS

from .formatting import bounds, points, share

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Table:
    """A table whose cells are formatted as text."""

    header: list[str]
    rows: list[list[str]]


def markdown_table(table: Table) -> str:
    """Return a table as Markdown; columns of numbers are aligned right, all others left.

    The first column holds the row headers and is always aligned left.
    """
    alignments = [
        "---:" if all(cell[:1].isdigit() or cell[:1] in "+−–" for cell in column) else "---"
        for _, *column in zip(table.header, *table.rows, strict=True)
    ]
    lines = [
        "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
        for cells in [table.header, *table.rows]
    ]
    lines.insert(1, "|" + "|".join(["---", *alignments[1:]]) + "|")
    return "\n".join(lines)


def gap_table(gaps: pd.DataFrame) -> Table:
    """Format the table that `results.gap_table` returns, a row per model.

    What the lesson reports has a column if it reports something for one of the models.
    """
    columns: dict[str, Callable[[Any], str]] = {
        "model": lambda row: row.model,
        "training accuracy": lambda row: share(row.train_accuracy),
        "test accuracy": lambda row: share(row.test_accuracy),
        "gap (points)": lambda row: points(row.gap),
        "95% interval of the gap": lambda row: bounds(Interval(row.gap, row.gap_low, row.gap_high)),
        "spread over seeds (points)": lambda row: points(row.gap_sd).removeprefix("+"),
        "printed training accuracy": lambda row: share(row.printed_train_accuracy),
        "lesson's gap (points)": lambda row: points(row.lesson_gap),
        "running-average part (points)": lambda row: points(row.running_average_part),
        "train-mode part (points)": lambda row: points(row.train_mode_part),
    }
    if gaps["reported_gap"].notna().any():
        columns["the lesson reports: training / test / gap (points)"] = lambda row: (
            "–"
            if pd.isna(row.reported_gap)
            else f"{share(row.reported_train_accuracy)} / {share(row.reported_test_accuracy)} / "
            f"{points(row.reported_gap)}"
        )
    columns["epochs run (best)"] = lambda row: f"{row.epochs_run:.4g} ({row.best_epoch:.4g})"
    return Table(
        header=list(columns),
        rows=[[cell(row) for cell in columns.values()] for row in gaps.itertuples()],
    )


def calibration(gaps: pd.DataFrame) -> Table:
    """Format the calibration scores, a row per model: means over its seeds.

    Args:
        gaps: as `results.gap_table` returns it.
    """
    columns: dict[str, tuple[str, Callable[[Any], str]]] = {
        "ECE": ("ece", share),
        "calibration error, debiased": ("debiased_ece", share),
        "overconfidence (points)": ("overconfidence", points),
        "NLL": ("test_loss", share),
        "Brier score": ("brier", share),
        "accuracy: validation": ("val_accuracy", share),
        "accuracy: test": ("test_accuracy", share),
        "accuracy: whole test set": ("whole_test_accuracy", share),
    }
    return Table(
        ["model", *columns],
        [
            [row["model"], *(formatted(row[name]) for name, formatted in columns.values())]
            for row in gaps.to_dict("records")
        ],
    )


def corruptions(table: pd.DataFrame, errors: pd.DataFrame, reference: str) -> Table:
    """Format the accuracy under each corruption, a row per corruption.

    Without corrupted images the table has no rows.

    Args:
        table: as `robustness_tables.corruption_table` returns it.
        errors: as `robustness_tables.corruption_errors` returns it.
        reference: the model that the corruption errors are relative to.
    """
    if table.empty:
        return Table(["corruption"], [])
    models = list(table["model"].unique())
    clean = dict(table[table["severity"] == 0].groupby("model")["accuracy"].mean())
    corrupted = dict(
        table[table["severity"] > 0].groupby(["model", "corruption"])["accuracy"].mean()
    )
    matched = table.groupby(["corruption", "model"], sort=False)["matched"].first()
    error = errors.groupby(["model", "corruption"])["error"].mean()
    header = ["corruption", "matched for"]
    header += [f"{model}: accuracy lost (points)" for model in models]
    others = [model for model in models if model != reference]
    header += [f"{model}: CE" for model in others]
    rows = []
    for name in CORRUPTIONS:
        rows.append(
            [name.replace("_", " "), ", ".join(m for m in models if matched[(name, m)]) or "none"]
            + [points(clean[model] - corrupted[(model, name)]) for model in models]
            + [share(error[(model, name)]) for model in others]
        )
    for name in ("mCE", "mCE, held out"):
        rows.append(
            [name, "–", *["–"] * len(models), *(share(error[(model, name)]) for model in others)]
        )
    return Table(header, rows)


def published(
    predictions: Mapping[str, Predictions], data_name: str, runs: list[dict[str, Any]]
) -> Table | None:
    """Format the test accuracies beside published ones; None unless all images were used.

    Args:
        predictions: by model, as `predictions.load` returns them.
        data_name: the name of the data set in `params.yaml`.
        runs: as `results.load_runs` returns them.
    """
    rows = []
    for model in {run["model"]: None for run in runs if lesson.is_all_images(run, data_name)}:
        accuracy = measures.mean_of(predictions[model].correct).estimate().interval
        seeds = len(predictions[model].correct)
        rows.append([model, share(accuracy.estimate), bounds(accuracy, share), str(seeds)])
    others = [[f"published: {name}", share(found), "–", "1"] for name, found in lesson.PUBLISHED]
    header = ["network", "test accuracy", "95% interval", "runs"]
    return Table(header, [*rows, *others]) if rows else None


def settings(runs: list[dict[str, Any]]) -> Table:
    """Format the images and settings that each model was trained with, a row per model.

    Args:
        runs: as `results.load_runs` returns them.
    """

    def cell(value: Any) -> str:
        if isinstance(value, dict):
            parts = {key: cell(part) for key, part in value.items()}
            return ", ".join(f"{key} {part}" for key, part in parts.items() if part != "–") or "–"
        return "–" if value in (None, False, 0.0) else "yes" if value is True else str(value)

    by_model = {
        run["model"]: {f"{part} images": f"{run[part]['images']:,}" for part in PARTS}
        | run["model_settings"]
        | {name: value for name, value in run["training"].items() if name != "train_size"}
        for run in runs
    }
    names = list(next(iter(by_model.values())))
    return Table(
        ["model", *(name.replace("_", " ") for name in names)],
        [[model, *(cell(own[name]) for name in names)] for model, own in by_model.items()],
    )


def versions(runs: list[dict[str, Any]]) -> Table:
    """Format the versions of the software that trained the models, a row per set of versions.

    Args:
        runs: as `results.load_runs` returns them.
    """
    models_by_versions: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        models_by_versions.setdefault(tuple(run["versions"].values()), []).append(run["model"])
    return Table(
        ["trained", *runs[0]["versions"]],
        [
            ["all" if len(models_by_versions) == 1 else ", ".join(dict.fromkeys(models)), *found]
            for found, models in models_by_versions.items()
        ],
    )


def image_counts(runs: list[dict[str, Any]]) -> dict[str, str]:
    """Return by part of the data how many images there are, "m to n" if models differ.

    Args:
        runs: as `results.load_runs` returns them.
    """
    counts = {
        part: sorted({run[part]["images"] for run in runs}) for part in (*PARTS, "whole_test")
    }
    return {
        part: " to ".join(f"{count:,}" for count in dict.fromkeys([found[0], found[-1]]))
        for part, found in counts.items()
    }


def pairs(header: tuple[str, str], values: Mapping[str, Any]) -> Table:
    """Format a mapping as a table of two columns, its keys and its values."""
    return Table(list(header), [[name, str(value)] for name, value in values.items()])
