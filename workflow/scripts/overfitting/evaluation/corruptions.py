"""Images in, corrupted images out: twelve kinds, each at five severities, seeded.

Every model is tested on the same corrupted images. The kinds follow Hendrycks & Dietterich 2019
(arXiv 1903.12261) and Mu & Gilmer 2019 (arXiv 1906.02337), made for 28×28 grey images. All
severities of a kind start from the same random state, so that more severity is more of the same.
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
STEPS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
LINES = 8  # directions of motion blur, evenly over half a turn
LINE_POINTS = 50  # taken along each of them

Apply = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption."""

    apply: Apply
    """Float images in [0, 1] (N×H×W), a strength and a source of randomness in; the same out,
    to be clipped to [0, 1]."""
    strengths: tuple[float, ...]
    """The strength of each severity, from 1 to 5."""
    matched_by: str = ""
    """The key of `augmentation` that shows a model such images in training, if there is one."""


def all_severities(
    images: np.ndarray, seed: int = 0, log: logging.Logger | None = None
) -> dict[str, np.ndarray]:
    """Return by corruption the images at severities 1 to 5, uint8 5×N×28×28.

    Args:
        images: uint8, N×28×28; N may be 0.
        log: told which corruption is at work.
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
    """Return uint8 images (N×28×28) corrupted by `name`; severity 0 leaves them as they are.

    An image is corrupt in the same way whatever images follow it.

    Args:
        name: a key of CORRUPTIONS.
        severity: 0 to 5.

    Raises:
        ValueError: `images` are no uint8 images, or the severity is out of range.
    """
    if images.dtype != np.uint8 or images.ndim != 3:
        raise ValueError(f"expected uint8 images, N×28×28; got {images.dtype} {images.shape}")
    if not 0 <= severity <= SEVERITIES:
        raise ValueError(f"severity {severity}: expected 0 to {SEVERITIES}")
    kind = CORRUPTIONS[name]
    if not severity or not len(images):
        return images.copy()
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    corrupted = kind.apply(images / 255, kind.strengths[severity - 1], random)
    return np.rint(255 * np.clip(corrupted, 0, 1)).astype(np.uint8)


def is_matched(name: str, augmentation: dict[str, Any]) -> bool:
    """Return whether a model meets images like those of corruption `name` in training.

    Args:
        augmentation: the key `augmentation` of the model in params.yaml; `flip` is None or the
            axes, `translation` a share of the height and width.
    """
    match CORRUPTIONS[name].matched_by:
        case "flip":
            return augmentation.get("flip") in ("horizontal", "horizontal_and_vertical")
        case "translation":
            return augmentation.get("translation", 0) > 0
    return False


def shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Return images (…×H×W) shifted by whole pixels; what comes in from outside is black."""
    height, width = images.shape[-2:]
    framed = np.pad(images, [*[(0, 0)] * (images.ndim - 2), (abs(down),) * 2, (abs(right),) * 2])
    top, left = abs(down) - down, abs(right) - right
    return framed[..., top : top + height, left : left + width]


# The kinds of corruption. Each draws at most once, image after image: a second draw would begin
# where the first ended, which depends on the number of images.


def gaussian_noise(images: np.ndarray, deviation: float, random: np.random.Generator) -> np.ndarray:
    """Add normal noise to each pixel."""
    return images + deviation * random.standard_normal(images.shape)


def shot_noise(images: np.ndarray, photons: float, random: np.random.Generator) -> np.ndarray:
    """Count light: a white pixel gets so many photons on average, Poisson-distributed."""
    return random.poisson(images * photons) / photons


def impulse_noise(images: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Turn a share of the pixels black or white, half of them each."""
    drawn = random.random(images.shape)
    return np.where(drawn < share / 2, 0, np.where(drawn > 1 - share / 2, 1, images))


def gaussian_blur(images: np.ndarray, sigma: float, random: np.random.Generator) -> np.ndarray:
    """Blur by a normal distribution; the pixels of the edge go on beyond it."""
    return scipy.ndimage.gaussian_filter(images, (0, sigma, sigma), mode="nearest")


def motion_blur(images: np.ndarray, length: float, random: np.random.Generator) -> np.ndarray:
    """Smear each image along a line; the pixels of the edge go on beyond it."""
    direction = random.integers(LINES, size=len(images))
    smeared = np.empty_like(images)
    for number in range(LINES):
        kernel = line(length, np.pi * number / LINES)[np.newaxis]
        chosen = direction == number
        smeared[chosen] = scipy.ndimage.convolve(images[chosen], kernel, mode="nearest")
    return smeared


def line(length: float, angle: float) -> np.ndarray:
    """Return a 9×9 kernel that averages along a line of up to 8 pixels through its middle.

    Args:
        angle: from the rows' direction, in radians.
    """
    point = np.zeros((9, 9))
    point[4, 4] = 1
    places = length * ((np.arange(LINE_POINTS) + 0.5) / LINE_POINTS - 0.5)
    direction = np.array([np.sin(angle), np.cos(angle)])
    return np.mean([scipy.ndimage.shift(point, at * direction, order=1) for at in places], axis=0)


def brightness(images: np.ndarray, added: float, random: np.random.Generator) -> np.ndarray:
    """Add the same to each pixel."""
    return images + added


def contrast(images: np.ndarray, lost: float, random: np.random.Generator) -> np.ndarray:
    """Draw each pixel towards the mean of its image by a share."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    return mean + (1 - lost) * (images - mean)


def rotation(images: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    """Turn each image about its middle, to the left or to the right."""
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return moved_either_way(images, np.array([[cosine, -sine], [sine, cosine]]), random)


def shear(images: np.ndarray, slope: float, random: np.random.Generator) -> np.ndarray:
    """Push the rows of each image sideways, the further from the middle the more."""
    return moved_either_way(images, np.array([[1, 0], [slope, 1]]), random)


def scale(images: np.ndarray, shrunk: float, random: np.random.Generator) -> np.ndarray:
    """Make what an image shows smaller by a share."""
    return moved(images, np.eye(2) / (1 - shrunk))


def translation(images: np.ndarray, pixels: float, random: np.random.Generator) -> np.ndarray:
    """Shift each image by whole pixels in one of eight directions, as `shifted` does."""
    direction = random.integers(len(STEPS), size=len(images))
    result = np.empty_like(images)
    for number, (down, right) in enumerate(STEPS):
        chosen = direction == number
        result[chosen] = shifted(images[chosen], int(pixels) * down, int(pixels) * right)
    return result


def horizontal_flip(images: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Mirror a share of the images left to right."""
    return mirrored(images, random.random(len(images)) < share)


def moved(images: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Move what images (N×H×W) show; what comes in from outside is black.

    Args:
        matrix: 2×2; each point (row and column, counted from the middle) shows what was at
            matrix · point before, interpolated linearly.
    """
    each_image = scipy.linalg.block_diag(1, matrix)  # all at once, as one volume
    middle = (np.array(images.shape) - 1) / 2
    offset = middle - each_image @ middle
    return scipy.ndimage.affine_transform(images, each_image, offset, order=1)


def moved_either_way(
    images: np.ndarray, matrix: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Move half of the images as `moved` does, the others as a mirror would show it."""
    other_way = random.random(len(images)) < 0.5
    return mirrored(moved(mirrored(images, other_way), matrix), other_way)


def mirrored(images: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return images (N×H×W), the chosen ones (N booleans) mirrored left to right."""
    return np.where(chosen[:, np.newaxis, np.newaxis], images[:, :, ::-1], images)


CORRUPTIONS = {
    kind.apply.__name__: kind
    for kind in [
        Corruption(gaussian_noise, (0.05, 0.1, 0.15, 0.2, 0.3)),  # standard deviation, 1 is white
        Corruption(shot_noise, (60, 30, 15, 8, 4)),  # photons of a white pixel
        Corruption(impulse_noise, (0.02, 0.05, 0.1, 0.15, 0.25)),  # share of the pixels
        Corruption(gaussian_blur, (0.5, 0.75, 1, 1.5, 2)),  # standard deviation, pixels
        Corruption(motion_blur, (2, 3, 4, 5.5, 7)),  # length, pixels
        Corruption(brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),  # added, 1 is white
        Corruption(contrast, (0.2, 0.4, 0.55, 0.7, 0.8)),  # lost, share
        Corruption(rotation, (5, 10, 15, 20, 30)),  # degrees
        Corruption(shear, (0.1, 0.2, 0.3, 0.4, 0.5)),  # columns per row
        Corruption(scale, (0.05, 0.1, 0.2, 0.3, 0.4)),  # smaller by, share
        Corruption(translation, (1, 2, 3, 4, 5), matched_by="translation"),  # pixels
        Corruption(horizontal_flip, (0.2, 0.4, 0.6, 0.8, 1), matched_by="flip"),  # share mirrored
    ]
}
