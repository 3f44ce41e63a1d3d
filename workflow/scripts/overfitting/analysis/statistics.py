"""Intervals over seeds and images, and tests of two models on the same images."""

from typing import NamedTuple

import numpy as np
import scipy.stats


class Interval(NamedTuple):
    """An estimate and its interval, all in the units of what is estimated."""

    estimate: float
    low: float
    high: float


def t_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's t-interval for the mean of independent values, one per seed.

    mean ± t(confidence, n - 1) · s / √n, with s the standard deviation for n - 1 degrees of
    freedom (Student, "The probable error of a mean", Biometrika 1908).

    Returns:
        The two bounds, in the units of `values`; NaN with fewer than two values, which say
        nothing about the spread.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return float("nan"), float("nan")
    error = values.std(ddof=1) / np.sqrt(len(values))
    half_width = float(scipy.stats.t.ppf((1 + confidence) / 2, len(values) - 1) * error)
    return float(values.mean() - half_width), float(values.mean() + half_width)


def paired_bootstrap(
    first: np.ndarray,
    second: np.ndarray,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the mean of `first` - `second` with a percentile bootstrap interval.

    Each draw takes seeds and, independently, images with replacement; the images drawn are the
    same for all seeds, as all models answered the same ones. (Efron, "Bootstrap methods", Annals
    of Statistics 1979; for rows and columns: Owen, "The pigeonhole bootstrap", Annals of Applied
    Statistics 2007.)

    Seeds and images are assumed to be independent samples of all that could have been taken. With
    one seed only images vary, so how far other seeds would differ is not in the interval. With a
    few it is too narrow where seeds differ more than chance in the images explains: at worst, the
    95 % interval of three is their range, which covers the truth with 75 % (1 - 2/2³).

    Args:
        first: seeds×images, any numbers: whether right (0 or 1), or a mean per image.
        second: the same of another model, with the same seeds and images.
        draws: how many; with 2,000, a bound's own standard error is about 1.5 % of the width.
        confidence: 0 to 1.
        seed: of the draws. The same seed gives the same interval.

    Raises:
        ValueError: the two differ in shape, are empty or not two-dimensional.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2 or first.size == 0:
        raise ValueError(
            f"two arrays of seeds×images are needed, alike: not {first.shape} and {second.shape}"
        )
    difference = first - second
    random = np.random.default_rng(seed)

    def times_drawn(count: int) -> np.ndarray:
        """How often each of `count` is drawn: multinomial."""
        # As floats, for BLAS: it is fast, and exact in any order for whole numbers.
        return np.bincount(random.integers(count, size=count), minlength=count).astype(np.float64)

    seeds, images = difference.shape
    sums = [times_drawn(seeds) @ difference @ times_drawn(images) for _ in range(draws)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(sums, [tail, 1 - tail]) / difference.size
    return Interval(float(difference.mean()), float(low), float(high))


def paired_interval(first: np.ndarray, second: np.ndarray) -> Interval:
    """Return the mean of `first` - `second` with a 95 % interval over seeds and images.

    The wider of `paired_bootstrap` and of the t-interval over the seeds on either side: with a
    few seeds the bootstrap alone is too narrow, and the t-interval alone leaves out the images.
    With one seed it is the bootstrap over the images.

    Args:
        first: seeds×images, as `paired_bootstrap` takes it.
        second: the same of another model.

    Raises:
        ValueError: as `paired_bootstrap`.
    """
    over_both = paired_bootstrap(first, second)
    low, high = t_interval((np.asarray(first, float) - np.asarray(second, float)).mean(axis=1))
    return Interval(
        over_both.estimate,
        float(np.fmin(over_both.low, low)),  # leaves out NaN, the t-interval of one seed
        float(np.fmax(over_both.high, high)),
    )


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the exact two-sided p-value that two models are right equally often.

    Of the images that only one model recognises, each is as likely to be the one model's as the
    other's if they are equally good: a binomial test with probability 1/2 (McNemar, "Note on the
    sampling error of the difference between correlated proportions", Psychometrika 1947; for
    classifiers: Dietterich, "Approximate statistical tests for comparing supervised
    classification learning algorithms", Neural Computation 1998). Images are assumed to be
    independent. It compares two trained networks, one seed each, and says nothing about other
    seeds.

    Args:
        first: whether each image is recognised, N booleans.
        second: the same of another model, on the same images.

    Returns:
        0 to 1; 1 if the models are right on the same images.
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(~first & second))
    if only_first + only_second == 0:
        return 1.0
    return float(scipy.stats.binomtest(only_first, only_first + only_second).pvalue)
