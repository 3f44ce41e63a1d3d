"""Tests of the metrics, against values computed by hand."""

import math

import numpy as np
import pytest
import sklearn.calibration
import sklearn.metrics

from overfitting.evaluation import metrics

# Three classes; the predictions are right, right and wrong (class 1 instead of 0).
PROBABILITIES = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.25, 0.5, 0.25]])
LABELS = np.array([0, 2, 0])


def two_classes(confidences: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of images predicted as class 0 with these confidences."""
    confidence = np.array(confidences)
    return np.stack([confidence, 1 - confidence], axis=1), np.where(right, 0, 1)


def test_accuracy_and_cross_entropy_by_hand() -> None:
    assert metrics.accuracy(PROBABILITIES, LABELS) == pytest.approx(2 / 3)
    by_hand = -(math.log(0.5) + math.log(0.7) + math.log(0.25)) / 3
    assert metrics.cross_entropy(PROBABILITIES, LABELS) == pytest.approx(by_hand)
    certain = np.array([[0.0, 1.0]])
    assert math.isfinite(metrics.cross_entropy(certain, np.array([0])))


def test_brier_by_hand_and_its_bounds() -> None:
    before = PROBABILITIES.copy()
    by_hand = (0.25 + 0.09 + 0.04) + (0.01 + 0.04 + 0.09) + (0.5625 + 0.25 + 0.0625)
    assert metrics.brier(PROBABILITIES, LABELS) == pytest.approx(by_hand / 3)
    assert np.array_equal(PROBABILITIES, before)
    certain = np.eye(10)
    assert metrics.brier(certain, np.arange(10)) == 0
    assert metrics.brier(certain, (np.arange(10) + 1) % 10) == 2
    assert metrics.brier(np.full((10, 10), 0.1), np.arange(10)) == pytest.approx(0.9)


def test_brier_is_reliability_minus_resolution_plus_uncertainty() -> None:
    """Murphy, "A new vector partition of the probability score", J. Applied Meteorology 1973."""
    probability = np.repeat([0.1, 0.7], 5)  # of class 1
    labels = np.array([1, 0, 0, 0, 0, 1, 1, 1, 0, 0])  # shares of class 1: 0.2 and 0.6
    reliability = (0.1 - 0.2) ** 2 / 2 + (0.7 - 0.6) ** 2 / 2
    resolution = (0.2 - 0.4) ** 2 / 2 + (0.6 - 0.4) ** 2 / 2
    uncertainty = 0.4 * 0.6
    score = metrics.brier(np.stack([1 - probability, probability], axis=1), labels)
    assert score == pytest.approx(2 * (reliability - resolution + uncertainty))  # two classes


def test_confusion_and_accuracy_per_class_by_hand() -> None:
    counts = metrics.confusion(PROBABILITIES, LABELS, classes=3)
    assert counts.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    shares = metrics.per_class_accuracy(PROBABILITIES, LABELS, classes=3)
    assert shares[[0, 2]].tolist() == [0.5, 1.0]
    assert math.isnan(shares[1])


def test_confusion_counts_every_image_with_labels_of_type_uint8() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(10), size=500).astype(np.float32)
    labels = rng.integers(10, size=500).astype(np.uint8)  # as in the data set
    counts = metrics.confusion(probabilities, labels)
    assert counts.sum(axis=1).tolist() == np.bincount(labels).tolist()
    assert counts.sum(axis=0).tolist() == np.bincount(probabilities.argmax(axis=1)).tolist()
    assert counts.trace() / 500 == metrics.accuracy(probabilities, labels)
    shares = metrics.per_class_accuracy(probabilities, labels)
    assert np.average(shares, weights=np.bincount(labels)) == pytest.approx(counts.trace() / 500)


def test_reliability_and_calibration_error_by_hand() -> None:
    # Sorted: 0.6 right, 0.6 wrong, 0.7 wrong | 0.8 right, 0.9 right
    images = two_classes([0.9, 0.6, 0.8, 0.7, 0.6], [True, True, True, False, False])
    table = metrics.reliability(*images, bins=2)
    assert table["images"].tolist() == [3, 2]
    assert table["confidence"].tolist() == pytest.approx([1.9 / 3, 0.85])
    assert table["accuracy"].tolist() == pytest.approx([1 / 3, 1.0])
    by_hand = 3 / 5 * (1.9 / 3 - 1 / 3) + 2 / 5 * (1 - 0.85)
    assert metrics.expected_calibration_error(*images, bins=2) == pytest.approx(by_hand)
    # In one bin over- and underconfidence cancel: |3 / 5 - 3.6 / 5|
    assert metrics.expected_calibration_error(*images, bins=1) == pytest.approx(0.12)


def test_calibration_error_of_calibrated_and_certain_predictions() -> None:
    images = two_classes([0.6, 0.8] * 5, [True, True] * 3 + [False, True] + [False, False])
    assert metrics.expected_calibration_error(*images, bins=2) == pytest.approx(0)
    certain = two_classes([1.0] * 4, [True] * 4)
    assert metrics.expected_calibration_error(*certain) == 0
    always_wrong = two_classes([1.0] * 4, [False] * 4)
    assert metrics.expected_calibration_error(*always_wrong) == 1


def test_images_of_equal_confidence_keep_their_order() -> None:
    confidences = [0.6, 0.9] * 500
    for halves in ([True, False], [False, True]):
        right = np.repeat(halves, 500).tolist()
        table = metrics.reliability(*two_classes(confidences, right), bins=4)
        assert table["accuracy"].tolist() == [*halves, *halves]


def test_no_bin_is_empty_with_fewer_images_than_bins() -> None:
    images = two_classes([0.7, 0.6], [True, False])
    table = metrics.reliability(*images, bins=15)
    assert table.to_dict("list") == {
        "confidence": [0.6, 0.7],
        "accuracy": [0.0, 1.0],
        "images": [1, 1],
    }
    assert metrics.expected_calibration_error(*images) == pytest.approx((0.6 + 0.3) / 2)


@pytest.mark.parametrize(("images", "bins"), [(0, 15), (3, 0)])
def test_reliability_needs_an_image_and_a_bin(images: int, bins: int) -> None:
    with pytest.raises(ValueError):
        metrics.reliability(PROBABILITIES[:images], LABELS[:images], bins)


def test_sums_are_computed_in_float64() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(10), size=3000).astype(np.float32)
    labels = rng.integers(10, size=3000)
    for metric in (
        metrics.brier,
        metrics.cross_entropy,
        metrics.expected_calibration_error,
    ):
        assert metric(probabilities, labels) == metric(probabilities.astype(np.float64), labels)


def test_corruption_error_is_a_ratio_of_sums() -> None:
    reference = np.array([0.1, 0.5])
    assert metrics.corruption_error(reference, reference) == 1
    assert metrics.corruption_error(np.array([0.2, 0.1]), reference) == pytest.approx(0.5)
    assert metrics.corruption_error(np.zeros(2), reference) == 0
    assert math.isnan(metrics.corruption_error(reference, np.zeros(2)))
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.corruption_error(reference, np.array([0.1, 0.5, 0.6]))


# Compared with other implementations


def random_predictions(images: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Random probabilities of ten classes, and labels that are mostly the most probable one."""
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(10, 0.3), images)
    labels = np.where(
        rng.random(images) < 0.7, probabilities.argmax(axis=1), rng.integers(10, size=images)
    )
    return probabilities, labels


def test_scores_agree_with_scikit_learn() -> None:
    probabilities, labels = random_predictions()
    predicted = probabilities.argmax(axis=1)
    assert metrics.accuracy(probabilities, labels) == sklearn.metrics.accuracy_score(
        labels, predicted
    )
    assert metrics.brier(probabilities, labels) == pytest.approx(
        sklearn.metrics.brier_score_loss(labels, probabilities, scale_by_half=False)
    )
    clipped = np.clip(probabilities, 1e-7, 1)
    assert metrics.cross_entropy(probabilities, labels) == pytest.approx(
        sklearn.metrics.log_loss(labels, clipped / clipped.sum(axis=1, keepdims=True)), rel=1e-5
    )
    counts = metrics.confusion(probabilities, labels)
    assert np.array_equal(counts, sklearn.metrics.confusion_matrix(labels, predicted))
    assert metrics.per_class_accuracy(probabilities, labels) == pytest.approx(
        sklearn.metrics.recall_score(labels, predicted, average=None)
    )


def test_reliability_agrees_with_scikit_learn() -> None:
    probabilities, labels = random_predictions(600)  # 15 bins of 40
    confidence, correct = metrics.confidence_and_correctness(probabilities, labels)
    accuracy, mean_confidence = sklearn.calibration.calibration_curve(
        correct, confidence, n_bins=15, strategy="quantile"
    )
    table = metrics.reliability(probabilities, labels)
    assert table["confidence"].tolist() == pytest.approx(mean_confidence.tolist())
    assert table["accuracy"].tolist() == pytest.approx(accuracy.tolist())


def test_the_mean_per_image_is_the_score() -> None:
    probabilities, labels = random_predictions()
    for per_image, score in (
        (metrics.cross_entropies, metrics.cross_entropy),
        (metrics.brier_scores, metrics.brier),
    ):
        values = per_image(probabilities, labels)
        assert values.shape == labels.shape
        assert values.mean() == score(probabilities, labels)


def test_debiased_calibration_error_by_hand() -> None:
    confidence = np.array([0.6, 0.6, 0.6, 0.6, 0.9, 0.9, 0.9, 0.9])
    correct = np.array([True, False, False, False, True, True, True, False])
    first = (0.25 - 0.6) ** 2 - 0.25 * 0.75 / 3
    second = (0.75 - 0.9) ** 2 - 0.75 * 0.25 / 3
    assert metrics.debiased_calibration_error(confidence, correct, bins=2) == pytest.approx(
        math.sqrt((first + second) / 2)
    )
    always_right = metrics.debiased_calibration_error(np.ones(4), np.ones(4, dtype=bool))
    assert always_right == 0
    of_one_image = metrics.debiased_calibration_error(np.array([0.7]), np.array([True]))
    assert of_one_image == pytest.approx(0.3)
    with pytest.raises(ValueError, match="0 images"):
        metrics.debiased_calibration_error(np.ones(0), np.ones(0, dtype=bool))


def test_the_debiased_square_of_a_calibrated_network_is_zero_on_average() -> None:
    """The plain error of a perfectly calibrated network is not."""
    rng = np.random.default_rng(0)
    squares, plain = [], []
    for _ in range(400):
        confidence = rng.uniform(0.5, 1, 300)
        c, a, n = metrics.binned(confidence, rng.random(300) < confidence, 15)
        squares.append(np.average((a - c) ** 2 - a * (1 - a) / (n - 1), weights=n))
        plain.append(np.average(np.abs(a - c), weights=n))
    assert np.mean(squares) == pytest.approx(0, abs=4 * np.std(squares) / 20)
    assert np.mean(plain) > 0.05
