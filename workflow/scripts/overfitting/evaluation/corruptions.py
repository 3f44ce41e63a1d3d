"""Corrupt images in twelve ways, each at five severities, reproducibly from a seed.

Every model is tested on the same corrupted images. The corruptions follow Hendrycks & Dietterich
2019 (arXiv 1903.12261) and Mu & Gilmer 2019 (arXiv 1906.02337), adapted to grey images of 28×28
pixels. All severities of a corruption start from the same random state, so that a higher severity
is a stronger version of the same corruption.
"""

import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.ndimage

SEVERITIES = 5
SHIFT_DIRECTIONS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
BLUR_DIRECTIONS = 8  # of motion blur, evenly spaced over 180 degrees
BLUR_SAMPLES = 50  # points per line of motion blur

Apply = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Corruption:
    """One corruption, at all of its severities."""

    apply: Apply
    """Takes float images in [0, 1] (N×H×W), a strength and a random generator; returns the
    corrupted images, still to be clipped to [0, 1]."""
    strengths: tuple[float, ...]
    """The strength at each severity, from 1 to 5."""
    matched_by: str = ""
    """The key of `augmentation` that exposes a model to such images in training; empty if there is
    none."""


def all_severities(
    images: np.ndarray, seed: int = 0, log: logging.Logger | None = None
) -> dict[str, np.ndarray]:
    """Return the images under every corruption at every severity.

    Args:
        images: uint8, N×28×28; N may be 0.
        seed: see `corrupt`.
        log: receives one line per corruption.

    Returns:
        By name of the corruption: uint8, 5×N×28×28, severities 1 to 5.
    """
    corrupted = {}
    for number, name in enumerate(CORRUPTIONS, start=1):
        if log:
            log.info("%s, %d of %d", name, number, len(CORRUPTIONS))
        corrupted[name] = np.stack(
            [corrupt(name, images, severity, seed) for severity in range(1, SEVERITIES + 1)]
        )
    return corrupted


def corrupt(name: str, images: np.ndarray, severity: int, seed: int = 0) -> np.ndarray:
    """Return images corrupted by the corruption `name`.

    The result for an image does not depend on the images that follow it.

    Args:
        name: a key of `CORRUPTIONS`.
        images: uint8, N×28×28; N may be 0.
        severity: 0 to 5; 0 returns a copy of the images.
        seed: 0 or more; each corruption derives its own random state from it.

    Returns:
        uint8, N×28×28.

    Raises:
        KeyError: there is no corruption `name`.
        ValueError: `images` has another type or number of dimensions, or `severity` is out of
            range.
    """
    if images.dtype != np.uint8 or images.ndim != 3:
        raise ValueError(f"expected uint8 images, N×28×28; got {images.dtype} {images.shape}")
    if not 0 <= severity <= SEVERITIES:
        raise ValueError(f"severity {severity}: expected 0 to {SEVERITIES}")
    corruption = CORRUPTIONS[name]
    if not severity or not len(images):
        return images.copy()
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    corrupted = corruption.apply(images / 255, corruption.strengths[severity - 1], rng)
    return np.rint(255 * np.clip(corrupted, 0, 1)).astype(np.uint8)


def is_matched(name: str, augmentation: dict[str, Any]) -> bool:
    """Return whether a model's augmentation exposes it to corruption `name` in training.

    Args:
        name: a key of `CORRUPTIONS`.
        augmentation: the key `augmentation` of the model in `params.yaml`; `flip` names the axes or
            is None, `translation` is a share of the height and width.
    """
    match CORRUPTIONS[name].matched_by:
        case "flip":
            return augmentation.get("flip") in ("horizontal", "horizontal_and_vertical")
        case "translation":
            return augmentation.get("translation", 0) > 0
    return False


def shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Return images (…×H×W) shifted by whole pixels; the pixels that are uncovered are black."""
    height, width = images.shape[-2:]
    padded = np.pad(images, [*[(0, 0)] * (images.ndim - 2), (abs(down),) * 2, (abs(right),) * 2])
    top, left = abs(down) - down, abs(right) - right
    return padded[..., top : top + height, left : left + width]


# The corruptions. Each draws random numbers at most once, for one image after the other: a second
# draw would start where the first ended, so its values would depend on the number of images.


def gaussian_noise(images: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Add normally distributed noise to each pixel."""
    return images + deviation * rng.standard_normal(images.shape)


def shot_noise(images: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    """Draw each pixel from a Poisson distribution, as if white were `photons` on average."""
    return rng.poisson(images * photons) / photons


def impulse_noise(images: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Make a share of the pixels black or white, each with the same probability."""
    draws = rng.random(images.shape)
    return np.where(draws < share / 2, 0, np.where(draws > 1 - share / 2, 1, images))


def gaussian_blur(images: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Blur with a Gaussian kernel; the pixels at the edge are repeated outside the image."""
    return scipy.ndimage.gaussian_filter(images, (0, sigma, sigma), mode="nearest")


def motion_blur(images: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Blur each image along a random line; the pixels at the edge are repeated outside it."""
    directions = rng.integers(BLUR_DIRECTIONS, size=len(images))
    blurred = np.empty_like(images)
    for direction in range(BLUR_DIRECTIONS):
        kernel = motion_blur_kernel(length, np.pi * direction / BLUR_DIRECTIONS)[np.newaxis]
        mask = directions == direction
        blurred[mask] = scipy.ndimage.convolve(images[mask], kernel, mode="nearest")
    return blurred


def motion_blur_kernel(length: float, angle: float) -> np.ndarray:
    """Return a 9×9 kernel that averages along a line through its centre.

    Args:
        length: of the line, in pixels, at most 8.
        angle: between the line and the rows, in radians.
    """
    point = np.zeros((9, 9))
    point[4, 4] = 1
    positions = length * ((np.arange(BLUR_SAMPLES) + 0.5) / BLUR_SAMPLES - 0.5)
    direction = np.array([np.sin(angle), np.cos(angle)])
    shifts = [position * direction for position in positions]
    return np.mean([scipy.ndimage.shift(point, shift, order=1) for shift in shifts], axis=0)


def brightness(images: np.ndarray, offset: float, rng: np.random.Generator) -> np.ndarray:
    """Add a constant to each pixel."""
    return images + offset


def contrast(images: np.ndarray, reduction: float, rng: np.random.Generator) -> np.ndarray:
    """Reduce the difference between each pixel and the mean of its image by a share."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    return mean + (1 - reduction) * (images - mean)


def rotation(images: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Rotate each image about its centre, clockwise or anticlockwise at random."""
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.array([[cosine, -sine], [sine, cosine]])
    return transformed_in_random_direction(images, matrix, rng)


def shear(images: np.ndarray, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Shift each row sideways in proportion to its distance from the centre."""
    return transformed_in_random_direction(images, np.array([[1, 0], [slope, 1]]), rng)


def scale(images: np.ndarray, reduction: float, rng: np.random.Generator) -> np.ndarray:
    """Reduce the height and width of the content of each image by a share."""
    return transformed(images, np.eye(2) / (1 - reduction))


def translation(images: np.ndarray, pixels: float, rng: np.random.Generator) -> np.ndarray:
    """Shift each image with `shifted`, in one of eight random directions."""
    directions = rng.integers(len(SHIFT_DIRECTIONS), size=len(images))
    result = np.empty_like(images)
    for direction, (down, right) in enumerate(SHIFT_DIRECTIONS):
        mask = directions == direction
        result[mask] = shifted(images[mask], int(pixels) * down, int(pixels) * right)
    return result


def horizontal_flip(images: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Mirror each image left to right with the probability `share`."""
    return mirrored(images, rng.random(len(images)) < share)


def transformed(images: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return images after a linear transformation about their centre.

    Values are interpolated linearly; outside an image everything is black.

    Args:
        images: N×H×W.
        matrix: 2×2, from a point of the result to the point of the image whose value it takes;
            both as (row, column), relative to the centre.
    """
    matrix_3d = scipy.linalg.block_diag(1, matrix)  # transforms all images at once, as one volume
    centre = (np.array(images.shape) - 1) / 2
    offset = centre - matrix_3d @ centre
    return scipy.ndimage.affine_transform(images, matrix_3d, offset, order=1)


def transformed_in_random_direction(
    images: np.ndarray, matrix: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return images after the transformation of `transformed` or its mirror image, at random.

    Both have a probability of 1/2. The mirror image of a rotation or shear is the rotation or shear
    in the opposite direction.
    """
    opposite = rng.random(len(images)) < 0.5
    return mirrored(transformed(mirrored(images, opposite), matrix), opposite)


def mirrored(images: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return images (N×H×W), those selected by `mask` (N booleans) mirrored left to right."""
    return np.where(mask[:, np.newaxis, np.newaxis], images[:, :, ::-1], images)


CORRUPTIONS = {
    corruption.apply.__name__: corruption
    for corruption in [
        Corruption(gaussian_noise, (0.05, 0.1, 0.15, 0.2, 0.3)),  # standard deviation, 1 is white
        Corruption(shot_noise, (60, 30, 15, 8, 4)),  # mean photons of a white pixel
        Corruption(impulse_noise, (0.02, 0.05, 0.1, 0.15, 0.25)),  # share of the pixels
        Corruption(gaussian_blur, (0.5, 0.75, 1, 1.5, 2)),  # standard deviation, pixels
        Corruption(motion_blur, (2, 3, 4, 5.5, 7)),  # length, pixels
        Corruption(brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),  # offset, 1 is white
        Corruption(contrast, (0.2, 0.4, 0.55, 0.7, 0.8)),  # reduction, share
        Corruption(rotation, (5, 10, 15, 20, 30)),  # degrees
        Corruption(shear, (0.1, 0.2, 0.3, 0.4, 0.5)),  # columns per row
        Corruption(scale, (0.05, 0.1, 0.2, 0.3, 0.4)),  # reduction, share
        Corruption(translation, (1, 2, 3, 4, 5), matched_by="translation"),  # pixels
        Corruption(horizontal_flip, (0.2, 0.4, 0.6, 0.8, 1), matched_by="flip"),  # share of images
    ]
}
