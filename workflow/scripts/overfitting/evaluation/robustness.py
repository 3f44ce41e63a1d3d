"""How a trained network does on test images that were shifted or corrupted, image by image.

Which images were recognised is kept, not only how many: two models are compared on the same ones.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .corruptions import CORRUPTIONS, SEVERITIES, shifted

SHIFTS = range(-4, 5)
"""Pixels, down and to the right."""

Predict = Callable[[np.ndarray], np.ndarray]
"""uint8 images (N×28×28) in, class probabilities (N×10) out."""


def correct_when_shifted(predict: Predict, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Tell for each shift which images are still recognised.

    Args:
        images: uint8, N×28×28.
        labels: N whole numbers.

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
    """Tell for each corruption and severity which images are still recognised.

    Args:
        corrupted: for each corruption uint8 images, severities×N×28×28.
        labels: N whole numbers.

    Returns:
        Booleans, corruptions×severities×N, in the order of `corrupted`.

    Raises:
        ValueError: the images are not as many as the labels, or the severities not all.
    """
    for name, images in corrupted.items():
        if images.shape[:2] != (SEVERITIES, len(labels)):
            raise ValueError(f"{name}: images of shape {images.shape} for {len(labels)} labels")
    return np.stack([_correct(predict, images, labels) for images in corrupted.values()])


def summary(when_shifted: np.ndarray, when_corrupted: np.ndarray) -> dict[str, Any] | None:
    """Return shares of images recognised, as lists and dictionaries; None without images.

    Args:
        when_shifted: as `correct_when_shifted` returns it.
        when_corrupted: as `correct_when_corrupted` returns it for all of `CORRUPTIONS`.

    Returns:
        `images`, their number; `clean`, the share recognised as they are; `mirrored`, left to
        right; `shifts`, rows of pixels down, columns to the right; `corruptions`, by name, the
        share at each severity.
    """
    if not when_shifted.shape[-1]:
        return None
    shifts = when_shifted.mean(axis=-1)
    corruptions = dict(zip(CORRUPTIONS, when_corrupted.mean(axis=-1).tolist(), strict=True))
    return {
        "images": when_shifted.shape[-1],
        "clean": float(shifts[SHIFTS.index(0), SHIFTS.index(0)]),
        "mirrored": corruptions["horizontal_flip"][-1],  # its last severity mirrors every image
        "shifts": shifts.tolist(),
        "corruptions": corruptions,
    }


def _correct(predict: Predict, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Tell which of K×N×28×28 images are given their label; booleans, K×N."""
    flat = images.reshape(-1, *images.shape[-2:])
    return predict(flat).argmax(axis=1).reshape(images.shape[:2]) == labels
