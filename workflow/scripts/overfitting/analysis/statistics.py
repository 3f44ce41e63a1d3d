"""Confidence intervals over seeds and images, and a paired test of two models."""

from typing import NamedTuple

import numpy as np
import scipy.stats


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval, all in the same unit."""

    estimate: float
    low: float
    high: float


def t_interval(values: np.ndarray) -> tuple[float, float]:
    """Return Student's 95 % t-interval for the mean of independent values, one per seed.

    mean ± t(0.975, n - 1) · s / √n, with s the standard deviation for n - 1 degrees of
    freedom (Student, "The probable error of a mean", Biometrika 1908).

    Returns:
        The lower and upper bound, in the units of `values`. Both are NaN with fewer than two
        values, from which the spread cannot be estimated.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return float("nan"), float("nan")
    error = values.std(ddof=1) / np.sqrt(len(values))
    half_width = float(scipy.stats.t.ppf(0.975, len(values) - 1) * error)
    return float(values.mean() - half_width), float(values.mean() + half_width)


def paired_bootstrap(
    first: np.ndarray,
    second: np.ndarray,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the mean of `first` - `second` with a percentile bootstrap interval.

    Each resample draws seeds and, independently of them, images, both with replacement. The same
    images are drawn for all seeds, as all networks are tested on the same images. (Efron,
    "Bootstrap methods", Annals of Statistics 1979; for rows and columns: Owen, "The pigeonhole
    bootstrap", Annals of Applied Statistics 2007.)

    Seeds and images are assumed to be independent random samples. With one seed only the images
    vary, so the interval does not include the variation between seeds. With a few seeds it is too
    narrow if they differ by more than the sampling of images explains: in the worst case, the 95 %
    interval of three seeds is their range, which covers the true value with a probability of 75 %
    (1 - 2/2³).

    Args:
        first: seeds×images, any numbers, such as 1 for a correct prediction and 0 for a wrong one,
            or a mean per image.
        second: the same for another model, with the same seeds and images.
        n_resamples: how many resamples to draw. With 2,000, the standard error of a bound is about
            1.5 % of the width of the interval.
        confidence: the confidence level, 0 to 1.
        seed: seed of the random draws. The same seed gives the same interval.

    Raises:
        ValueError: the two differ in shape, are empty or are not two-dimensional.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2 or first.size == 0:
        raise ValueError(
            "expected two arrays of the same shape, seeds×images, neither of them empty; "
            f"got {first.shape} and {second.shape}"
        )
    difference = first - second
    random = np.random.default_rng(seed)

    def resampled_counts(count: int) -> np.ndarray:
        """Draw `count` times from `count` items; return how often each item is drawn."""
        # Floats, so that the products below use BLAS, which is fast. Sums of whole numbers are
        # exact as floats, whatever the order in which BLAS adds them up.
        return np.bincount(random.integers(count, size=count), minlength=count).astype(np.float64)

    seeds, images = difference.shape
    sums = [
        resampled_counts(seeds) @ difference @ resampled_counts(images) for _ in range(n_resamples)
    ]
    tail = (1 - confidence) / 2
    low, high = np.quantile(sums, [tail, 1 - tail]) / difference.size
    return Interval(float(difference.mean()), float(low), float(high))


def paired_interval(first: np.ndarray, second: np.ndarray) -> Interval:
    """Return the mean of `first` - `second` with a 95 % interval over seeds and images.

    Each bound is the wider one of `paired_bootstrap` and of the t-interval over the seeds: with a
    few seeds the bootstrap alone is too narrow, and the t-interval alone ignores the sampling of
    images. With one seed it is the bootstrap over the images.

    Args:
        first: seeds×images, as `paired_bootstrap` takes it.
        second: the same for another model.

    Raises:
        ValueError: as `paired_bootstrap`.
    """
    bootstrap = paired_bootstrap(first, second)
    low, high = t_interval((np.asarray(first, float) - np.asarray(second, float)).mean(axis=1))
    return Interval(
        bootstrap.estimate,
        float(np.fmin(bootstrap.low, low)),  # ignores NaN, the t-interval of one seed
        float(np.fmax(bootstrap.high, high)),
    )


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sided p-value of McNemar's exact test that two models are equally accurate.

    Only the images that exactly one of the models classifies correctly count. If the models are
    equally accurate, each of these images is as likely to be classified correctly by the one model
    as by the other: a binomial test with probability 1/2 (McNemar, "Note on the sampling error of
    the difference between correlated proportions", Psychometrika 1947; for classifiers:
    Dietterich, "Approximate statistical tests for comparing supervised classification learning
    algorithms", Neural Computation 1998). Images are assumed to be independent. The test compares
    two trained networks, one seed each, and says nothing about other seeds.

    Args:
        first: whether each image is classified correctly, N booleans.
        second: the same for another model, on the same images.

    Returns:
        0 to 1; 1 if both models are correct on exactly the same images.
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(~first & second))
    if only_first + only_second == 0:
        return 1.0
    return float(scipy.stats.binomtest(only_first, only_first + only_second).pvalue)
