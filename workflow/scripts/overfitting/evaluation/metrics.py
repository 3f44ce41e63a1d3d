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
    """Return the mean over the images of -ln p(label), in nats, 0 or more.

    As in Keras, probabilities below 1e-7 count as 1e-7, so that the result is finite.

    Args:
        probabilities: N×classes.
        labels: N integers, 0 to classes - 1.
    """
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(np.mean(-np.log(np.clip(of_label, 1e-7, 1.0))))


def brier(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the Brier score, from 0 (certain and right) to 2 (certain and wrong).

    It is the mean over the images of Σ_classes (p - 1[class is the label])² (Brier, "Verification
    of forecasts expressed in terms of probability", Monthly Weather Review 1950).

    Args:
        probabilities: N×classes.
        labels: N integers, 0 to classes - 1.
    """
    errors = probabilities.astype(np.float64)
    errors[np.arange(len(labels)), labels] -= 1
    return float(np.mean(np.sum(errors**2, axis=1)))


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
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    order = np.argsort(confidence, kind="stable")
    return pd.DataFrame(
        {
            "confidence": confidence[members].mean(),
            "accuracy": correct[members].mean(),
            "images": len(members),
        }
        for members in np.array_split(order, min(bins, len(order)))
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
    estimation", AISTATS 2022). Compare errors only for the same number of images.

    Args:
        probabilities: N×classes.
        labels: N integers, 0 to classes - 1.
        bins: number of bins, 1 or more.

    Raises:
        ValueError: there are no images, or `bins` is less than 1.
    """
    table = reliability(probabilities, labels, bins)
    distances = np.abs(table["accuracy"] - table["confidence"])
    return float(np.average(distances, weights=table["images"]))


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
