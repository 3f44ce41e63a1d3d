"""The lesson's work in the lesson's way: both models, one after the other, in Keras's defaults.

    python benchmarks/lesson.py data/raw

The lesson's own code, but that the data come from files that are there already.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow.keras import layers, models


def build_baseline() -> models.Sequential:
    return models.Sequential(
        [
            layers.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, kernel_size=3, activation="relu"),
            layers.MaxPooling2D(pool_size=2),
            layers.Conv2D(64, kernel_size=3, activation="relu"),
            layers.MaxPooling2D(pool_size=2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def build_regularized() -> models.Sequential:
    return models.Sequential(
        [
            layers.Input(shape=(28, 28, 1)),
            layers.RandomFlip("horizontal"),
            layers.RandomTranslation(height_factor=0.1, width_factor=0.1),
            layers.Conv2D(32, kernel_size=3, activation="relu"),
            layers.MaxPooling2D(pool_size=2),
            layers.Dropout(0.25),
            layers.Conv2D(64, kernel_size=3, activation="relu"),
            layers.MaxPooling2D(pool_size=2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


BUILD = {"baseline": build_baseline, "regularized": build_regularized}


def load(raw: Path, part: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `size` images (float32, N×28×28×1, 0 to 1) and labels of a part."""
    images = np.fromfile(raw / f"{part}-images-idx3-ubyte", np.uint8, offset=16)
    labels = np.fromfile(raw / f"{part}-labels-idx1-ubyte", np.uint8, offset=8)
    scaled = images.reshape(-1, 28, 28)[:size].astype("float32") / 255.0
    return scaled[..., np.newaxis], labels[:size]


def train(name: str, x_train: np.ndarray, y_train: np.ndarray, **changes: Any) -> models.Sequential:
    """Return the model of that name, trained as the lesson prints it but for `changes`."""
    model = BUILD[name]()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    options = {"validation_split": 0.2, "epochs": 15, "batch_size": 64, "verbose": 2}
    model.fit(x_train, y_train, **options | changes)
    return model


def main(raw: Path) -> None:
    x_train, y_train = load(raw, "train", 15000)
    x_test, y_test = load(raw, "t10k", 3000)
    for name in BUILD:
        train(name, x_train, y_train).evaluate(x_test, y_test, verbose=2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
