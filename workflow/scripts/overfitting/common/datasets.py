"""The subset that is trained and tested on, as files and as arrays."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from .errors import UserError
from .files import atomic_write

CLASSES = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]


def first(
    images: np.ndarray, labels: np.ndarray, size: int, key: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `size` images (uint8, N×28×28) and their labels (uint8, 0 to 9).

    Args:
        key: the key of params.yaml that asks for `size`, for the message.

    Raises:
        UserError: images and labels do not fit each other, or there are fewer than `size`.
    """
    if images.shape != (len(labels), 28, 28):
        raise UserError(
            f"the data do not fit: images of shape {images.shape}, {len(labels)} labels; "
            "expected as many images of 28×28 as labels"
        )
    if labels.size and labels.max() >= len(CLASSES):
        raise UserError(f"the labels go up to {labels.max()}; expected 0 to {len(CLASSES) - 1}")
    if size > len(images):
        raise UserError(f"params.yaml: {key} = {size}: the data have only {len(images)} images")
    return images[:size], labels[:size]


def save_examples(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays as .npz, the same bytes for the same arrays, whole or not at all."""
    with atomic_write(path) as partial, partial.open("wb") as file:  # whatever its name ends in
        np.savez(file, allow_pickle=False, **arrays)


def load_examples(path: Path, *names: str) -> list[np.ndarray]:
    """Read arrays of an .npz file by name; the format's own checksums are verified, of all.

    Raises:
        UserError: the file is corrupt or lacks a name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"{damaged} has another checksum")
        with np.load(path, allow_pickle=False) as file:
            return [file[name] for name in names]
    except (
        *(zipfile.BadZipFile, zlib.error, OSError),
        *(ValueError, KeyError, EOFError, RuntimeError),
    ) as error:
        if isinstance(error, OSError) and error.filename:  # it is not there, or not ours to read
            raise
        raise UserError(f"{path} is corrupt ({error}); `make verify` says what to do") from None


def to_network_input(images: np.ndarray) -> np.ndarray:
    """Turn uint8 images (…×28×28, 0 to 255) into float32 (…×28×28×1, 0 to 1)."""
    scaled = images[..., np.newaxis].astype("float32")
    scaled /= 255.0  # in place: at its peak, memory holds one copy less
    return scaled
