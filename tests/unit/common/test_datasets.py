"""Files of arrays."""

from pathlib import Path

import numpy as np

from overfitting.common import datasets
from overfitting.common.files import sha256

SHA256 = "047c94ae57e9495da5727b8d92e308a74a0d15241005f16cecaa0048637f7eb9"


def test_arrays_are_the_same_bytes_in_every_version_of_python(tmp_path: Path) -> None:
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    labels = np.array([3, 9], np.uint8)
    path = tmp_path / "examples.npz"
    datasets.save_examples(path, images=images, labels=labels)
    assert sha256(path) == SHA256
    loaded = datasets.load_examples(path, "images", "labels")
    assert np.array_equal(loaded[0], images) and np.array_equal(loaded[1], labels)
