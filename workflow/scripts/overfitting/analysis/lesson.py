"""What the lesson that this project follows reports, and for which settings."""

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
