"""Reads what the models predicted for each test image, and computes the tables about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from overfitting.common.datasets import load_examples
from overfitting.common.errors import UserError
from overfitting.evaluation import metrics
from overfitting.evaluation.robustness import SHIFTS

ARRAYS = ["probabilities", "labels", "shifted", "corrupted", "validation", "whole_test"]
"""The arrays of predictions.npz, in the order of the fields of `Predictions`."""


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
    correct_validation: np.ndarray
    """Booleans, S×V: whether each of the V validation images is classified correctly."""
    correct_whole_test: np.ndarray
    """Booleans, S×W: whether each of the W images of the whole test set is classified correctly."""

    @property
    def correct_clean(self) -> np.ndarray:
        """Booleans, S×K: whether the unchanged image is classified correctly."""
        return self.correct_shifted[:, SHIFTS.index(0), SHIFTS.index(0)]

    @property
    def labelled(self) -> tuple[np.ndarray, np.ndarray]:
        """`probabilities` and `labels`."""
        return self.probabilities, self.labels

    @property
    def predicted(self) -> np.ndarray:
        """Integers, S×N: the most probable class."""
        return self.probabilities.argmax(axis=2)

    @property
    def correct(self) -> np.ndarray:
        """Booleans, S×N: whether the most probable class is the label."""
        return self.predicted == self.labels

    @property
    def tests_all_images(self) -> bool:
        """Whether the N test images are the whole test set."""
        return self.correct_whole_test.shape[1] == len(self.labels)


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
                runs.append(load_examples(path, *ARRAYS))
            except FileNotFoundError:
                raise UserError(f"{path} is missing; run `dvc repro` to create it") from None
        probabilities, labels, *others = zip(*runs, strict=True)
        first_labels = next(iter(predictions.values())).labels if predictions else labels[0]
        if not all(np.array_equal(first_labels, run_labels) for run_labels in labels):
            raise UserError(
                f"{folder / model}: not all runs were tested on the same images; "
                "run `dvc repro` to evaluate them again"
            )
        predictions[model] = Predictions(
            np.stack(probabilities), first_labels, *(np.stack(arrays) for arrays in others)
        )
    return predictions


def largest_disagreements(
    predictions: dict[str, Predictions], images: np.ndarray, classes: list[str], count: int
) -> list[Disagreement]:
    """Return the test images on which the models disagree most, in descending order.

    The disagreement on an image is the difference between the largest and the smallest probability
    that any model gives to the label, each averaged over the seeds of the model.

    Args:
        predictions: by model, as `load` returns them.
        images: uint8, N×28×28, the test images.
        classes: the names of the classes.
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
            label=classes[labels[index]],
            predicted={
                model: [classes[number] for number in of_model.predicted[:, index]]
                for model, of_model in predictions.items()
            },
        )
        for index in np.argsort(-disagreement, kind="stable")[:count]
    ]


def disagreement_table(disagreements: Iterable[Disagreement], seeds: list[int]) -> pd.DataFrame:
    """Return a row per image, model and seed: what its network takes the image for.

    Args:
        disagreements: as `largest_disagreements` returns them.
        seeds: the seeds of each model, in the order of its predictions.
    """
    return pd.DataFrame(
        [
            (each.index, each.label, model, seed, predicted)
            for each in disagreements
            for model, of_model in each.predicted.items()
            for seed, predicted in zip(seeds, of_model, strict=True)
        ],
        columns=["image", "label", "model", "seed", "predicted"],
    )


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
                metrics.confusion(probabilities, of_model.labels)
                for probabilities in of_model.probabilities
            ],
            axis=0,
        )
        for model, of_model in predictions.items()
    }


def confusion_table(counts: dict[str, np.ndarray], classes: list[str]) -> pd.DataFrame:
    """Return a row per model, actual class and predicted class: `images`, the mean count.

    Args:
        counts: as `confusion_matrices` returns them.
        classes: the names of the classes.
    """
    index = pd.MultiIndex.from_product(
        [list(counts), classes, classes], names=["model", "actual", "predicted"]
    )
    return pd.Series(np.ravel(list(counts.values())), index, name="images").reset_index()


def class_changes(
    predictions: dict[str, Predictions], seeds: list[int], classes: list[str], reference: str
) -> pd.DataFrame:
    """Return a row per model, seed and class: `change`, the difference to the reference.

    This is the accuracy on the class minus that of the reference with the same seed, as a share;
    0 for the reference itself. A class without test images has no row.

    Args:
        predictions: by model, as `load` returns them.
        seeds: the seeds of each model, in the order of its predictions.
        classes: the names of the classes.
        reference: one of the models.
    """

    def accuracies(of_model: Predictions) -> np.ndarray:
        return np.stack(
            [
                metrics.per_class_accuracy(probabilities, of_model.labels)
                for probabilities in of_model.probabilities
            ]
        )

    of_reference = accuracies(predictions[reference])
    index = pd.MultiIndex.from_product(
        [list(predictions), seeds, classes], names=["model", "seed", "class_name"]
    )
    changes = np.stack([accuracies(of_model) - of_reference for of_model in predictions.values()])
    return pd.Series(changes.ravel(), index, name="change").dropna().reset_index()
