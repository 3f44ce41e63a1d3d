"""Which shifted and corrupted images are classified correctly, against results by hand."""

import numpy as np
import pytest

from overfitting.evaluation import robustness
from overfitting.evaluation.corruptions import CORRUPTIONS, all_severities

MIDDLE = list(robustness.SHIFTS).index(0)


def predict_brightest_column(images: np.ndarray) -> np.ndarray:
    """A fake network: the class is the index of the brightest column divided by 10."""
    columns = images.astype(int).sum(axis=1).argmax(axis=1)
    return np.eye(10)[columns // 10]


def striped(*columns: int) -> np.ndarray:
    images = np.zeros((len(columns), 28, 28), dtype=np.uint8)
    for image, column in zip(images, columns, strict=True):
        image[:, column] = 200
    return images


def test_shifts_are_indexed_by_down_and_right() -> None:
    images, labels = striped(9, 15), np.array([0, 1])
    correct = robustness.correct_when_shifted(predict_brightest_column, images, labels)
    assert correct.shape == (9, 9, 2)
    assert correct.dtype == bool
    assert correct[MIDDLE, MIDDLE].all()
    assert correct[:, MIDDLE].all()  # a vertical shift keeps the column
    right, left = correct[MIDDLE, MIDDLE + 1 :], correct[MIDDLE, :MIDDLE]
    assert not right[:, 0].any()  # column 9 + 1 is in the next class
    assert left[:, 0].all()
    assert right[:, 1].all()
    assert left[:, 1].all()


def test_corruptions_keep_their_order() -> None:
    images, labels = striped(3, 15, 26), np.array([0, 1, 2])
    corrupted = all_severities(images)
    correct = robustness.correct_when_corrupted(predict_brightest_column, corrupted, labels)
    assert correct.shape == (len(CORRUPTIONS), 5, 3)
    mirrored = correct[list(CORRUPTIONS).index("horizontal_flip"), -1]
    assert mirrored.tolist() == [False, True, False]  # columns 24, 12 and 1
    assert correct[list(CORRUPTIONS).index("brightness")].all()


def test_images_and_labels_must_match_in_number() -> None:
    corrupted = all_severities(striped(3, 15))
    with pytest.raises(ValueError, match="gaussian_noise: images of shape"):
        robustness.correct_when_corrupted(predict_brightest_column, corrupted, np.array([0]))


def test_the_summary_contains_accuracies() -> None:
    when_corrupted = np.zeros((len(CORRUPTIONS), 5, 4), dtype=bool)
    when_corrupted[list(CORRUPTIONS).index("horizontal_flip"), -1, 0] = True
    summary = robustness.summary(when_corrupted)
    assert summary
    assert summary["images"] == 4
    assert summary["corruptions"]["horizontal_flip"] == [0, 0, 0, 0, 0.25]
    assert list(summary["corruptions"]) == list(CORRUPTIONS)


def test_there_is_no_summary_without_images() -> None:
    when_shifted = robustness.correct_when_shifted(
        predict_brightest_column, striped(), np.array([])
    )
    assert when_shifted.shape == (9, 9, 0)
    when_corrupted = robustness.correct_when_corrupted(
        predict_brightest_column, all_severities(striped()), np.array([])
    )
    assert robustness.summary(when_corrupted) is None
