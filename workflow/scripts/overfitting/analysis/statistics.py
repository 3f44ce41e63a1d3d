"""Estimates with intervals over seeds and test images, and tests of differences.

Seeds and test images are two independent sources of chance: another seed would give other weights,
and other images of the same distribution another accuracy. The half-width of every interval is
√(t² + i²), with t the half-width of Student's interval over the seeds, and i that of the normal
interval over the images. In simulations, such 95% intervals cover the true value in 94 to 99.5%
of cases, for 2 to 20 seeds that differ little or much; an interval over the seeds alone covers it
in less than half of them where 20 seeds differ little.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.optimize
import scipy.stats

SIGNIFICANCE = 0.05
"""1 minus the confidence level of all intervals."""
RESAMPLES = 1000
"""How many resamples a bootstrap draws. The standard error then has an error of about 2%."""
TOLERANCE = 1e-9
"""Differences between accuracies or losses below this are rounding errors."""


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval, all in the same unit."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, with what makes it uncertain."""

    value: float
    seeds_error: float
    """Its standard error over the seeds; NaN with one seed, which says nothing about others."""
    degrees_of_freedom: int
    """Those of `seeds_error`."""
    images_error: float = 0.0
    """Its standard error over the test images; 0 if no test image enters it."""
    limits: tuple[float, float] = (-np.inf, np.inf)
    """The smallest and the largest possible value."""

    @property
    def has_spread(self) -> bool:
        """Whether seeds differ, so that a verdict can be given: not with one, or if all agree."""
        return bool(self.seeds_error > TOLERANCE)  # False for NaN

    def half_width(self, significance: float = SIGNIFICANCE) -> float:
        """Return √(t² + i²); with one seed i alone.

        Args:
            significance: 1 minus the confidence level, above 0 to 1.
        """
        t = scipy.stats.t.isf(significance / 2, self.degrees_of_freedom) * self.seeds_error
        i = scipy.stats.norm.isf(significance / 2) * self.images_error
        return float(np.hypot(0.0 if np.isnan(t) else t, i))

    @property
    def interval(self) -> Interval:
        """The 95% interval, cut at the limits; its bounds are NaN if nothing is known of them."""
        half_width = self.half_width()
        if np.isnan(self.seeds_error) and not self.images_error:
            half_width = np.nan
        low, high = np.clip([self.value - half_width, self.value + half_width], *self.limits)
        return Interval(self.value, float(low), float(high))

    @property
    def p_value(self) -> float:
        """The probability of a value at least as far from 0 if the true one is 0.

        It is the significance level at which the interval reaches 0, at least 1e-12. NaN without
        spread over the seeds.
        """
        if not self.has_spread:
            return float("nan")
        smallest, distance = 1e-12, abs(self.value)
        if self.half_width(smallest) <= distance:
            return smallest
        log_p = scipy.optimize.brentq(
            lambda log_p: self.half_width(np.exp(log_p)) - distance, np.log(smallest), 0.0
        )
        return float(np.exp(log_p))


def mean_over_seeds(
    values: np.ndarray,
    images_error: float = 0.0,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Estimate:
    """Return the mean of `values` with its standard errors.

    Args:
        values: one per seed, at least one. For a difference of two models, the differences of the
            runs with the same seed, as these share the images and the initial weights.
        images_error: the standard error of the mean over the test images.
        limits: the smallest and the largest possible value.
    """
    values = np.asarray(values, dtype=np.float64)
    count = len(values)
    seeds_error = float(values.std(ddof=1) / np.sqrt(count)) if count > 1 else np.nan
    return Estimate(float(values.mean()), seeds_error, count - 1, images_error, limits)


def difference_of_means(
    before: np.ndarray,
    after: np.ndarray,
    images_error: float = 0.0,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Estimate:
    """Return the mean of `after` minus that of `before` for runs with different seeds.

    The standard error is Welch's, the degrees of freedom are those of the side with fewer seeds.
    Satterthwaite's approximation is too narrow for a few seeds against many; with these degrees of
    freedom, the interval is never too narrow (Mickey & Brown, "Bounds on the distribution functions
    of the Behrens-Fisher statistic", Annals of Mathematical Statistics 1966).

    Args:
        before: one value per seed, at least one.
        after: the same.
        images_error: the standard error of the difference over the test images.
        limits: the smallest and the largest possible value.
    """
    old, new = mean_over_seeds(before), mean_over_seeds(after)
    return Estimate(
        new.value - old.value,
        float(np.hypot(old.seeds_error, new.seeds_error)),
        min(old.degrees_of_freedom, new.degrees_of_freedom),
        images_error,
        limits,
    )


def images_error(values: np.ndarray) -> float:
    """Return the standard error over the images of the mean of `values`, seeds×images.

    All seeds are tested on the same images, so it is that of the means over the seeds. It is 0 with
    fewer than two images, from which nothing can be estimated.
    """
    by_image = np.asarray(values, dtype=np.float64).mean(axis=0)
    return float(by_image.std(ddof=1) / np.sqrt(by_image.size)) if by_image.size > 1 else 0.0


def bootstrap_error(statistic: Callable[..., float], *counts: int) -> float:
    """Return the standard error over the images of a statistic that is not a mean.

    It is that of `scipy.stats.bootstrap` (Efron, "Bootstrap methods", Annals of Statistics 1979),
    with `RESAMPLES` resamples and always the same random numbers.

    Args:
        statistic: takes an array of indices for each sample of images, and returns the statistic
            of these images.
        counts: the number of images of each sample. Samples are resampled independently; one
            with fewer than two images always stays as it is.
    """
    every = [np.arange(count) for count in counts]
    resampled = [number for number, count in enumerate(counts) if count > 1]
    if not resampled:
        return 0.0

    def of_resample(*chosen: np.ndarray) -> float:
        samples = every.copy()
        for number, indices in zip(resampled, chosen, strict=True):
            samples[number] = indices
        return statistic(*samples)

    result = scipy.stats.bootstrap(
        [every[number] for number in resampled],
        of_resample,
        n_resamples=RESAMPLES,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(result.standard_error)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that several hypotheses can be tested at once.

    If every adjusted value below 0.05 counts as a finding, the probability of any false finding is
    at most 5%, however the tests depend on each other (Holm, "A simple sequentially rejective
    multiple test procedure", Scandinavian Journal of Statistics 1979). NaN stands for a hypothesis
    that was not tested; it stays NaN and does not count.
    """
    p = np.asarray(p_values, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    adjusted = np.full(len(p), np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return adjusted.tolist()


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
