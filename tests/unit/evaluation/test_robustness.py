"""Which images are still recognised: shift by shift, corruption by corruption, by hand."""

import numpy as np
import pytest

from overfitting.evaluation import robustness
from overfitting.evaluation.corruptions import CORRUPTIONS, all_severities

MIDDLE = list(robustness.SHIFTS).index(0)


def by_brightest_column(images: np.ndarray) -> np.ndarray:
    """A network that takes the place of the brightest column, in tens of pixels, for the class."""
    columns = images.astype(int).sum(axis=1).argmax(axis=1)
    return np.eye(10)[columns // 10]


def striped(*columns: int) -> np.ndarray:
    images = np.zeros((len(columns), 28, 28), dtype=np.uint8)
    for image, column in zip(images, columns, strict=True):
        image[:, column] = 200
    return images


def test_shifts_are_down_then_to_the_right() -> None:
    images, labels = striped(9, 15), np.array([0, 1])
    found = robustness.correct_when_shifted(by_brightest_column, images, labels)
    assert found.shape == (9, 9, 2)
    assert found.dtype == bool
    assert found[MIDDLE, MIDDLE].all()
    assert found[:, MIDDLE].all()  # up and down changes no column
    right, left = found[MIDDLE, MIDDLE + 1 :], found[MIDDLE, :MIDDLE]
    assert not right[:, 0].any()  # 9 + 1 is the next class
    assert left[:, 0].all()
    assert right[:, 1].all()
    assert left[:, 1].all()


def test_corruptions_stay_in_their_order() -> None:
    images, labels = striped(3, 15, 26), np.array([0, 1, 2])
    corrupted = all_severities(images)
    found = robustness.correct_when_corrupted(by_brightest_column, corrupted, labels)
    assert found.shape == (len(CORRUPTIONS), 5, 3)
    mirrored = found[list(CORRUPTIONS).index("horizontal_flip"), -1]
    assert mirrored.tolist() == [False, True, False]  # columns 24, 12 and 1
    assert found[list(CORRUPTIONS).index("brightness")].all()


def test_images_and_labels_must_fit() -> None:
    corrupted = all_severities(striped(3, 15))
    with pytest.raises(ValueError, match="gaussian_noise: images of shape"):
        robustness.correct_when_corrupted(by_brightest_column, corrupted, np.array([0]))


def test_the_summary_is_in_shares() -> None:
    when_shifted = np.zeros((9, 9, 4), dtype=bool)
    when_shifted[MIDDLE, MIDDLE, :3] = True
    when_corrupted = np.zeros((len(CORRUPTIONS), 5, 4), dtype=bool)
    when_corrupted[list(CORRUPTIONS).index("horizontal_flip"), -1, 0] = True
    found = robustness.summary(when_shifted, when_corrupted)
    assert found
    assert found["images"] == 4
    assert found["clean"] == 0.75
    assert found["mirrored"] == 0.25
    assert np.sum(found["shifts"]) == 0.75
    assert found["corruptions"]["horizontal_flip"] == [0, 0, 0, 0, 0.25]
    assert list(found["corruptions"]) == list(CORRUPTIONS)


def test_no_images_no_summary() -> None:
    none = robustness.correct_when_shifted(by_brightest_column, striped(), np.array([]))
    assert none.shape == (9, 9, 0)
    corrupted = robustness.correct_when_corrupted(
        by_brightest_column, all_severities(striped()), np.array([])
    )
    assert robustness.summary(none, corrupted) is None
