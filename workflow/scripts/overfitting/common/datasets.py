"""The subsets used for training and testing, as files and as arrays."""

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from .errors import UserError
from .files import atomic_write

N_CLASSES = 10
"""The number of classes that the networks tell apart; labels are 0 to 9."""


def first(
    images: np.ndarray, labels: np.ndarray, size: int, key: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `size` images and their labels.

    Args:
        images: uint8, N×28×28.
        labels: uint8, N, 0 to 9.
        size: how many to return.
        key: the key of params.yaml that sets `size`, for the error message.

    Raises:
        UserError: images and labels differ in number, the images are not 28×28, a label is
            out of range, or there are fewer than `size` images.
    """
    if images.shape != (len(labels), 28, 28):
        raise UserError(
            f"images and labels do not match: the images have the shape {images.shape}, and "
            f"there are {len(labels)} labels; expected one 28×28 image per label"
        )
    if labels.size and labels.max() >= N_CLASSES:
        raise UserError(f"the labels go up to {labels.max()}; expected 0 to {N_CLASSES - 1}")
    if size > len(images):
        raise UserError(f"params.yaml: {key} = {size}: the data set has only {len(images)} images")
    return images[:size], labels[:size]


def save_examples(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays as .npz, atomically; equal arrays give identical bytes.

    `numpy.savez` is not used, because the headers that it has `zipfile` write differ between
    versions of Python.
    """
    with atomic_write(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getbuffer())


def load_examples(path: Path, *names: str) -> list[np.ndarray]:
    """Read arrays from an .npz file by name, after verifying the checksums of the whole file.

    Raises:
        UserError: the file is corrupt, or has no array of one of the names.
        OSError: the file is missing or cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if corrupt := archive.testzip():
                raise zipfile.BadZipFile(f"wrong checksum of {corrupt}")
        with np.load(path, allow_pickle=False) as file:
            return [file[name] for name in names]
    except (
        *(zipfile.BadZipFile, zlib.error, OSError),
        *(ValueError, KeyError, EOFError, RuntimeError),
    ) as error:
        if isinstance(error, OSError) and error.filename:  # missing, or no permission to read it
            raise
        raise UserError(f"{path} is corrupt ({error}); `make verify` says what to do") from None
