"""What others report: the lesson that this project follows, and the publisher of the data."""

from collections.abc import Mapping
from typing import Any

PLAIN: dict[str, Any] = {
    "augmentation": {"flip": None, "translation": 0.0},
    "dropout": {"conv": 0.0, "dense": 0.0},
    "batch_norm": False,
    "early_stopping": None,
}
REGULARIZED = PLAIN | {
    "augmentation": {"flip": "horizontal", "translation": 0.1},
    "dropout": {"conv": 0.25, "dense": 0.5},
}
TRAINING = {
    "train_size": 15_000,
    "epochs": 15,
    "batch_size": 64,
    "validation_split": 0.2,
    "learning_rate": 0.001,
}
IMAGES = {"train": 12_000, "validation": 3_000, "test": 3_000}
DATA = "Fashion-MNIST"

# From its section "Reading the Results". Its table shows the second gap without the sign.
RESULTS: list[tuple[dict[str, Any], dict[str, float]]] = [
    (PLAIN, {"train_accuracy": 0.949, "test_accuracy": 0.883, "gap": 0.066}),
    (REGULARIZED, {"train_accuracy": 0.848, "test_accuracy": 0.872, "gap": -0.024}),
]

PUBLISHER = "https://github.com/zalandoresearch/fashion-mnist#benchmark"
ALL_IMAGES = {"train": 60_000, "test": 10_000}
"""How many images Fashion-MNIST has for training, validation included, and for testing."""
PUBLISHED = [
    ("two convolutions with pooling", 0.876),
    ("two convolutions with pooling", 0.916),
    ("two convolutions, flips both ways, translation and rotation", 0.919),
    ("three convolutions with pooling, dropout", 0.926),
]
"""Test accuracies of single runs on all images that `PUBLISHER` lists, of networks like these."""


def is_all_images(run: Mapping[str, Any], data_name: str) -> bool:
    """Return whether a run used all images of Fashion-MNIST."""
    used = {
        "train": run["train"]["images"] + run["validation"]["images"],
        "test": run["test"]["images"],
    }
    return (data_name, used) == (DATA, ALL_IMAGES)


def reported(run: Mapping[str, Any], data_name: str) -> dict[str, float]:
    """Return what the lesson reports for a run with its own settings, or else nothing.

    Args:
        run: as `results.load_runs` returns it.
        data_name: the name of the data set in `params.yaml`.

    Returns:
        `train_accuracy` (as Keras prints it), `test_accuracy` and their difference `gap`; empty if
        the data, the number of images, the training or the model differ from the lesson's.
    """
    images = {part: run[part]["images"] for part in IMAGES}
    if (data_name, images, run["training"]) == (DATA, IMAGES, TRAINING):
        for settings, reported_results in RESULTS:
            if run["model_settings"] == settings:
                return reported_results
    return {}
