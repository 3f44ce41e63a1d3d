"""Which changes a review reports as significant, and how it formats them."""

from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

from overfitting.analysis.statistics import Interval, paired_bootstrap, t_interval
from overfitting.evaluation import metrics
from overfitting.evaluation.corruptions import CORRUPTIONS
from overfitting.review import comparison, page
from overfitting.review.comparison import METRICS, NOISE, Comparison, Run

SIGNIFICANT = {comparison.IMPROVED, comparison.WORSE}


def run(
    accuracy: float = 0.88,
    gap: float = 0.08,
    loss: float = 0.4,
    ece: float = 0.05,
    images: int = 100,
    **changes: Any,
) -> Run:
    """Return a run with the given metrics that classifies the first images correctly."""
    evaluation = {
        "augmentation": {"flip": None, "translation": 0.0},
        "train": {"accuracy": accuracy + gap},
        "test": {"accuracy": accuracy, "cross_entropy": loss},
        "calibration": {"ece": ece},
        "robustness": robustness(accuracy - 0.2),
    }
    correct = np.arange(images) < round(accuracy * images)
    return Run(evaluation | changes, correct, np.arange(images) % 10)


def make_runs(
    seeds: int = 3,
    accuracy: float = 0.88,
    gap: float = 0.08,
    loss: float = 0.4,
    ece: float = 0.05,
    **others: Any,
) -> dict[int, Run]:
    """Return runs by seed whose metrics increase by 2 % from seed to seed."""
    runs = {}
    for seed in range(seeds):
        factor = 1 + 0.02 * seed
        runs[seed] = run(accuracy * factor, gap * factor, loss * factor, ece * factor, **others)
    return runs


def run_with_correct(images: range) -> Run:
    """Return a run on 1,000 images that classifies only those of the given indices correctly."""
    template = run(len(images) / 1_000, images=1_000)
    return Run(template.evaluation, np.isin(np.arange(1_000), images), template.labels)


def robustness(accuracy: float, images: int = 50, **exceptions: float) -> dict[str, Any]:
    """Return results with the same accuracy under every corruption except those in `exceptions`."""
    corruptions = {name: [exceptions.get(name, accuracy)] * 5 for name in CORRUPTIONS}
    return {"images": images, "corruptions": corruptions}


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {row.metric.name: row.verdict for row in comparison.rows}


def only_verdict(comparison: Comparison) -> str:
    """Assert that all metrics have the same verdict, and return it."""
    by_metric = verdicts(comparison)
    assert list(by_metric) == [metric.name for metric in METRICS]
    [verdict] = set(by_metric.values())
    return verdict


# False positives and power


@cache
def simulated_runs(skill_loss: float = 0.0) -> list[Run]:
    """Simulate runs of one model with 300 seeds on the same 3,000 test images.

    An image is classified correctly if the sum of its ease, the skill of the seed, and noise that
    differs by seed and image is positive. The parameters are chosen to match the project's baseline
    in accuracy, in its standard deviation over the seeds and in how often two seeds disagree.

    Args:
        skill_loss: subtracted from the skill; 0.5 lowers the accuracy by four percentage points.
    """
    seeds, images = 300, 3_000
    ease = np.random.default_rng(0).normal(3.45, 2.75, images)
    random = np.random.default_rng(1 + round(100 * skill_loss))
    skill = random.normal(-skill_loss, 0.048, seeds)
    margin = (ease + skill[:, np.newaxis] + random.normal(size=(seeds, images))).astype(np.float32)
    probability = scipy.special.expit(1.5 * margin)  # of the correct class
    labels = np.arange(images) % 10
    runs = []
    for number in range(seeds):
        probabilities = np.stack([probability[number], 1 - probability[number]], axis=1)
        label = np.zeros(images, dtype=int)  # of two classes: the correct one, and all others
        accuracy = metrics.accuracy(probabilities, label)
        evaluation = {
            "augmentation": {"flip": None, "translation": 0.0},
            "train": {"accuracy": random.normal(0.955, 0.003)},
            "test": {
                "accuracy": accuracy,
                "cross_entropy": metrics.cross_entropy(probabilities, label),
            },
            "calibration": {"ece": metrics.expected_calibration_error(probabilities, label)},
            "robustness": {
                "images": 1_000,
                "corruptions": {
                    name: random.binomial(
                        1_000,
                        np.clip(accuracy - 0.06 * np.arange(5) + random.normal(0, 0.02), 0, 1),
                    )
                    / 1_000
                    for name in CORRUPTIONS
                },
            },
        }
        runs.append(Run(evaluation, margin[number] > 0, labels))
    return runs


def test_simulated_runs_resemble_real_ones() -> None:
    correct = np.stack([run.correct for run in simulated_runs()])
    assert correct.mean() == pytest.approx(0.88, abs=0.01)
    assert correct.mean(axis=1).std() == pytest.approx(0.005, abs=0.0005)
    assert (correct[:-1] != correct[1:]).mean() == pytest.approx(0.08, abs=0.005)
    worse = np.stack([run.correct for run in simulated_runs(0.5)])
    assert correct.mean() - worse.mean() == pytest.approx(0.04, abs=0.003)


@pytest.fixture
def fast_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use fewer resamples, and none if the interval over the seeds already contains 0.

    In that case the bootstrap, which only widens the interval, cannot change the verdict.
    """

    def bootstrap(first: np.ndarray, second: np.ndarray) -> Interval:
        low, high = t_interval((first.astype(float) - second).mean(axis=1))
        if not low > 0 and not high < 0:
            return Interval(0, 0, 0)
        return paired_bootstrap(first, second, n_resamples=200)

    monkeypatch.setattr(comparison, "paired_bootstrap", bootstrap)


def number_from(runs: list[Run], first_seed: int) -> dict[int, Run]:
    """Return runs by consecutive seeds."""
    return dict(enumerate(runs, start=first_seed))


@pytest.mark.usefixtures("fast_bootstrap")
def test_at_most_5_percent_of_comparisons_without_change_are_false_positives() -> None:
    runs = simulated_runs()
    random = np.random.default_rng(0)
    cases = 200
    false_positives: Counter[tuple[int, int, bool, str]] = Counter()
    for first, second in [(2, 2), (3, 3), (5, 5), (10, 10), (2, 10), (3, 10)]:
        for _ in range(cases):
            drawn = [runs[i] for i in random.choice(len(runs), first + second, replace=False)]
            before, after = number_from(drawn[:first], 0), drawn[first:]
            for paired in (True, False) if first == second else (False,):
                compared = comparison.compare(before, number_from(after, 0 if paired else 100))
                for metric, verdict in verdicts(compared).items():
                    false_positives[first, second, paired, metric] += verdict in SIGNIFICANT
    assert len(false_positives) == (4 * 2 + 2) * len(METRICS)
    assert sum(false_positives.values()) <= 0.05 * cases * len(false_positives)
    for case, count in false_positives.items():
        # By chance, a count may exceed 5 %; fail only if it does so significantly.
        assert scipy.stats.binomtest(count, cases, 0.05, "greater").pvalue > 0.001, (case, count)


@pytest.mark.usefixtures("fast_bootstrap")
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("paired", [True, False])
def test_a_change_of_four_points_is_detected_with_its_sign(seeds: int, paired: bool) -> None:
    good, bad = simulated_runs(), simulated_runs(0.5)
    random = np.random.default_rng(seeds)
    cases = 40
    counts: dict[str, Counter[str]] = {metric.name: Counter() for metric in METRICS}
    for case in range(cases):
        sides = [
            [runs[i] for i in random.choice(len(runs), seeds, replace=False)]
            for runs in (bad, good)
        ]
        better = case % 2 == 0  # improve and worsen equally often
        before, after = sides if better else sides[::-1]
        compared = comparison.compare(
            number_from(before, 0), number_from(after, 0 if paired else 100)
        )
        for metric, verdict in verdicts(compared).items():
            assert verdict != (comparison.WORSE if better else comparison.IMPROVED), metric
            counts[metric][verdict] += 1
    for metric, count in counts.items():
        assert count[NOISE] < cases / 2, (metric, count)


def test_a_change_must_generalize_to_other_images() -> None:
    before = dict.fromkeys((0, 1), run_with_correct(range(500)))
    after = {0: run_with_correct(range(480, 1000)), 1: run_with_correct(range(478, 1000))}
    seeds = comparison.change_over_seeds(np.array([0.5, 0.5]), np.array([0.52, 0.522]), paired=True)
    assert seeds.low > 0  # Student's interval ignores the variance between images
    row = comparison.compare(before, after).rows[0]
    assert (row.metric, row.verdict) == (comparison.TEST_ACCURACY, NOISE)
    assert row.interval is not None
    assert row.interval.low < 0 < seeds.high < row.interval.high


def test_a_change_must_generalize_to_other_seeds() -> None:
    before = dict.fromkeys((0, 1, 2), run_with_correct(range(500)))
    after = {seed: run_with_correct(range(510 + 10 * seed)) for seed in before}
    first, second = (np.stack([run.correct for run in side.values()]) for side in (after, before))
    images = paired_bootstrap(first, second)
    assert images.low > 0  # the bootstrap alone would report a change
    row = comparison.compare(before, after).rows[0]
    assert (row.metric, row.verdict) == (comparison.TEST_ACCURACY, NOISE)
    # 0.02 ± t(0.975, 2) · 0.01 / √3
    assert row.interval == pytest.approx((0.02, 0.02 - 0.024841, 0.02 + 0.024841), abs=1e-5)


# Results checked by hand


def test_intervals_over_seeds_match_published_results() -> None:
    # Student's sleep data (1908), two drugs on ten patients; the results are those of R's t.test.
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    paired = comparison.change_over_seeds(first, second, paired=True)
    assert paired == pytest.approx((1.58, 0.7001142, 2.4598858), abs=1e-6)
    # Welch's standard error is √(3.2006 / 10 + 4.0090 / 10) = 0.8491; t(0.975, 9) = 2.2622.
    unpaired = comparison.change_over_seeds(first, second, paired=False)
    assert unpaired == pytest.approx((1.58, 1.58 - 1.9208, 1.58 + 1.9208), abs=2e-4)


def test_the_direction_of_each_metric() -> None:
    low = make_runs(accuracy=0.80, gap=0.10, loss=0.30, ece=0.03)
    high = make_runs(accuracy=0.90, gap=0.20, loss=0.40, ece=0.09)
    up = {"test accuracy", "accuracy on held-out corruptions"}
    down = {"gap", "test loss", "ECE"}
    for before, after, if_higher_is_better, if_lower_is_better in (
        (low, high, comparison.IMPROVED, comparison.WORSE),
        (high, low, comparison.WORSE, comparison.IMPROVED),
    ):
        assert verdicts(comparison.compare(before, after)) == dict.fromkeys(
            up, if_higher_is_better
        ) | dict.fromkeys(down, if_lower_is_better)


@pytest.mark.parametrize("seeds", [1, 3])
def test_identical_results_are_a_change_of_zero(seeds: int) -> None:
    compared = comparison.compare(make_runs(seeds), make_runs(seeds))
    assert only_verdict(compared) == NOISE
    assert {row.interval for row in compared.rows} == {Interval(0, 0, 0)}
    assert {row.after - row.before for row in compared.rows} == {0}


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (0, 3, "new"),
        (3, 0, "removed"),
        (1, 1, "a single seed cannot tell a change from noise; add seeds"),
        (1, 3, "a single seed cannot tell a change from noise; add seeds"),
        (3, 1, "a single seed cannot tell a change from noise; add seeds"),
    ],
)
def test_too_few_runs_are_not_compared(before: int, after: int, reason: str) -> None:
    changed = make_runs(after, accuracy=0.7, gap=0.2, loss=0.6, ece=0.1)
    compared = comparison.compare(make_runs(before), changed)
    assert only_verdict(compared) == f"not comparable ({reason})"
    for row in compared.rows:
        assert np.isnan(row.before) == (before == 0)
        assert np.isnan(row.after) == (after == 0)


def test_seeds_that_all_change_by_the_same_amount_are_not_compared() -> None:
    compared = comparison.compare(
        {seed: run(0.8, 0.1, 0.4 + seed, 0.05) for seed in (0, 1)},
        {seed: run(0.9, 0.2, 0.5 + seed, 0.06) for seed in (0, 1)},
    )
    assert only_verdict(compared).startswith("not comparable (all seeds changed by the same amount")
    other_seeds = {seed: run(0.9, 0.2, 0.5, 0.06) for seed in (7, 8)}
    same = {seed: run(0.8, 0.1, 0.4, 0.05) for seed in (0, 1)}
    assert only_verdict(comparison.compare(same, other_seeds)).startswith(
        "not comparable (all seeds"
    )


def test_results_on_different_test_images_are_not_compared() -> None:
    more_images = verdicts(comparison.compare(make_runs(), make_runs(images=200)))
    other = "not comparable (other test images)"
    held_out = "accuracy on held-out corruptions"
    assert more_images.pop(held_out) == NOISE  # measured on the same first 50 images
    assert set(more_images.values()) == {other}

    fewer_corrupted = make_runs(robustness=robustness(0.6, images=40))
    by_metric = verdicts(comparison.compare(make_runs(), fewer_corrupted))
    assert by_metric.pop(held_out) == other
    assert set(by_metric.values()) == {NOISE}


def test_robustness_is_compared_if_both_sides_measured_it() -> None:
    without = make_runs(robustness=None)
    held_out = "accuracy on held-out corruptions"
    assert verdicts(comparison.compare(without, make_runs()))[held_out] == (
        "not comparable (measured on one side only)"
    )
    assert held_out not in verdicts(comparison.compare(without, without))


def test_corruptions_that_one_side_trained_on_are_excluded_for_both() -> None:
    """Otherwise a model that adds flips would be compared on different corruptions."""
    plain = make_runs(robustness=robustness(0.6, horizontal_flip=0.1, translation=0.2))
    flipped = make_runs(
        robustness=robustness(0.6, horizontal_flip=0.9, translation=0.2),
        augmentation={"flip": "horizontal", "translation": 0.0},
    )
    for before, after in ((plain, flipped), (flipped, plain)):
        row = comparison.compare(before, after).rows[-1]
        assert row.metric is comparison.HELD_OUT
        assert row.before == row.after == pytest.approx((10 * 0.6 + 0.2) / 11)


def test_metrics_without_results_have_no_verdict() -> None:
    before = {"test_accuracy": 0.88, "gap": 0.07, "gap_sd": None, "ece": None}
    after = {"test_accuracy": 0.9, "gap": 0.05, "ece": 0.03}
    compared = comparison.from_metrics(before, after, "why not")
    assert verdicts(compared) == dict.fromkeys(
        ["test accuracy", "gap", "ECE"], "not comparable (why not)"
    )
    assert [row.interval for row in compared.rows] == [None] * 3
    assert set(verdicts(comparison.from_metrics({}, after, "why not")).values()) == {
        "not comparable (new)"
    }
    assert set(verdicts(comparison.from_metrics(after, {}, "why not")).values()) == {
        "not comparable (removed)"
    }


def test_the_page_has_verdicts_tables_and_notes() -> None:
    models = {
        "baseline": comparison.compare(make_runs(), make_runs(accuracy=0.7, gap=0.08)),
        "new_one": comparison.compare({}, make_runs(2)),
        "lost": comparison.from_metrics({"gap": 0.0123}, {"gap": 0.00004}, "no results"),
    }
    text = page.render("Review against `main` (abc1234)", models, ["A note."], "", "The curves.")
    assert text.startswith(
        "## Review against `main` (abc1234)\n\n0 improved, 2 worse, 3 within noise"
    )
    assert "3 within noise, 6 not comparable.\n\nA note.\n\n### baseline\n\n| metric |" in text
    assert "Seeds: 0, 1, 2 (paired). Test images: 100." in text
    assert "Seeds: 0, 1. Test images: 100." in text
    assert "| gap ↓ | 0.0123 | 0.0000 | −0.0123 | – | not comparable (no results) |" in text
    assert "| test loss ↓ | 0.4080 | 0.4080 | 0.0000 | 0.0000 to 0.0000 | within noise |" in text
    assert text.endswith("### Params\n\nNone differ.\n\n### Learning curves\n\nThe curves.")


def test_figures_are_linked_by_commit_if_the_url_is_known() -> None:
    commits = ("1" * 40, "2" * 40)
    figures = {"a/b.svg": "Learning curves", "a/c.svg": "Gap per epoch"}
    linked = page.curves(figures, "main", commits, "https://example.org/raw/")
    for commit in commits:
        for path, caption in figures.items():
            assert f"![{caption}](https://example.org/raw/{commit}/{path})" in linked
    unlinked = page.curves(figures, "main", commits, None)
    assert unlinked.splitlines() == [
        "- Learning curves: [now](a/b.svg); before: `git show main:a/b.svg`.",
        "- Gap per epoch: [now](a/c.svg); before: `git show main:a/c.svg`.",
    ]
