"""Reads what the models predicted for each test image, and computes the tables about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from overfitting.common.datasets import CLASSES, load_examples
from overfitting.common.errors import UserError
from overfitting.evaluation import metrics
from overfitting.evaluation.corruptions import CORRUPTIONS, SEVERITIES, is_matched
from overfitting.evaluation.robustness import SHIFTS


@dataclass(frozen=True)
class Predictions:
    """One model's predictions for all its seeds.

    In the shapes below, S is the number of seeds, N the number of test images and K the number of
    test images that were also shifted and corrupted (the first ones).
    """

    probabilities: np.ndarray
    """float32, S×N×10: class probabilities in inference mode."""
    labels: np.ndarray
    """Integers, N: the class of each image, 0 to 9."""
    correct_shifted: np.ndarray
    """Booleans, S×9×9×K: whether the shifted image is classified correctly; see
    `robustness.correct_when_shifted`."""
    correct_corrupted: np.ndarray
    """Booleans, S×12×5×K: whether the corrupted image is classified correctly; see
    `robustness.correct_when_corrupted`."""

    @property
    def correct_clean(self) -> np.ndarray:
        """Booleans, S×K: whether the unchanged image is classified correctly."""
        return self.correct_shifted[:, SHIFTS.index(0), SHIFTS.index(0)]

    @property
    def predicted(self) -> np.ndarray:
        """Integers, S×N: the most probable class."""
        return self.probabilities.argmax(axis=2)

    @property
    def correct(self) -> np.ndarray:
        """Booleans, S×N: whether the most probable class is the label."""
        return self.predicted == self.labels


@dataclass(frozen=True)
class Disagreement:
    """A test image on which models disagree."""

    image: np.ndarray
    """uint8, 28×28."""
    index: int
    """Its index in the test set, from 0."""
    label: str
    """The name of its class in the data set."""
    predicted: dict[str, list[str]]
    """By model, the name of the class that the network of each seed predicts."""


def load(folder: Path, models: Iterable[str], seeds: list[int]) -> dict[str, Predictions]:
    """Read `MODEL/SEED/predictions.npz` in `folder` for each model and seed.

    Returns:
        The predictions by model, in the order of `models`.

    Raises:
        UserError: a file is missing or corrupt, or the runs were tested on different images.
    """
    predictions: dict[str, Predictions] = {}
    for model in models:
        runs = []
        for seed in seeds:
            path = folder / model / str(seed) / "predictions.npz"
            try:
                runs.append(load_examples(path, "probabilities", "labels", "shifted", "corrupted"))
            except FileNotFoundError:
                raise UserError(f"{path} is missing; run `dvc repro` to create it") from None
        probabilities, labels, shifted, corrupted = zip(*runs, strict=True)
        first_labels = next(iter(predictions.values())).labels if predictions else labels[0]
        if not all(np.array_equal(first_labels, run_labels) for run_labels in labels):
            raise UserError(
                f"{folder / model}: not all runs were tested on the same images; "
                "run `dvc repro` to evaluate them again"
            )
        predictions[model] = Predictions(
            np.stack(probabilities), first_labels, np.stack(shifted), np.stack(corrupted)
        )
    return predictions


def largest_disagreements(
    predictions: dict[str, Predictions], images: np.ndarray, count: int
) -> list[Disagreement]:
    """Return the test images on which the models disagree most, in descending order.

    The disagreement on an image is the difference between the largest and the smallest probability
    that any model gives to the label, each averaged over the seeds of the model.

    Args:
        predictions: by model, as `load` returns them.
        images: uint8, N×28×28, the test images.
        count: how many images to return; all if there are fewer.
    """
    labels = next(iter(predictions.values())).labels
    label_probabilities = np.stack(
        [
            of_model.probabilities[:, np.arange(len(labels)), labels].mean(axis=0)
            for of_model in predictions.values()
        ]
    )
    disagreement = label_probabilities.max(axis=0) - label_probabilities.min(axis=0)
    return [
        Disagreement(
            image=images[index],
            index=int(index),
            label=CLASSES[labels[index]],
            predicted={
                model: [CLASSES[number] for number in of_model.predicted[:, index]]
                for model, of_model in predictions.items()
            },
        )
        for index in np.argsort(-disagreement, kind="stable")[:count]
    ]


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


def corruption_errors(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per model and corruption: the corruption error relative to the first model.

    The rows `mCE` hold the mean over all corruptions, the rows `mCE, held out` the mean over those
    that are matched neither for the model nor for the first one.

    Args:
        table: as `corruption_table` returns it.
    """
    columns = ["model", "corruption", "error", "matched"]
    if table.empty:
        return pd.DataFrame(columns=columns)
    corrupted = table[table["severity"] > 0]
    errors = 1 - corrupted.pivot_table(
        index=["model", "corruption"], columns="severity", values="accuracy", sort=False
    )
    matched = corrupted.groupby(["model", "corruption"])["matched"].first()
    first = table["model"].iloc[0]
    rows: list[tuple[str, str, float, bool]] = []
    for model in table["model"].unique():
        own_matched = {name: bool(matched[(model, name)]) for name in CORRUPTIONS}
        error = {
            name: metrics.corruption_error(
                errors.loc[(model, name)].to_numpy(), errors.loc[(first, name)].to_numpy()
            )
            for name in CORRUPTIONS
        }
        held_out = [
            name for name in CORRUPTIONS if not (own_matched[name] or matched[(first, name)])
        ]
        rows += [(model, name, error[name], own_matched[name]) for name in CORRUPTIONS]
        for mean_name, names in (("mCE", list(CORRUPTIONS)), ("mCE, held out", held_out)):
            rows.append((model, mean_name, float(np.mean([error[name] for name in names])), False))
    return pd.DataFrame(rows, columns=columns)


def reliability_table(predictions: dict[str, Predictions], seeds: list[int]) -> pd.DataFrame:
    """Return a row per model, seed and bin: `metrics.reliability` of the test images."""
    return pd.concat(
        [
            metrics.reliability(probabilities, of_model.labels)
            .rename_axis("bin")
            .reset_index()
            .assign(model=model, seed=seed)
            for model, of_model in predictions.items()
            for seed, probabilities in zip(seeds, of_model.probabilities, strict=True)
        ],
        ignore_index=True,
    )


def confusion_matrices(predictions: dict[str, Predictions]) -> dict[str, np.ndarray]:
    """Return by model its confusion matrix, the mean over its seeds.

    Returns:
        Numbers of images, 10×10: rows are actual classes, columns predicted classes.
    """
    return {
        model: np.mean(
            [
                metrics.confusion(probabilities, of_model.labels, len(CLASSES))
                for probabilities in of_model.probabilities
            ],
            axis=0,
        )
        for model, of_model in predictions.items()
    }


def confusion_table(counts: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return a row per model, actual class and predicted class: `images`, the mean count.

    Args:
        counts: as `confusion_matrices` returns them.
    """
    index = pd.MultiIndex.from_product(
        [list(counts), CLASSES, CLASSES], names=["model", "actual", "predicted"]
    )
    return pd.Series(np.ravel(list(counts.values())), index, name="images").reset_index()


def class_changes(predictions: dict[str, Predictions], seeds: list[int]) -> pd.DataFrame:
    """Return a row per model, seed and class: `change`, the difference to the first model.

    This is the accuracy on the class minus that of the first model with the same seed, as a share;
    0 for the first model itself. A class without test images has no row.
    """

    def accuracies(of_model: Predictions) -> np.ndarray:
        return np.stack(
            [
                metrics.per_class_accuracy(probabilities, of_model.labels, len(CLASSES))
                for probabilities in of_model.probabilities
            ]
        )

    first = accuracies(next(iter(predictions.values())))
    index = pd.MultiIndex.from_product(
        [list(predictions), seeds, CLASSES], names=["model", "seed", "class_name"]
    )
    changes = np.stack([accuracies(of_model) - first for of_model in predictions.values()])
    return pd.Series(changes.ravel(), index, name="change").dropna().reset_index()
