"""From the runs' results to the tables of the report: pure functions on data frames."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from overfitting.common.datasets import load_examples
from overfitting.common.files import PARTIAL, read_record

from .statistics import t_interval

# What the lesson prints in "Reading the Results", by the name of the model here. Its table
# shows the second gap without its sign.
LESSON = {
    "baseline": {"train_accuracy": 0.949, "test_accuracy": 0.883, "gap": 0.066},
    "regularized": {"train_accuracy": 0.848, "test_accuracy": 0.872, "gap": -0.024},
}

FILES_OF_A_RUN = ["training.json", "evaluation.json", "predictions.npz", "augmented.npz"]


def load_runs(folder: Path, models: list[str], seeds: list[int]) -> list[dict[str, Any]]:
    """Read `MODEL/SEED/training.json` and `evaluation.json` for each model and seed.

    Returns:
        A dictionary per run with `model`, `seed` and the contents of both files, in the order
        of `models`, then of `seeds`.

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
    """Remove the results of runs that are no longer asked for, and return their folders.

    DVC watches `folder` as a whole, so what a removed model or seed left there would count as
    a change of it. Nothing is lost: DVC's cache keeps every result that it recorded, and what no
    run makes is left alone.
    """
    wanted = {folder / model / str(seed) for model in models for seed in seeds}
    names = [pattern for name in FILES_OF_A_RUN for pattern in (name, f"{PARTIAL}*-{name}")]
    made = [path for name in names for path in folder.glob(f"*/*/{name}")]
    others = sorted({path.parent for path in made} - wanted)
    for path in made:
        if path.parent in others:
            path.unlink()
    for run in others:
        for holder in (run, run.parent):
            if not any(holder.iterdir()):
                holder.rmdir()
    return others


def runs_table(runs: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a row per run: accuracies and losses on each set, gaps, scores, epochs.

    `gap` is A(train) - A(test), both of the final weights in inference mode. `lesson_gap` is
    what Keras printed for the last epoch, minus A(test). `mode_bias` is A(train) minus what
    Keras printed: how far the two ways of taking training accuracy differ. Signed, as shares.
    """
    rows = []
    for run in runs:
        train, val, test = (run[part]["accuracy"] for part in ("train", "validation", "test"))
        printed = run["history"]["accuracy"][-1]
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
                "corrupted_accuracy": _mean_corrupted(run["robustness"]),
                "gap": train - test,
                "printed_train_accuracy": printed,
                "lesson_gap": printed - test,
                "mode_bias": train - printed,
                "epochs_run": len(run["history"]["loss"]),
                "best_epoch": run["history"]["best_epoch"],
            }
        )
    return pd.DataFrame(rows)


def _mean_corrupted(robustness: dict[str, Any] | None) -> float:
    return float(np.mean([*robustness["corruptions"].values()])) if robustness else float("nan")


def gap_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row per model, in the order of `runs`: means over its seeds.

    Adds `seeds`, their number; `gap_sd`, the standard deviation of the gap (n - 1); `gap_low`
    and `gap_high`, its 95 % t-interval (all three NaN with one seed); and, as a reference,
    what the lesson prints for this model (NaN where it has none).
    """
    rows = []
    for model, of_model in runs.groupby("model", sort=False):
        low, high = t_interval(of_model["gap"].to_numpy())
        lesson = LESSON.get(str(model), {})
        rows.append(
            {"model": model, "seeds": len(of_model)}
            | of_model.drop(columns=["model", "seed"]).mean().to_dict()
            | {"gap_sd": of_model["gap"].std(ddof=1), "gap_low": low, "gap_high": high}
            | {f"reported_{name}": lesson.get(name) for name in LESSON["baseline"]}
        )
    return pd.DataFrame(rows)


def curves_table(runs: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a row per run and epoch: `accuracy`, `loss`, `val_accuracy`, `val_loss`, `gap`.

    The gap per epoch is training minus validation accuracy as Keras prints them, that is,
    training accuracy with dropout and augmentation active.
    """
    tables = []
    for run in runs:
        history = {name: run["history"][name] for name in CURVES}
        table = pd.DataFrame(history).assign(model=run["model"], seed=run["seed"])
        table["epoch"] = table.index + 1
        table["gap"] = table["accuracy"] - table["val_accuracy"]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)[["model", "seed", "epoch", *CURVES, "gap"]]


CURVES = ["accuracy", "loss", "val_accuracy", "val_loss"]


def metrics(gaps: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Return the few numbers for `dvc metrics diff`: per model, four decimals, signed.

    What is not known (the spread over a single seed, say) is None: JSON has no NaN.
    """
    names = ["train_accuracy", "val_accuracy", "test_accuracy", "gap", "gap_sd", "lesson_gap"]
    names += ["test_loss", "ece", "corrupted_accuracy", "epochs_run"]
    return {
        row["model"]: {
            name: None if pd.isna(row[name]) else round(float(row[name]), 4) + 0.0 for name in names
        }
        for row in gaps.to_dict("records")
    }


def mean_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the means over the seeds, a row per model, set and epoch, for `dvc plots`.

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
    """Return original images and draws of each augmentation, by the models that share it.

    Where no model augments, the first one stands there, with images that do not change.
    """
    shown = {}
    settings: list[Any] = []
    for run in [run for run in runs if any(run["augmentation"].values())] or runs[:1]:
        if run["augmentation"] not in settings:
            settings.append(run["augmentation"])
            images, draws = load_examples(
                folder / run["model"] / str(run["seed"]) / "augmented.npz", "images", "draws"
            )
            shown[run["model"]] = (images, draws)
    return shown


def lowest_val_loss(curves: pd.DataFrame) -> pd.Series:
    """Return, by model, the epoch at which the mean validation loss of its seeds is lowest.

    From the next epoch on it rises, if there is a next one. Epochs that not every seed reached
    do not count.

    Args:
        curves: as `curves_table` returns it.
    """
    epochs = {}
    for model, of_model in curves.groupby("model", sort=False):
        wide = of_model.pivot(index="epoch", columns="seed", values="val_loss").dropna()
        epochs[model] = wide.mean(axis="columns").idxmin()
    return pd.Series(epochs).astype(int)
