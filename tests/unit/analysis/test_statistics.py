"""Intervals and tests, checked on published examples and on examples calculated by hand."""

import math

import numpy as np
import pytest
import scipy.stats

from overfitting.analysis.statistics import mcnemar, paired_bootstrap, t_interval


def right(share: float, *shape: int, seed: int = 0) -> np.ndarray:
    """Whether images are classified correctly, at random, as 0 or 1."""
    return (np.random.default_rng(seed).random(shape) < share).astype(float)


def ones(count: int, of: int) -> np.ndarray:
    """One seed: `count` ones, then zeros; `of` images in total."""
    return (np.arange(of) < count).astype(float)[np.newaxis]


def test_t_interval_on_a_published_example() -> None:
    # Student's own first sample (1908): additional hours of sleep by hyoscyamine, ten patients.
    sleep = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    low, high = t_interval(sleep)
    assert (low, high) == pytest.approx((-0.5297804, 2.0297804), abs=1e-6)  # t.test of R
    assert all(math.isnan(bound) for bound in t_interval(np.array([0.5])))


def test_bootstrap_of_a_share_has_the_quantiles_of_the_binomial() -> None:
    """The mean of 100 draws from 30 ones and 70 zeros is a binomial variable / 100."""
    interval = paired_bootstrap(ones(30, 100), np.zeros((1, 100)), n_resamples=10_000)
    assert interval == pytest.approx((0.30, 0.21, 0.39), abs=1e-12)
    assert scipy.stats.binom.ppf([0.025, 0.975], 100, 0.3).tolist() == [21, 39]


def test_all_seeds_share_the_resampled_images() -> None:
    """Twenty identical seeds carry no more information about the images than one."""
    interval = paired_bootstrap(
        np.tile(ones(30, 100), (20, 1)), np.zeros((20, 100)), n_resamples=10_000
    )
    assert interval == pytest.approx((0.30, 0.21, 0.39), abs=1e-12)


def test_seeds_are_resampled_too() -> None:
    """One seed is all 0, one all 1: the means 0, 0.5, 1 have probabilities 1/4, 1/2, 1/4."""
    first = np.repeat([[0.0], [1.0]], 50, axis=1)
    assert paired_bootstrap(first, np.zeros((2, 50))) == (0.5, 0.0, 1.0)
    assert paired_bootstrap(first, np.zeros((2, 50)), confidence=0.4) == (0.5, 0.5, 0.5)


def test_bootstrap_agrees_with_scipy_on_one_seed() -> None:
    first, second = np.random.default_rng(0).random((2, 1, 300))
    interval = paired_bootstrap(first, second, n_resamples=10_000, confidence=0.9)
    reference = scipy.stats.bootstrap(
        (first[0], second[0]),
        lambda first, second, axis: np.mean(first - second, axis=axis),
        paired=True,
        method="percentile",
        confidence_level=0.9,
        n_resamples=10_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert interval.estimate == np.mean(first - second)
    error = np.std(first - second) / math.sqrt(300)
    # The standard error of a 5 % quantile of 10,000 values that are about normally distributed;
    # the tolerance is four standard errors of the difference between two such quantiles.
    quantile_error = math.sqrt(0.05 * 0.95 / 10_000) / scipy.stats.norm.pdf(1.645) * error
    tolerance = 4 * math.sqrt(2) * quantile_error
    assert (interval.low, interval.high) == pytest.approx(tuple(reference), abs=tolerance)


def test_bootstrap_covers_the_true_value_in_about_95_percent_of_samples() -> None:
    """Two models that agree on most images and differ by 0.05, on 200 samples of images."""
    covered = 0
    for number in range(200):
        random = np.random.default_rng(number)
        difference = random.choice([1.0, 0.0, -1.0], p=[0.15, 0.75, 0.10], size=(1, 200))
        both = random.random((1, 200))  # cancelled by pairing
        _, low, high = paired_bootstrap(both + difference, both, n_resamples=150, seed=number)
        covered += low <= 0.05 <= high
    assert 0.90 < covered / 200 < 0.99  # 95 %, with a standard error of 1.5 %


def test_seeds_that_differ_make_the_interval_wider() -> None:
    first, second = right(0.9, 1, 400), right(0.85, 1, 400, seed=1)
    shift = np.linspace(-0.1, 0.1, 10)[:, np.newaxis]  # one per seed; 0 on average
    alike = paired_bootstrap(np.tile(first, (10, 1)), np.tile(second, (10, 1)))
    differing = paired_bootstrap(first + shift, np.tile(second, (10, 1)))
    assert differing.estimate == pytest.approx(alike.estimate)
    # The variance from the images and the variance of the mean of ten shifts add up.
    variance = ((alike.high - alike.low) / 3.92) ** 2 + np.var(shift) / 10
    expected = 3.92 * math.sqrt(variance)
    assert expected > 1.2 * (alike.high - alike.low)
    assert differing.high - differing.low == pytest.approx(expected, rel=0.1)


def test_bootstrap_of_swapped_models_has_the_opposite_sign() -> None:
    first, second = right(0.9, 3, 200), right(0.8, 3, 200, seed=1)
    estimate, low, high = paired_bootstrap(first, second)
    assert paired_bootstrap(second, first) == pytest.approx((-estimate, -high, -low))
    assert low < estimate < high


def test_bootstrap_is_deterministic_and_depends_on_its_seed() -> None:
    first, second = np.random.default_rng(0).random((2, 3, 200))
    assert paired_bootstrap(first, second) == paired_bootstrap(first, second)
    assert paired_bootstrap(first, second) != paired_bootstrap(first, second, seed=1)


def test_bootstrap_of_equal_models_is_zero() -> None:
    both = right(0.9, 3, 100)
    assert paired_bootstrap(both, both) == (0.0, 0.0, 0.0)
    booleans = both.astype(bool)
    assert paired_bootstrap(booleans, booleans) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("first", "second"),
    [((3, 100), (2, 100)), ((3, 100), (1, 100)), ((100,), (100,)), ((0, 100), (0, 100))],
)
def test_bootstrap_rejects_arrays_that_are_not_paired(
    first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="seeds×images"):
        paired_bootstrap(np.zeros(first), np.zeros(second))


def table(both: int, only_first: int, only_second: int, neither: int) -> np.ndarray:
    """Two rows of booleans, with the given number of pairs of each kind."""
    pairs = [(True, True)] * both + [(True, False)] * only_first
    pairs += [(False, True)] * only_second + [(False, False)] * neither
    return np.array(pairs, dtype=bool).T


def test_mcnemar_on_a_published_example() -> None:
    # Fay, "Exact McNemar's test and matching confidence intervals", the vignette of R's exact2x2.
    assert mcnemar(*table(21, 2, 9, 12)) == pytest.approx(0.06543, abs=5e-6)
    by_hand = 2 * sum(math.comb(11, k) for k in (0, 1, 2)) / 2**11
    assert mcnemar(*table(21, 2, 9, 12)) == pytest.approx(by_hand)


def test_mcnemar_uses_discordant_pairs_only_and_is_two_sided() -> None:
    assert mcnemar(*table(1000, 9, 2, 0)) == mcnemar(*table(0, 2, 9, 500))
    assert mcnemar(*table(5, 0, 6, 5)) == pytest.approx(2 / 2**6)
    assert mcnemar(*table(5, 4, 4, 5)) == 1
    assert mcnemar(*table(5, 0, 0, 5)) == 1
