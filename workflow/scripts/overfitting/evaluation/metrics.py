"""What is measured on predicted probabilities: pure functions on arrays.

Where several classes are equally probable, the first of them is the predicted one. Whatever the
precision of the probabilities, sums are in float64.
"""

import numpy as np
import pandas as pd


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the share, 0 to 1, of the images whose most probable class is their label.

    Args:
        probabilities: N×classes, each row from the final weights in inference mode.
        labels: N whole numbers, 0 to classes - 1.
    """
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over the images of -ln p(label), in nats, 0 or more.

    Probabilities are clipped at 1e-7 as Keras does, so that the result is finite.

    Args:
        probabilities: N×classes.
        labels: N whole numbers, 0 to classes - 1.
    """
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(np.mean(-np.log(np.clip(of_label, 1e-7, 1.0))))


def brier(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the Brier score, 0 (certain and right) to 2 (certain and wrong).

    The mean over the images of Σ_classes (p - 1[class is the label])² (Brier, "Verification of
    forecasts expressed in terms of probability", Monthly Weather Review 1950).

    Args:
        probabilities: N×classes.
        labels: N whole numbers, 0 to classes - 1.
    """
    errors = probabilities.astype(np.float64)
    errors[np.arange(len(labels)), labels] -= 1
    return float(np.mean(np.sum(errors**2, axis=1)))


def confusion(probabilities: np.ndarray, labels: np.ndarray, classes: int = 10) -> np.ndarray:
    """Return how many images of each class were taken for which: int64, actual×predicted.

    Args:
        probabilities: N×classes.
        labels: N whole numbers, 0 to classes - 1.
    """
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    return counts


def per_class_accuracy(
    probabilities: np.ndarray, labels: np.ndarray, classes: int = 10
) -> np.ndarray:
    """Return for each class the share, 0 to 1, of its images that are recognised.

    Args:
        probabilities: N×classes.
        labels: N whole numbers, 0 to classes - 1.

    Returns:
        float64, one value per class; NaN for a class without an image.
    """
    counts = confusion(probabilities, labels, classes)
    with np.errstate(invalid="ignore"):  # 0 / 0
        return counts.diagonal() / counts.sum(axis=1)


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> pd.DataFrame:
    """Compare confidence with accuracy in bins of images with like confidence.

    Confidence is the probability of the predicted class. The images are sorted by it, equal ones
    as they come, and cut into bins whose sizes differ by one at most; with fewer images than
    bins, each image is a bin.

    Args:
        probabilities: N×classes.
        labels: N whole numbers, 0 to classes - 1.
        bins: how many, 1 or more.

    Returns:
        A row per bin, the least confident first: mean `confidence`, `accuracy` (both 0 to 1) and
        `images`, their number.

    Raises:
        ValueError: there is no image, or no bin.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    order = np.argsort(confidence, kind="stable")
    return pd.DataFrame(
        {
            "confidence": confidence[members].mean(),
            "accuracy": right[members].mean(),
            "images": len(members),
        }
        for members in np.array_split(order, min(bins, len(order)))
    )


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 15
) -> float:
    """Return Σ_bins share of the images · |accuracy - confidence|, 0 to 1.

    From Guo et al., "On calibration of modern neural networks", ICML 2017, but with the bins of
    `reliability`, each with as many images, as in Nixon et al., "Measuring calibration in deep
    learning", CVPR workshops 2019 (whose adaptive calibration error looks at every class, this
    one at the predicted class only). Chance differs from bin to bin, so that a calibrated
    network's is above 0 too, the more so the fewer the images (Roelofs et al., "Mitigating bias
    in calibration error estimation", AISTATS 2022): compare on equally many images.

    Args:
        probabilities: N×classes.
        labels: N whole numbers, 0 to classes - 1.
        bins: how many, 1 or more.

    Raises:
        ValueError: there is no image, or no bin.
    """
    table = reliability(probabilities, labels, bins)
    distances = np.abs(table["accuracy"] - table["confidence"])
    return float(np.average(distances, weights=table["images"]))


def corruption_error(errors: np.ndarray, reference_errors: np.ndarray) -> float:
    """Return a model's corruption error CE = Σ_s errors / Σ_s reference errors, s the severities.

    1 means as many errors as the reference model, less is better (Hendrycks & Dietterich,
    "Benchmarking neural network robustness to common corruptions and perturbations", ICLR 2019;
    there in per cent). Their mCE is the mean over the corruptions.

    Args:
        errors: of the model under one corruption, a share (0 to 1) for each severity.
        reference_errors: the same for the reference model.

    Returns:
        0 or more; NaN where the reference makes no errors.

    Raises:
        ValueError: the two differ in shape.
    """
    own = np.asarray(errors, dtype=np.float64)
    reference = np.asarray(reference_errors, dtype=np.float64)
    if own.shape != reference.shape:
        raise ValueError(f"severities differ: {own.shape} and {reference.shape}")
    return float(own.sum() / reference.sum()) if reference.any() else float("nan")
