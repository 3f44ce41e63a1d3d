"""Intervals and tests, checked on published examples, by hand, by simulation and by libraries."""

import math

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats import contingency_tables, multitest, weightstats

from overfitting.analysis import measures, statistics
from overfitting.analysis.statistics import (
    Estimate,
    difference_of_means,
    holm,
    mcnemar,
    mean_over_seeds,
)

# Student's first sample (1908): additional hours of sleep by two drugs, ten patients.
SLEEP = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SLEEP_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


SIMULATIONS = 2000


def mean_of(values: np.ndarray) -> Estimate:
    """The estimate of a share of images, from values for each seed and image."""
    return measures.mean_of(values).estimate()


# Intervals


def test_without_images_the_interval_is_students() -> None:
    interval = mean_over_seeds(SLEEP).interval
    assert interval == pytest.approx((0.75, -0.5297804, 2.0297804), abs=1e-6)  # t.test of R
    low, high = weightstats.DescrStatsW(SLEEP).tconfint_mean()
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_with_one_seed_the_interval_is_that_over_the_images() -> None:
    right = np.random.default_rng(0).random((1, 3000)) < 0.88
    estimate = mean_of(right)
    reference = scipy.stats.bootstrap(
        (right[0],), np.mean, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    three_images = 3 / 3000  # a count is a whole number, and a resampled quantile is not exact
    assert (estimate.interval.low, estimate.interval.high) == pytest.approx(
        tuple(reference), abs=three_images
    )
    assert not estimate.has_spread


def test_the_half_width_is_the_root_of_the_sum_of_squares() -> None:
    values = np.array([[1, 1, 0, 1], [1, 0, 0, 0], [1, 1, 1, 1]])
    t = scipy.stats.t.ppf(0.975, 2) * np.std([0.75, 0.25, 1.0], ddof=1) / math.sqrt(3)
    i = 1.959964 * np.std([1, 2 / 3, 1 / 3, 2 / 3], ddof=1) / 2
    estimate = mean_of(values)
    assert estimate.value == pytest.approx(2 / 3)
    assert estimate.half_width() == pytest.approx(math.sqrt(t**2 + i**2), rel=1e-6)


def test_all_seeds_share_the_images() -> None:
    """Twenty identical seeds carry no more information about the images than one."""
    right = np.random.default_rng(0).random((1, 400)) < 0.9
    alone, repeated = mean_of(right), mean_of(np.tile(right, (20, 1)))
    assert repeated.half_width() == pytest.approx(alone.half_width())


def test_intervals_stay_within_what_is_possible() -> None:
    estimate = mean_over_seeds(np.array([-0.9, 0.7]), limits=(-1.0, 1.0))
    assert estimate.half_width() > 10
    assert estimate.interval == pytest.approx((-0.1, -1.0, 1.0))


def test_one_seed_without_images_has_no_interval() -> None:
    estimate, low, high = mean_over_seeds(np.array([0.5])).interval
    assert estimate == 0.5
    assert math.isnan(low)
    assert math.isnan(high)


def test_welchs_standard_error_with_the_degrees_of_freedom_of_the_smaller_side() -> None:
    change = difference_of_means(SLEEP, SLEEP_2)
    # √(3.2006 / 10 + 4.0090 / 10) = 0.8491; t(0.975, 9) = 2.2622
    assert change.interval == pytest.approx((1.58, 1.58 - 1.9208, 1.58 + 1.9208), abs=2e-4)
    test = scipy.stats.ttest_ind(SLEEP_2, SLEEP, equal_var=False)
    assert change.value / change.seeds_error == pytest.approx(test.statistic)
    assert difference_of_means(SLEEP[:3], SLEEP_2).degrees_of_freedom == 2
    assert not difference_of_means(SLEEP[:1], SLEEP_2).has_spread


def correct_predictions(
    random: np.random.Generator, seeds: int, images: int, spread: float
) -> np.ndarray:
    """Simulate which images each seed classifies correctly: seeds×images.

    An image is classified correctly if the sum of its ease, the skill of the seed, and noise that
    differs by seed and image is positive. The ease matches the project's baseline.

    Args:
        random: the source of random numbers.
        seeds: how many seeds.
        images: how many test images.
        spread: the standard deviation of the skill.
    """
    ease = random.normal(3.45, 2.75, images)
    skill = random.normal(0, spread, (seeds, 1))
    return ease + skill + random.normal(size=(seeds, images)) > 0


@pytest.mark.parametrize("spread", [0.02, 0.1, 0.5])  # of accuracies: 0.1, 0.7 and 3.4 points
@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 20])
def test_intervals_cover_the_true_value_in_94_to_99_5_percent(seeds: int, spread: float) -> None:
    random = np.random.default_rng([seeds, round(1000 * spread)])
    truth = scipy.stats.norm.cdf(3.45 / math.hypot(2.75, spread, 1))
    covered = 0
    for _ in range(SIMULATIONS):
        _, low, high = mean_of(correct_predictions(random, seeds, 300, spread)).interval
        covered += low <= truth <= high
    assert 0.94 <= covered / SIMULATIONS <= 0.995


def test_over_the_seeds_alone_the_interval_would_be_too_narrow() -> None:
    random = np.random.default_rng(0)
    truth = scipy.stats.norm.cdf(3.45 / math.hypot(2.75, 0.02, 1))
    covered = 0
    for _ in range(500):
        by_seed = correct_predictions(random, 20, 300, 0.02).mean(axis=1)
        _, low, high = mean_over_seeds(by_seed).interval
        covered += low <= truth <= high
    assert covered / 500 < 0.6


# The bootstrap of what is no mean


def test_bootstrap_of_a_mean_has_its_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 4000)
    values = np.random.default_rng(0).normal(size=200)
    error = statistics.bootstrap_error(lambda indices: float(values[indices].mean()), 200)
    # The standard error of a standard deviation of 4,000 values is 1.1 %.
    assert error == pytest.approx(statistics.images_error(values[np.newaxis]), rel=0.04)


def test_bootstrap_of_two_samples_resamples_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 4000)
    first, second = np.random.default_rng(0).normal(size=(2, 100))
    error = statistics.bootstrap_error(
        lambda left, right: float(first[left].mean() - second[right].mean()), 100, 100
    )
    both = math.hypot(*(statistics.images_error(each[np.newaxis]) for each in (first, second)))
    assert error == pytest.approx(both, rel=0.04)


def test_a_sample_of_one_image_is_not_resampled() -> None:
    values = np.arange(10.0)
    assert statistics.bootstrap_error(lambda left, right: values[left].mean(), 1, 10) == 0
    assert statistics.bootstrap_error(lambda left: values[left].mean(), 1) == 0


# p-values


@pytest.mark.parametrize("sign", [1, -1])
def test_without_images_the_p_value_is_that_of_the_t_test(sign: int) -> None:
    differences = sign * (SLEEP_2 - SLEEP)
    expected = scipy.stats.ttest_1samp(differences, 0).pvalue
    assert mean_over_seeds(differences).p_value == pytest.approx(expected)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_the_p_value_is_the_level_at_which_the_interval_reaches_zero(confidence: float) -> None:
    spread = Estimate(0.0, 0.01, 2, 0.02)
    at_edge = Estimate(spread.half_width(1 - confidence), 0.01, 2, 0.02)
    assert at_edge.p_value == pytest.approx(1 - confidence)


def test_extreme_p_values() -> None:
    assert Estimate(0.0, 0.01, 4, 0.01).p_value == pytest.approx(1)
    assert Estimate(1.0, 1e-6, 19, 1e-6).p_value == 1e-12
    assert math.isnan(Estimate(1.0, float("nan"), 0, 0.01).p_value)  # one seed
    assert math.isnan(Estimate(1.0, 0.0, 4, 0.01).p_value)  # all seeds alike


def test_holm_agrees_with_statsmodels() -> None:
    random = np.random.default_rng(0)
    for count in (1, 2, 7, 20):
        p_values = np.round(random.beta(0.4, 2, count), 2)  # with ties
        expected = multitest.multipletests(p_values, method="holm")[1]
        assert holm(p_values.tolist()) == pytest.approx(expected.tolist())


def test_holm_ignores_what_was_not_tested() -> None:
    nan = float("nan")
    adjusted = holm([0.01, nan, 0.02])
    assert adjusted[::2] == pytest.approx([0.02, 0.02])
    assert math.isnan(adjusted[1])
    assert holm([]) == []
    assert all(math.isnan(value) for value in holm([nan, nan]))


# McNemar's test


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


@pytest.mark.parametrize("counts", [(21, 2, 9, 12), (5, 40, 3, 1), (100, 7, 7, 0)])
def test_mcnemar_agrees_with_statsmodels(counts: tuple[int, int, int, int]) -> None:
    both, only_first, only_second, neither = counts
    expected = contingency_tables.mcnemar([[both, only_first], [only_second, neither]], exact=True)
    assert mcnemar(*table(*counts)) == pytest.approx(expected.pvalue)


def test_mcnemar_uses_discordant_pairs_only_and_is_two_sided() -> None:
    assert mcnemar(*table(1000, 9, 2, 0)) == mcnemar(*table(0, 2, 9, 500))
    assert mcnemar(*table(5, 0, 6, 5)) == pytest.approx(2 / 2**6)
    assert mcnemar(*table(5, 4, 4, 5)) == 1
    assert mcnemar(*table(5, 0, 0, 5)) == 1
