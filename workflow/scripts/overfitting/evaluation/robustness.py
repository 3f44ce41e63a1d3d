"""Accuracy of a trained network on shifted and corrupted test images, image by image.

The results say which images were classified correctly, not only how many, so that two models can be
compared on the same images.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .corruptions import CORRUPTIONS, SEVERITIES, shifted

SHIFTS = range(-4, 5)
"""The shifts in pixels, used for both directions: down and to the right."""

Predict = Callable[[np.ndarray], np.ndarray]
"""Takes uint8 images (N×28×28), returns class probabilities (N×10)."""


def correct_when_shifted(predict: Predict, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each shift which images are classified correctly.

    Args:
        predict: returns the class probabilities of images.
        images: uint8, N×28×28.
        labels: N integers, 0 to 9.

    Returns:
        Booleans, 9×9×N: shift down, shift to the right (both from -4 to 4 pixels), image.
    """
    return np.stack(
        [
            _correct(predict, np.stack([shifted(images, down, right) for right in SHIFTS]), labels)
            for down in SHIFTS
        ]
    )


def correct_when_corrupted(
    predict: Predict, corrupted: Mapping[str, np.ndarray], labels: np.ndarray
) -> np.ndarray:
    """Return for each corruption and severity which images are classified correctly.

    Args:
        predict: returns the class probabilities of images.
        corrupted: by corruption, uint8 images, severities×N×28×28.
        labels: N integers, 0 to 9.

    Returns:
        Booleans, corruptions×severities×N, in the order of `corrupted`.

    Raises:
        ValueError: there are not as many images as labels, or not all severities.
    """
    for name, images in corrupted.items():
        if images.shape[:2] != (SEVERITIES, len(labels)):
            raise ValueError(f"{name}: images of shape {images.shape} for {len(labels)} labels")
    return np.stack([_correct(predict, images, labels) for images in corrupted.values()])


def summary(when_corrupted: np.ndarray) -> dict[str, Any] | None:
    """Return accuracies, as shares of the images (0 to 1), or None without images.

    Args:
        when_corrupted: as `correct_when_corrupted` returns it for all of `CORRUPTIONS`.

    Returns:
        A dictionary: `images` is the number of images; `corruptions` the accuracy at each severity,
        by name of the corruption.
    """
    if not when_corrupted.shape[-1]:
        return None
    accuracies = when_corrupted.mean(axis=-1).tolist()
    return {
        "images": when_corrupted.shape[-1],
        "corruptions": dict(zip(CORRUPTIONS, accuracies, strict=True)),
    }


def _correct(predict: Predict, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which of the images (K×N×28×28) are classified correctly; booleans, K×N."""
    flat = images.reshape(-1, *images.shape[-2:])
    return predict(flat).argmax(axis=1).reshape(images.shape[:2]) == labels
