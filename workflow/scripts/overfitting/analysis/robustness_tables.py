"""Tables of the accuracy on shifted and corrupted test images."""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from overfitting.evaluation import metrics
from overfitting.evaluation.corruptions import CORRUPTIONS, SEVERITIES, is_matched
from overfitting.evaluation.robustness import SHIFTS

from .predictions import Predictions


def shift_maps(predictions: dict[str, Predictions]) -> dict[str, np.ndarray]:
    """Return by model its accuracy for each shift, the mean over its seeds.

    Returns:
        Shares, 9×9: rows are shifts down, columns shifts to the right, both from -4 to 4 pixels.
    """
    return {
        model: of_model.correct_shifted.mean(axis=(0, 3)) for model, of_model in predictions.items()
    }


def corruption_table(
    predictions: dict[str, Predictions],
    seeds: list[int],
    augmentations: dict[str, dict[str, Any]],
) -> pd.DataFrame:
    """Return a row per model, seed, corruption and severity: accuracy, and whether it is matched.

    Severity 0 stands for the same images without corruption. `matched` is true where the model's
    augmentation generates such images in training. Without corrupted images the table has no rows.

    Args:
        predictions: by model, as `load` returns them.
        seeds: the seeds of each model, in the order of its predictions.
        augmentations: by model, the value of its key `augmentation` in `params.yaml`.
    """
    names = ["model", "seed", "corruption", "severity"]
    if not next(iter(predictions.values())).correct_corrupted.shape[-1]:
        return pd.DataFrame(columns=[*names, "accuracy", "matched"])
    tables = []
    for model, of_model in predictions.items():
        corrupted = of_model.correct_corrupted.mean(axis=-1)
        clean = np.broadcast_to(
            of_model.correct_clean.mean(axis=-1)[:, np.newaxis, np.newaxis],
            (*corrupted.shape[:2], 1),
        )
        accuracy = np.concatenate([clean, corrupted], axis=2)
        index = pd.MultiIndex.from_product(
            [[model], seeds, list(CORRUPTIONS), range(SEVERITIES + 1)], names=names
        )
        tables.append(pd.Series(accuracy.ravel(), index, name="accuracy").reset_index())
    table = pd.concat(tables, ignore_index=True)
    table["matched"] = [
        is_matched(name, augmentations[model])
        for model, name in zip(table["model"], table["corruption"], strict=True)
    ]
    return table


def shift_table(predictions: dict[str, Predictions]) -> pd.DataFrame:
    """Return a row per model and shift: `down` and `right`, in pixels, and the mean `accuracy`.

    Without shifted images the table has no rows.
    """
    names = ["model", "down", "right"]
    if not next(iter(predictions.values())).correct_shifted.shape[-1]:
        return pd.DataFrame(columns=[*names, "accuracy"])
    index = pd.MultiIndex.from_product([list(predictions), SHIFTS, SHIFTS], names=names)
    maps = np.stack(list(shift_maps(predictions).values()))
    return pd.Series(maps.ravel(), index, name="accuracy").reset_index()


def corruption_errors(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return a row per model, corruption and seed: the corruption error against the reference.

    The error of a seed is divided by the mean error of the reference over its seeds, so that the
    mean over the seeds is the corruption error of the model. The rows `mCE` hold the mean over all
    corruptions, the rows `mCE, held out` the mean over those that are matched neither for the model
    nor for the reference.

    Args:
        table: as `corruption_table` returns it.
        reference: one of the models.
    """
    columns = ["model", "corruption", "seed", "error", "matched"]
    if table.empty:
        return pd.DataFrame(columns=columns)
    corrupted = table[table["severity"] > 0]
    errors = {
        run: 1 - of_run["accuracy"].to_numpy()
        for run, of_run in corrupted.groupby(["model", "seed", "corruption"])
    }
    seeds = list(table["seed"].unique())
    of_reference = {
        name: np.mean([errors[(reference, seed, name)] for seed in seeds], axis=0)
        for name in CORRUPTIONS
    }
    matched = corrupted.groupby(["model", "corruption"])["matched"].first()
    rows: list[tuple[str, str, int, float, bool]] = []
    for model, seed in itertools.product(table["model"].unique(), seeds):
        own_matched = {name: bool(matched[(model, name)]) for name in CORRUPTIONS}
        error = {
            name: metrics.corruption_error(errors[(model, seed, name)], of_reference[name])
            for name in CORRUPTIONS
        }
        held_out = [
            name for name in CORRUPTIONS if not (own_matched[name] or matched[(reference, name)])
        ]
        rows += [(model, name, seed, error[name], own_matched[name]) for name in CORRUPTIONS]
        for mean_name, names in (("mCE", list(CORRUPTIONS)), ("mCE, held out", held_out)):
            mean = float(np.mean([error[name] for name in names]))
            rows.append((model, mean_name, seed, mean, False))
    return pd.DataFrame(rows, columns=columns)
