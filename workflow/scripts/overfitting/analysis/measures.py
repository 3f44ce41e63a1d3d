"""What is measured of a model, in a form that can be compared between models.

In the shapes below, S is the number of seeds and N the number of images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from overfitting.evaluation import metrics

from . import statistics
from .statistics import Estimate

SHARE = (0.0, 1.0)
SIGNED_SHARE = (-1.0, 1.0)
OnImages = Callable[..., float]


@dataclass(frozen=True)
class Measure:
    """A measure of one model: its value for each seed, and how it depends on the test images."""

    by_seed: np.ndarray
    """S numbers."""
    limits: tuple[float, float]
    """The smallest and the largest possible value."""
    by_image: np.ndarray | None = None
    """S×N: the contribution of each test image, if the measure is a mean over them, apart from a
    constant; None if no test image enters it, or if it is no mean."""
    on_images: OnImages | None = None
    """If the measure is no mean: takes arrays of indices of images, one for each of `counts`, and
    returns the mean over the seeds of the measure on these images."""
    counts: tuple[int, ...] = ()
    """For `on_images`, the number of images of each sample."""

    def estimate(self) -> Estimate:
        """Return the mean over the seeds."""
        return statistics.mean_over_seeds(self.by_seed, self.images_error(), self.limits)

    def images_error(self) -> float:
        """Return the standard error over the test images."""
        if self.by_image is not None:
            return statistics.images_error(self.by_image)
        if self.on_images is not None:
            return statistics.bootstrap_error(self.on_images, *self.counts)
        return 0.0


def difference(first: Measure, second: Measure, *, paired: bool = True) -> Estimate:
    """Return the mean of `first` minus that of `second`, measured on the same test images.

    Args:
        first: a measure of one model.
        second: the same measure of another model.
        paired: whether both have the same seeds in the same order.
    """
    limits = first.limits[0] - second.limits[1], first.limits[1] - second.limits[0]
    error = _error_of_difference(first, second)
    if paired:
        return statistics.mean_over_seeds(first.by_seed - second.by_seed, error, limits)
    return statistics.difference_of_means(second.by_seed, first.by_seed, error, limits)


def _error_of_difference(first: Measure, second: Measure) -> float:
    if first.by_image is not None and second.by_image is not None:
        means = first.by_image.mean(axis=0) - second.by_image.mean(axis=0)
        return statistics.images_error(means[np.newaxis])
    on_first, on_second = first.on_images, second.on_images
    if on_first is not None and on_second is not None and first.counts == second.counts:
        return statistics.bootstrap_error(
            lambda *indices: on_first(*indices) - on_second(*indices), *first.counts
        )
    return float(np.hypot(first.images_error(), second.images_error()))


def weighted(measured: Sequence[Measure], weights: Sequence[float]) -> Estimate:
    """Return the weighted sum of a measure of several models, paired by seed and image.

    Args:
        measured: of each model, with the same seeds and test images; each a mean over the images.
        weights: of each model; the sum of the weights is 0 for a contrast, such as a slope.

    Raises:
        ValueError: a measure is no mean over the images.
    """
    by_image = [each.by_image for each in measured if each.by_image is not None]
    if len(by_image) != len(measured):
        raise ValueError("only means over the images can be added up")
    pairs = zip(weights, by_image, strict=True)
    image_means = np.sum([weight * of_model.mean(axis=0) for weight, of_model in pairs], axis=0)
    error = statistics.images_error(image_means[np.newaxis])
    by_seed = [weight * each.by_seed for weight, each in zip(weights, measured, strict=True)]
    return statistics.mean_over_seeds(np.sum(by_seed, axis=0), error)


def plus(estimate: Estimate, constant: float) -> Estimate:
    """Return an estimate of the sum of what `estimate` estimates and a constant."""
    limits = estimate.limits[0] + constant, estimate.limits[1] + constant
    return replace(estimate, value=estimate.value + constant, limits=limits)


def mean_of(values: np.ndarray, limits: tuple[float, float] = SHARE) -> Measure:
    """Return the measure that is the mean of `values`, S×N, over the images."""
    values = np.asarray(values, dtype=np.float64)
    return Measure(values.mean(axis=1), limits, values)


def over_seeds(values: np.ndarray, limits: tuple[float, float]) -> Measure:
    """Return a measure that no test image enters, from its S values."""
    return Measure(np.asarray(values, dtype=np.float64), limits)


def gap(train_accuracy: np.ndarray, correct: np.ndarray) -> Measure:
    """Return a training accuracy minus the test accuracy.

    The training images are part of what is measured, so only the test images count as a sample.

    Args:
        train_accuracy: S shares.
        correct: S×N, whether each test image is classified correctly.
    """
    accuracy = mean_of(correct)
    return Measure(train_accuracy - accuracy.by_seed, SIGNED_SHARE, -correct.astype(np.float64))


def test_loss(probabilities: np.ndarray, labels: np.ndarray) -> Measure:
    """Return the negative log-likelihood (cross-entropy), in nats.

    Args:
        probabilities: S×N×classes.
        labels: N integers.
    """
    values = [metrics.cross_entropies(of_seed, labels) for of_seed in probabilities]
    return mean_of(np.stack(values), (0.0, float(-np.log(1e-7))))


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> Measure:
    """Return the Brier score, 0 to 2; the arguments are those of `test_loss`."""
    values = [metrics.brier_scores(of_seed, labels) for of_seed in probabilities]
    return mean_of(np.stack(values), (0.0, 2.0))


def overconfidence(probabilities: np.ndarray, labels: np.ndarray) -> Measure:
    """Return the mean confidence minus the accuracy; the arguments are those of `test_loss`."""
    sides = [metrics.confidence_and_correctness(of_seed, labels) for of_seed in probabilities]
    return mean_of(np.stack([confidence - correct for confidence, correct in sides]), SIGNED_SHARE)


def calibration_error(
    probabilities: np.ndarray,
    labels: np.ndarray,
    of_one: Callable[[np.ndarray, np.ndarray], float] = metrics.debiased_calibration_error,
) -> Measure:
    """Return a calibration error.

    Args:
        probabilities: S×N×classes.
        labels: N integers.
        of_one: takes the confidence and the correctness of images, returns their error (0 to 1).
    """
    sides = [metrics.confidence_and_correctness(of_seed, labels) for of_seed in probabilities]
    # Sorted by confidence, as the bins need it: repeating a sorted image keeps the order, while
    # sorting each resample of a bootstrap would take most of its time.
    orders = [np.argsort(confidence, kind="stable") for confidence, _ in sides]
    ordered = [
        (confidence[order], correct[order])
        for (confidence, correct), order in zip(sides, orders, strict=True)
    ]

    def on_images(indices: np.ndarray) -> float:
        counts = np.bincount(indices, minlength=len(labels))
        errors = []
        for order, (confidence, correct) in zip(orders, ordered, strict=True):
            times = counts[order]
            errors.append(of_one(np.repeat(confidence, times), np.repeat(correct, times)))
        return float(np.mean(errors))

    by_seed = np.array([of_one(*side) for side in ordered])
    return Measure(by_seed, SHARE, on_images=on_images, counts=(len(labels),))


def distance(first: np.ndarray, second: np.ndarray, factor: float = 1.0) -> Measure:
    """Return the absolute difference of the accuracies on two samples of images.

    Args:
        first: S×N, whether each image is classified correctly.
        second: the same for other images.
        factor: what the difference is multiplied by, 0 to 1.
    """

    def by_seed(first_indices: np.ndarray, second_indices: np.ndarray) -> np.ndarray:
        sides = first[:, first_indices].mean(axis=1), second[:, second_indices].mean(axis=1)
        return factor * np.abs(sides[0] - sides[1])

    counts = first.shape[1], second.shape[1]
    return Measure(
        by_seed(*(np.arange(count) for count in counts)),
        SHARE,
        on_images=lambda *indices: float(by_seed(*indices).mean()),
        counts=counts,
    )


def distance_to_all(correct: np.ndarray, count: int) -> Measure:
    """Return how far the accuracy on the first images is from that on all of them.

    Args:
        correct: S×N, whether each image is classified correctly.
        count: the number of first images, below N.
    """
    first, rest = correct[:, :count], correct[:, count:]
    # A(first) - A(all) is A(first) - A(rest), times the share of the rest.
    return distance(first, rest, factor=rest.shape[1] / correct.shape[1])
