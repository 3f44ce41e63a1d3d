"""Metrics of predicted probabilities: pure functions on arrays.

If several classes are equally probable, the first of them is the predicted class. Sums are computed
in float64, whatever the precision of the probabilities.
"""

import numpy as np
import pandas as pd


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of images, 0 to 1, whose most probable class is their label.

    Args:
        probabilities: N×classes, predicted with the final weights in inference mode.
        labels: N integers, 0 to classes - 1.
    """
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of `cross_entropies`, in nats."""
    return float(np.mean(cross_entropies(probabilities, labels)))


def cross_entropies(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each image -ln p(label), in nats, 0 or more.

    As in Keras, probabilities below 1e-7 count as 1e-7, so that the result is finite.

    Args:
        probabilities: N×classes.
        labels: N integers, 0 to classes - 1.

    Returns:
        float64, N.
    """
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.clip(of_label, 1e-7, 1.0))


def brier(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the Brier score: the mean of `brier_scores`, from 0 to 2."""
    return float(np.mean(brier_scores(probabilities, labels)))


def brier_scores(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each image its Brier score, from 0 (certain and right) to 2 (certain and wrong).

    It is Σ_classes (p - 1[class is the label])² (Brier, "Verification of forecasts expressed in
    terms of probability", Monthly Weather Review 1950).

    Args:
        probabilities: N×classes.
        labels: N integers, 0 to classes - 1.

    Returns:
        float64, N.
    """
    errors = probabilities.astype(np.float64)
    errors[np.arange(len(labels)), labels] -= 1
    return np.sum(errors**2, axis=1)


def confusion(probabilities: np.ndarray, labels: np.ndarray, classes: int = 10) -> np.ndarray:
    """Return the confusion matrix: the number of images by actual and predicted class.

    Args:
        probabilities: N×classes.
        labels: N integers, 0 to classes - 1.
        classes: number of classes.

    Returns:
        int64, classes×classes: a row for each actual class, a column for each predicted class.
    """
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    return counts


def per_class_accuracy(
    probabilities: np.ndarray, labels: np.ndarray, classes: int = 10
) -> np.ndarray:
    """Return for each class the share of its images, 0 to 1, that are classified correctly.

    Args:
        probabilities: N×classes.
        labels: N integers, 0 to classes - 1.
        classes: number of classes.

    Returns:
        float64, one value per class; NaN for a class without images.
    """
    counts = confusion(probabilities, labels, classes)
    with np.errstate(invalid="ignore"):  # 0 / 0
        return counts.diagonal() / counts.sum(axis=1)


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> pd.DataFrame:
    """Compare confidence with accuracy in bins of images of similar confidence.

    Confidence is the probability of the predicted class. The images are sorted by confidence (with
    a stable sort) and split into bins whose sizes differ by at most one; if there are fewer images
    than bins, each image is a bin of its own.

    Args:
        probabilities: N×classes.
        labels: N integers, 0 to classes - 1.
        bins: number of bins, 1 or more.

    Returns:
        One row per bin, in order of increasing confidence: the mean `confidence` and the `accuracy`
        (both 0 to 1), and the number of `images`.

    Raises:
        ValueError: there are no images, or `bins` is less than 1.
    """
    confidence, correct = confidence_and_correctness(probabilities, labels)
    return pd.DataFrame(
        zip(*binned(confidence, correct, bins), strict=True),
        columns=["confidence", "accuracy", "images"],
    )


def confidence_and_correctness(
    probabilities: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each image the probability of its most probable class, and whether it is right.

    Args:
        probabilities: N×classes.
        labels: N integers, 0 to classes - 1.

    Returns:
        float64, N, 0 to 1; and booleans, N.
    """
    return (
        probabilities.max(axis=1).astype(np.float64),
        probabilities.argmax(axis=1) == labels,
    )


def binned(
    confidence: np.ndarray, correct: np.ndarray, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each bin of `reliability` the mean confidence, the accuracy and the images.

    Args:
        confidence: float64, N, 0 to 1.
        correct: booleans, N.
        bins: number of bins, 1 or more.

    Raises:
        ValueError: there are no images, or `bins` is less than 1.
    """
    if bins < 1 or not len(correct):
        raise ValueError(f"{len(correct)} images in {bins} bins: expected at least one of each")
    order = np.argsort(confidence, kind="stable")
    sizes = [len(part) for part in np.array_split(order, min(bins, len(order)))]
    starts = np.cumsum([0, *sizes[:-1]])
    counts = np.array(sizes)
    return (
        np.add.reduceat(confidence[order], starts) / counts,
        np.add.reduceat(correct[order].astype(np.float64), starts) / counts,
        counts,
    )


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 15
) -> float:
    """Return the expected calibration error (ECE), 0 to 1.

    It is Σ_bins share of the images · |accuracy - confidence| (Guo et al., "On calibration of
    modern neural networks", ICML 2017), but over the equally filled bins of `reliability`, as in
    Nixon et al., "Measuring calibration in deep learning", CVPR workshops 2019 (whose adaptive
    calibration error covers every class; this one covers only the predicted class).

    Because of sampling noise in each bin, the error of a perfectly calibrated network is above 0
    too, and the larger, the fewer the images (Roelofs et al., "Mitigating bias in calibration error
    estimation", AISTATS 2022). Compare errors only for the same number of images, or use
    `debiased_calibration_error`.

    Args:
        probabilities: N×classes.
        labels: N integers, 0 to classes - 1.
        bins: number of bins, 1 or more.

    Raises:
        ValueError: there are no images, or `bins` is less than 1.
    """
    confidence, correct = confidence_and_correctness(probabilities, labels)
    return mean_calibration_error(confidence, correct, bins)


def mean_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """Return the expected calibration error, 0 to 1, from confidence and correctness.

    Args:
        confidence: float64, N, the probability of each image's most probable class.
        correct: booleans, N, whether that class is the label.
        bins: number of bins, 1 or more.

    Raises:
        ValueError: there are no images, or `bins` is less than 1.
    """
    c, a, n = binned(confidence, correct, bins)
    return float(np.average(np.abs(a - c), weights=n))


def debiased_calibration_error(
    confidence: np.ndarray, correct: np.ndarray, bins: int = 15
) -> float:
    """Return the calibration error without what sampling noise adds to it, 0 to 1.

    It is √(Σ_bins share of the images · (d² - a (1 - a) / (n - 1))), with d = a - c the accuracy
    minus the mean confidence of the n images of a bin; 0 where noise explains all. Its square is
    unbiased for each bin (Kumar et al., "Verified uncertainty calibration", NeurIPS 2019). Of the
    estimators that Roelofs et al. 2022 compare, it has one of the smallest biases with bins of
    equal mass. As a root mean square, it is at least as large as a mean distance such as the ECE.

    Args:
        confidence: float64, N, the probability of each image's most probable class.
        correct: booleans, N, whether that class is the label.
        bins: number of bins; fewer are used if they would hold fewer than two images.

    Raises:
        ValueError: there are no images.
    """
    c, a, n = binned(confidence, correct, min(bins, max(1, len(confidence) // 2)))
    squares = (a - c) ** 2 - a * (1 - a) / np.maximum(n - 1, 1)  # of one image, a (1 - a) is 0
    return float(np.sqrt(max(0.0, np.average(squares, weights=n))))


def corruption_error(errors: np.ndarray, reference_errors: np.ndarray) -> float:
    """Return a model's corruption error CE = Σ_s errors / Σ_s reference errors, s the severities.

    1 means as many errors as the reference model; lower is better (Hendrycks & Dietterich,
    "Benchmarking neural network robustness to common corruptions and perturbations", ICLR 2019,
    where it is given in per cent). Their mCE is its mean over the corruptions.

    Args:
        errors: the model's error rates (0 to 1) under one corruption, one for each severity.
        reference_errors: the same for the reference model.

    Returns:
        0 or more; NaN if the reference model makes no errors.

    Raises:
        ValueError: the two arrays differ in shape.
    """
    errors = np.asarray(errors, dtype=np.float64)
    reference_errors = np.asarray(reference_errors, dtype=np.float64)
    if errors.shape != reference_errors.shape:
        raise ValueError(f"shapes differ: {errors.shape} and {reference_errors.shape}")
    if not reference_errors.any():
        return float("nan")
    return float(errors.sum() / reference_errors.sum())
