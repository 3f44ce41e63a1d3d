"""What the models predicted for each test image: read from the runs, as tables and as pairs."""

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
    """One model's predictions, over its seeds (S) and the test images (N, K of them corrupted)."""

    probabilities: np.ndarray
    """float32, S×N×10, in inference mode."""
    labels: np.ndarray
    """Whole numbers, N."""
    shifted: np.ndarray
    """Booleans, S×9×9×K: recognised when shifted; see `robustness.correct_when_shifted`."""
    corrupted: np.ndarray
    """Booleans, S×12×5×K: recognised when corrupted; see `robustness.correct_when_corrupted`."""

    @property
    def clean(self) -> np.ndarray:
        """Booleans, S×K: recognised as it is, the shift by 0 pixels."""
        return self.shifted[:, SHIFTS.index(0), SHIFTS.index(0)]

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class, S×N."""
        return self.probabilities.argmax(axis=2)

    @property
    def recognised(self) -> np.ndarray:
        """Booleans, S×N: the most probable class is the label."""
        return self.predicted == self.labels


@dataclass(frozen=True)
class Disagreement:
    """A test image on which models disagree."""

    image: np.ndarray
    """uint8, 28×28."""
    index: int
    """Its place in the test set, from 0."""
    label: str
    """The class that the data set gives it."""
    predicted: dict[str, list[str]]
    """From a model's name to the class that each of its seeds predicts."""


def load(folder: Path, models: Iterable[str], seeds: list[int]) -> dict[str, Predictions]:
    """Read `MODEL/SEED/predictions.npz` of each model and seed; by model, in the order given.

    Raises:
        UserError: a file is missing or corrupt, or the runs were tested on different images.
    """
    found: dict[str, Predictions] = {}
    for model in models:
        runs = []
        for seed in seeds:
            path = folder / model / str(seed) / "predictions.npz"
            try:
                runs.append(load_examples(path, "probabilities", "labels", "shifted", "corrupted"))
            except FileNotFoundError:
                raise UserError(f"{path} is missing; run `dvc repro` to make it again") from None
        probabilities, labels, shifted, corrupted = zip(*runs, strict=True)
        first = next(iter(found.values())).labels if found else labels[0]
        if not all(np.array_equal(first, others) for others in labels):
            raise UserError(
                f"{folder / model}: its runs were tested on other images than those before; "
                "run `dvc repro` to evaluate them again"
            )
        found[model] = Predictions(
            np.stack(probabilities), first, np.stack(shifted), np.stack(corrupted)
        )
    return found


def disputed(found: dict[str, Predictions], images: np.ndarray, count: int) -> list[Disagreement]:
    """Return the test images on which the models disagree most, most first.

    Disagreement is how far the models lie apart in the probability of the label, averaged over
    the seeds: the largest minus the smallest.

    Args:
        images: uint8, N×28×28, the test images.
        count: how many at most.
    """
    labels = next(iter(found.values())).labels
    of_label = np.stack(
        [
            one.probabilities[:, np.arange(len(labels)), labels].mean(axis=0)
            for one in found.values()
        ]
    )
    apart = of_label.max(axis=0) - of_label.min(axis=0)
    return [
        Disagreement(
            image=images[index],
            index=int(index),
            label=CLASSES[labels[index]],
            predicted={
                model: [CLASSES[number] for number in one.predicted[:, index]]
                for model, one in found.items()
            },
        )
        for index in np.argsort(-apart, kind="stable")[:count]
    ]


def shift_maps(found: dict[str, Predictions]) -> dict[str, np.ndarray]:
    """Return each model's accuracy by shift, 9×9 (down, to the right), mean over the seeds."""
    return {model: one.shifted.mean(axis=(0, 3)) for model, one in found.items()}


def corruption_table(
    found: dict[str, Predictions], seeds: list[int], augmentations: dict[str, dict[str, Any]]
) -> pd.DataFrame:
    """Return a row per model, seed, corruption and severity: accuracy, and whether it is matched.

    Severity 0 stands for the same images as they are. `matched` says that the model's own
    augmentation (the key of `params.yaml`) showed it such images in training. Without corrupted
    images there is no row.
    """
    names = ["model", "seed", "corruption", "severity"]
    if not next(iter(found.values())).corrupted.shape[-1]:
        return pd.DataFrame(columns=[*names, "accuracy", "matched"])
    tables = []
    for model, one in found.items():
        corrupted = one.corrupted.mean(axis=-1)
        clean = np.broadcast_to(
            one.clean.mean(axis=-1)[:, np.newaxis, np.newaxis], (*corrupted.shape[:2], 1)
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
    """Return a row per model and corruption: the error relative to the first model's.

    The rows `mCE` hold the mean over all corruptions, `mCE, held out` the mean over those that
    neither the model nor the first one met in training.

    Args:
        table: as `corruption_table` returns it.
    """
    columns = ["model", "corruption", "error", "matched"]
    if table.empty:
        return pd.DataFrame(columns=columns)
    damaged = table[table["severity"] > 0]
    errors = 1 - damaged.pivot_table(
        index=["model", "corruption"], columns="severity", values="accuracy", sort=False
    )
    matched = damaged.groupby(["model", "corruption"])["matched"].first()
    first = table["model"].iloc[0]
    rows: list[tuple[str, str, float, bool]] = []
    for model in table["model"].unique():
        met = {name: bool(matched[(model, name)]) for name in CORRUPTIONS}
        error = {
            name: metrics.corruption_error(
                errors.loc[(model, name)].to_numpy(), errors.loc[(first, name)].to_numpy()
            )
            for name in CORRUPTIONS
        }
        held_out = [name for name in CORRUPTIONS if not (met[name] or matched[(first, name)])]
        rows += [(model, name, error[name], met[name]) for name in CORRUPTIONS]
        for name, over in (("mCE", list(CORRUPTIONS)), ("mCE, held out", held_out)):
            rows.append((model, name, float(np.mean([error[one] for one in over])), False))
    return pd.DataFrame(rows, columns=columns)


def reliability_table(found: dict[str, Predictions], seeds: list[int]) -> pd.DataFrame:
    """Return a row per model, seed and bin: `measures.reliability` of the test images."""
    return pd.concat(
        [
            metrics.reliability(probabilities, one.labels)
            .rename_axis("bin")
            .reset_index()
            .assign(model=model, seed=seed)
            for model, one in found.items()
            for seed, probabilities in zip(seeds, one.probabilities, strict=True)
        ],
        ignore_index=True,
    )


def confusions(found: dict[str, Predictions]) -> dict[str, np.ndarray]:
    """Return each model's counts by actual and predicted class, 10×10, mean over the seeds."""
    return {
        model: np.mean(
            [metrics.confusion(p, one.labels, len(CLASSES)) for p in one.probabilities], axis=0
        )
        for model, one in found.items()
    }


def confusion_table(counts: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return a row per model, actual and predicted class: `images`, the mean count.

    Args:
        counts: as `confusions` returns them.
    """
    index = pd.MultiIndex.from_product(
        [list(counts), CLASSES, CLASSES], names=["model", "actual", "predicted"]
    )
    return pd.Series(np.ravel(list(counts.values())), index, name="images").reset_index()


def class_changes(found: dict[str, Predictions], seeds: list[int]) -> pd.DataFrame:
    """Return a row per model, seed and class: how much more accurate it is than the first model.

    The change is a share, against the first model with the same seed: 0 for the first itself. A
    class without test images has no row.
    """

    def accuracies(one: Predictions) -> np.ndarray:
        return np.stack(
            [metrics.per_class_accuracy(p, one.labels, len(CLASSES)) for p in one.probabilities]
        )

    first = accuracies(next(iter(found.values())))
    index = pd.MultiIndex.from_product(
        [list(found), seeds, CLASSES], names=["model", "seed", "class_name"]
    )
    changes = np.stack([accuracies(one) - first for one in found.values()])
    return pd.Series(changes.ravel(), index, name="change").dropna().reset_index()
