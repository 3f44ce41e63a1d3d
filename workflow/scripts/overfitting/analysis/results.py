"""Reads the results of the runs and computes the tables of the report from them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from overfitting.common.datasets import load_examples
from overfitting.common.files import PARTIAL, read_record

from . import measures
from .predictions import Predictions

RUN_FILES = ["training.json", "evaluation.json", "predictions.npz", "augmented.npz"]

CURVES = ["accuracy", "loss", "val_accuracy", "val_loss"]
"""What Keras records after each epoch, by the names that Keras gives it."""


def load_runs(folder: Path, models: list[str], seeds: list[int]) -> list[dict[str, Any]]:
    """Read `training.json` and `evaluation.json` in `folder`/MODEL/SEED for each model and seed.

    Returns:
        A dictionary per run with `model`, `seed` and the contents of both files, in the order of
        `models`, then of `seeds`.

    Raises:
        UserError: a file is missing or corrupt.
    """
    runs = []
    for model in models:
        for seed in seeds:
            run: dict[str, Any] = {"model": model, "seed": seed}
            for part in ("training", "evaluation"):
                run |= read_record(folder / model / str(seed) / f"{part}.json")
            runs.append(run)
    return runs


def remove_other_runs(folder: Path, models: list[str], seeds: list[int]) -> list[Path]:
    """Remove the results of all runs but those of `models` and `seeds`; return their folders.

    The whole `folder` is a dependency of the stage `report`, so the results of a model or seed that
    was removed from `compare` or `seeds` would change the hash of that dependency. Nothing is lost:
    DVC's cache keeps every result that DVC recorded, and files that no run writes are not touched.
    """
    wanted = {folder / model / str(seed) for model in models for seed in seeds}
    names = [pattern for name in RUN_FILES for pattern in (name, f"{PARTIAL}*-{name}")]
    result_files = [path for name in names for path in folder.glob(f"*/*/{name}")]
    unwanted = sorted({path.parent for path in result_files} - wanted)
    for path in result_files:
        if path.parent in unwanted:
            path.unlink()
    for run_folder in unwanted:
        for emptied in (run_folder, run_folder.parent):
            if not any(emptied.iterdir()):
                emptied.rmdir()
    return unwanted


def runs_table(runs: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a row per run: accuracies and losses on each set, gaps, scores and epochs.

    With A the accuracy of the final weights in inference mode, and "printed" the training accuracy
    that Keras printed for the last epoch:

    - `gap` is A(train) - A(test);
    - `lesson_gap`, the gap as the lesson computes it, is printed - A(test);
    - `train_mode_part` is A(train) - A'(train), with A' the accuracy in train mode, that is, with
      dropout and augmentation active;
    - `running_average_part` is A'(train) - printed: Keras averages over the epoch, while the
      weights still change.

    All are signed, as shares, and `gap` is the sum of the other three. `corrupted_accuracy` is the
    mean over all corruptions and severities, NaN if there were no corrupted images.
    """
    rows = []
    for run in runs:
        train, val, test = (run[part]["accuracy"] for part in ("train", "validation", "test"))
        printed = run["history"]["accuracy"][-1]
        in_train_mode = run["train_mode"]["accuracy"]
        rows.append(
            {
                "model": run["model"],
                "seed": run["seed"],
                "train_accuracy": train,
                "val_accuracy": val,
                "test_accuracy": test,
                "train_loss": run["train"]["cross_entropy"],
                "val_loss": run["validation"]["cross_entropy"],
                "test_loss": run["test"]["cross_entropy"],
                "whole_test_accuracy": run["whole_test"]["accuracy"],
                "ece": run["calibration"]["ece"],
                "brier": run["calibration"]["brier"],
                "corrupted_accuracy": _mean_corrupted_accuracy(run["robustness"]),
                "gap": train - test,
                "printed_train_accuracy": printed,
                "lesson_gap": printed - test,
                "running_average_part": in_train_mode - printed,
                "train_mode_part": train - in_train_mode,
                "epochs_run": len(run["history"]["loss"]),
                "best_epoch": run["history"]["best_epoch"],
            }
        )
    return pd.DataFrame(rows)


def _mean_corrupted_accuracy(robustness: dict[str, Any] | None) -> float:
    return float(np.mean([*robustness["corruptions"].values()])) if robustness else float("nan")


def gap_table(
    runs: pd.DataFrame,
    predictions: Mapping[str, Predictions],
    reported: Mapping[str, Mapping[str, float]],
) -> pd.DataFrame:
    """Return a row per model, in the order of `runs`: the means over its seeds.

    Further columns: `seeds`, their number; `gap_sd`, the sample standard deviation of the gap over
    the seeds (n - 1 degrees of freedom; NaN with one seed); `gap_low` and `gap_high`, the 95%
    interval of the gap over seeds and test images; and `reported_*`, what the lesson reports for
    this model (NaN if it does not).

    Args:
        runs: as `runs_table` returns it.
        predictions: by model, as `predictions.load` returns them.
        reported: by model, as `lesson.reported` returns it.
    """
    rows = []
    for model, of_model in predictions.items():
        model_runs = runs[runs["model"] == model]
        gap = measures.gap(model_runs["train_accuracy"].to_numpy(), of_model.correct).estimate()
        rows.append(
            {"model": model, "seeds": len(model_runs)}
            | model_runs.drop(columns=["model", "seed"]).mean().to_dict()
            | {"debiased_ece": measures.calibration_error(*of_model.labelled).by_seed.mean()}
            | {"overconfidence": measures.overconfidence(*of_model.labelled).by_seed.mean()}
            | {"gap_sd": model_runs["gap"].std(ddof=1)}
            | {"gap_low": gap.interval.low, "gap_high": gap.interval.high}
            | {
                f"reported_{name}": reported[model].get(name)
                for name in ("train_accuracy", "test_accuracy", "gap")
            }
        )
    return pd.DataFrame(rows)


def curves_table(runs: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a row per run and epoch: `accuracy`, `loss`, `val_accuracy`, `val_loss`, `gap`.

    `gap` is training minus validation accuracy as Keras prints them, that is, training accuracy
    with dropout and augmentation active.

    Args:
        runs: as `load_runs` returns them.
    """
    tables = []
    for run in runs:
        history = {name: run["history"][name] for name in CURVES}
        table = pd.DataFrame(history).assign(model=run["model"], seed=run["seed"])
        table["epoch"] = table.index + 1
        table["gap"] = table["accuracy"] - table["val_accuracy"]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)[["model", "seed", "epoch", *CURVES, "gap"]]


def metrics(gaps: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Return by model the main numbers, for `dvc metrics diff`; signed, with four decimals.

    Unknown values, such as the spread over a single seed, are None, because JSON has no NaN.

    Args:
        gaps: as `gap_table` returns it.
    """
    names = ["train_accuracy", "val_accuracy", "test_accuracy", "gap", "gap_sd", "lesson_gap"]
    names += ["test_loss", "ece", "corrupted_accuracy", "epochs_run"]
    return {
        row["model"]: {
            name: None if pd.isna(row[name]) else round(float(row[name]), 4) + 0.0  # never -0.0
            for name in names
        }
        for row in gaps.to_dict("records")
    }


def mean_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Return a row per model, set and epoch, for `dvc plots`: the means over the seeds.

    Args:
        curves: as `curves_table` returns it.
    """
    keys = ["model", "epoch"]
    means = curves.groupby(keys, sort=False)[[*CURVES, "gap"]].mean().reset_index()
    parts = {"training": ("accuracy", "loss"), "validation": ("val_accuracy", "val_loss")}
    return pd.concat(
        [
            means[keys].assign(
                set=part, accuracy=means[accuracy], loss=means[loss], gap=means["gap"]
            )
            for part, (accuracy, loss) in parts.items()
        ],
        ignore_index=True,
    )


def augmented_images(
    folder: Path, runs: list[dict[str, Any]]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return original images and random augmentations of them, once for each augmentation in use.

    Models with the same augmentation are represented by the first of them. If no model uses
    augmentation, the first model is returned, whose images do not change.

    Returns:
        By model, the original images (uint8, N×28×28) and the augmented ones (uint8,
        N×draws×28×28).

    Raises:
        UserError: a file is corrupt.
    """
    augmented = {}
    settings: list[Any] = []
    for run in [run for run in runs if any(run["augmentation"].values())] or runs[:1]:
        if run["augmentation"] not in settings:
            settings.append(run["augmentation"])
            images, draws = load_examples(
                folder / run["model"] / str(run["seed"]) / "augmented.npz", "images", "draws"
            )
            augmented[run["model"]] = (images, draws)
    return augmented


def lowest_val_loss(curves: pd.DataFrame) -> pd.DataFrame:
    """Return a row per model and seed that describes its validation loss.

    Columns: `model`, `seed`, `lowest`, the epoch (from 1) at which it is lowest; `epochs`, the last
    epoch; and `rise`, how much higher it is there (nats, 0 or more).

    Args:
        curves: as `curves_table` returns it.
    """
    rows = []
    for (model, seed), of_run in curves.groupby(["model", "seed"], sort=False):
        losses = of_run.set_index("epoch")["val_loss"]
        rows.append(
            (model, seed, losses.idxmin(), losses.index[-1], losses.iloc[-1] - losses.min())
        )
    return pd.DataFrame(rows, columns=["model", "seed", "lowest", "epochs", "rise"])
