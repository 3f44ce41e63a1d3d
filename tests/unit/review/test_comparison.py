"""What a review calls a change, and what it does not."""

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

CALLED = {comparison.IMPROVED, comparison.WORSE}


def run(
    accuracy: float = 0.88,
    gap: float = 0.08,
    loss: float = 0.4,
    ece: float = 0.05,
    images: int = 100,
    **changes: Any,
) -> Run:
    """A run by hand; it recognises the first images, and so do all like it."""
    evaluation = {
        "augmentation": {"flip": None, "translation": 0.0},
        "train": {"accuracy": accuracy + gap},
        "test": {"accuracy": accuracy, "cross_entropy": loss},
        "calibration": {"ece": ece},
        "robustness": robustness(accuracy - 0.2),
    }
    recognised = np.arange(images) < round(accuracy * images)
    return Run(evaluation | changes, recognised, np.arange(images) % 10)


def several(
    seeds: int = 3,
    accuracy: float = 0.88,
    gap: float = 0.08,
    loss: float = 0.4,
    ece: float = 0.05,
    **others: Any,
) -> dict[int, Run]:
    """Runs by hand whose measures grow by 2 % from seed to seed."""
    runs = {}
    for seed in range(seeds):
        grown = 1 + 0.02 * seed
        runs[seed] = run(accuracy * grown, gap * grown, loss * grown, ece * grown, **others)
    return runs


def recognising(images: range) -> Run:
    """A run that recognises these of 1,000 images."""
    like = run(len(images) / 1_000, images=1_000)
    return Run(like.evaluation, np.isin(np.arange(1_000), images), like.labels)


def robustness(accuracy: float, images: int = 50, **of_one: float) -> dict[str, Any]:
    """The same accuracy under every corruption but those named."""
    corruptions = {name: [of_one.get(name, accuracy)] * 5 for name in CORRUPTIONS}
    return {"images": images, "corruptions": corruptions}


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {row.metric.name: row.verdict for row in comparison.rows}


def only_verdict(comparison: Comparison) -> str:
    """The verdict that all metrics share."""
    found = verdicts(comparison)
    assert list(found) == [metric.name for metric in METRICS]
    [verdict] = set(found.values())
    return verdict


# Noise and change


@cache
def trained(worse_by: float = 0.0) -> list[Run]:
    """Runs of one model: 300 seeds, the same 3,000 test images.

    An image is recognised if skill, which differs by seed, and luck, which differs by seed and
    image, outweigh its difficulty. The numbers are such that accuracy, its spread over the seeds
    and how often two seeds disagree are those of the project's baseline.

    Args:
        worse_by: taken from the skill; 0.5 costs four points of accuracy.
    """
    seeds, images = 300, 3_000
    ease = np.random.default_rng(0).normal(3.45, 2.75, images)
    random = np.random.default_rng(1 + round(100 * worse_by))
    skill = random.normal(-worse_by, 0.048, seeds)
    margin = (ease + skill[:, np.newaxis] + random.normal(size=(seeds, images))).astype(np.float32)
    right = scipy.special.expit(1.5 * margin)
    labels = np.arange(images) % 10
    runs = []
    for number in range(seeds):
        probabilities = np.stack([right[number], 1 - right[number]], axis=1)
        label = np.zeros(images, dtype=int)  # of two: what the image is, and all else
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


def test_the_simulated_runs_are_like_real_ones() -> None:
    right = np.stack([one.recognised for one in trained()])
    assert right.mean() == pytest.approx(0.88, abs=0.01)
    assert right.mean(axis=1).std() == pytest.approx(0.005, abs=0.0005)
    assert (right[:-1] != right[1:]).mean() == pytest.approx(0.08, abs=0.005)
    worse = np.stack([one.recognised for one in trained(0.5)])
    assert right.mean() - worse.mean() == pytest.approx(0.04, abs=0.003)


@pytest.fixture
def quick_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer draws, and none where the seeds alone call nothing: then none can change a verdict."""

    def quick(first: np.ndarray, second: np.ndarray) -> Interval:
        low, high = t_interval((first.astype(float) - second).mean(axis=1))
        decided = not low > 0 and not high < 0
        return Interval(0, 0, 0) if decided else paired_bootstrap(first, second, n_resamples=200)

    monkeypatch.setattr(comparison, "paired_bootstrap", quick)


def seeded(runs: list[Run], first_seed: int) -> dict[int, Run]:
    return dict(enumerate(runs, start=first_seed))


@pytest.mark.usefixtures("quick_bootstrap")
def test_noise_is_called_a_change_in_at_most_5_of_100_cases() -> None:
    runs = trained()
    random = np.random.default_rng(0)
    cases = 200
    calls: Counter[tuple[int, int, bool, str]] = Counter()
    for first, second in [(2, 2), (3, 3), (5, 5), (10, 10), (2, 10), (3, 10)]:
        for _ in range(cases):
            drawn = [runs[i] for i in random.choice(len(runs), first + second, replace=False)]
            before, after = seeded(drawn[:first], 0), drawn[first:]
            for paired in (True, False) if first == second else (False,):
                compared = comparison.compare(before, seeded(after, 0 if paired else 100))
                for metric, verdict in verdicts(compared).items():
                    calls[first, second, paired, metric] += verdict in CALLED
    assert len(calls) == (4 * 2 + 2) * len(METRICS)
    assert sum(calls.values()) <= 0.05 * cases * len(calls)
    for case, count in calls.items():
        # A 95 % interval misses in 5 of 100 cases: what is counted lies on either side of that.
        assert scipy.stats.binomtest(count, cases, 0.05, "greater").pvalue > 0.001, (case, count)


@pytest.mark.usefixtures("quick_bootstrap")
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("paired", [True, False])
def test_four_points_are_called_and_in_the_right_direction(seeds: int, paired: bool) -> None:
    good, bad = trained(), trained(0.5)
    random = np.random.default_rng(seeds)
    cases = 40
    found: dict[str, Counter[str]] = {metric.name: Counter() for metric in METRICS}
    for case in range(cases):
        sides = [
            [runs[i] for i in random.choice(len(runs), seeds, replace=False)]
            for runs in (bad, good)
        ]
        better = case % 2 == 0  # as often to the better as to the worse
        before, after = sides if better else sides[::-1]
        compared = comparison.compare(seeded(before, 0), seeded(after, 0 if paired else 100))
        for metric, verdict in verdicts(compared).items():
            assert verdict != (comparison.WORSE if better else comparison.IMPROVED), metric
            found[metric][verdict] += 1
    for metric, verdicts_of_it in found.items():
        assert verdicts_of_it[NOISE] < cases / 2, (metric, verdicts_of_it)


def test_a_change_must_hold_for_other_images() -> None:
    before = dict.fromkeys((0, 1), recognising(range(500)))
    after = {0: recognising(range(480, 1000)), 1: recognising(range(478, 1000))}
    seeds = comparison.change_over_seeds(np.array([0.5, 0.5]), np.array([0.52, 0.522]), paired=True)
    assert seeds.low > 0  # Student knows of no images
    row = comparison.compare(before, after).rows[0]
    assert (row.metric, row.verdict) == (comparison.TEST_ACCURACY, NOISE)
    assert row.interval is not None
    assert row.interval.low < 0 < seeds.high < row.interval.high


def test_a_change_must_hold_for_other_seeds() -> None:
    before = dict.fromkeys((0, 1, 2), recognising(range(500)))
    after = {seed: recognising(range(510 + 10 * seed)) for seed in before}
    first, second = (
        np.stack([one.recognised for one in side.values()]) for side in (after, before)
    )
    images = paired_bootstrap(first, second)
    assert images.low > 0  # the range of three seeds, at worst
    row = comparison.compare(before, after).rows[0]
    assert (row.metric, row.verdict) == (comparison.TEST_ACCURACY, NOISE)
    # 0.02 ± t(0.975, 2) · 0.01 / √3
    assert row.interval == pytest.approx((0.02, 0.02 - 0.024841, 0.02 + 0.024841), abs=1e-5)


# By hand


def test_intervals_over_seeds_by_hand() -> None:
    # Student's sleep data (1908), two drugs on ten patients, as t.test of R gives them.
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    paired = comparison.change_over_seeds(first, second, paired=True)
    assert paired == pytest.approx((1.58, 0.7001142, 2.4598858), abs=1e-6)
    # Welch's error is √(3.2006 / 10 + 4.0090 / 10) = 0.8491; t(0.975, 9) = 2.2622.
    apart = comparison.change_over_seeds(first, second, paired=False)
    assert apart == pytest.approx((1.58, 1.58 - 1.9208, 1.58 + 1.9208), abs=2e-4)


def test_the_direction_of_each_metric() -> None:
    low = several(accuracy=0.80, gap=0.10, loss=0.30, ece=0.03)
    high = several(accuracy=0.90, gap=0.20, loss=0.40, ece=0.09)
    up = {"test accuracy", "accuracy on held-out corruptions"}
    down = {"gap", "test loss", "ECE"}
    for before, after, risen, fallen in (
        (low, high, comparison.IMPROVED, comparison.WORSE),
        (high, low, comparison.WORSE, comparison.IMPROVED),
    ):
        assert verdicts(comparison.compare(before, after)) == dict.fromkeys(
            up, risen
        ) | dict.fromkeys(down, fallen)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_same_results_have_not_changed(seeds: int) -> None:
    compared = comparison.compare(several(seeds), several(seeds))
    assert only_verdict(compared) == NOISE
    assert {row.interval for row in compared.rows} == {Interval(0, 0, 0)}
    assert {row.after - row.before for row in compared.rows} == {0}


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (0, 3, "new"),
        (3, 0, "removed"),
        (1, 1, "one seed does not tell noise from change; add seeds"),
        (1, 3, "one seed does not tell noise from change; add seeds"),
        (3, 1, "one seed does not tell noise from change; add seeds"),
    ],
)
def test_too_few_runs_are_not_compared(before: int, after: int, why: str) -> None:
    changed = several(after, accuracy=0.7, gap=0.2, loss=0.6, ece=0.1)
    compared = comparison.compare(several(before), changed)
    assert only_verdict(compared) == f"not comparable ({why})"
    for row in compared.rows:
        assert np.isnan(row.before) == (before == 0)
        assert np.isnan(row.after) == (after == 0)


def test_seeds_that_all_change_alike_tell_nothing_of_the_noise() -> None:
    compared = comparison.compare(
        {seed: run(0.8, 0.1, 0.4 + seed, 0.05) for seed in (0, 1)},
        {seed: run(0.9, 0.2, 0.5 + seed, 0.06) for seed in (0, 1)},
    )
    assert only_verdict(compared).startswith("not comparable (all seeds changed alike")
    apart = {seed: run(0.9, 0.2, 0.5, 0.06) for seed in (7, 8)}
    same = {seed: run(0.8, 0.1, 0.4, 0.05) for seed in (0, 1)}
    assert only_verdict(comparison.compare(same, apart)).startswith("not comparable (all seeds")


def test_other_test_images_are_not_compared() -> None:
    more_images = verdicts(comparison.compare(several(), several(images=200)))
    other = "not comparable (other test images)"
    held_out = "accuracy on held-out corruptions"
    assert more_images.pop(held_out) == NOISE  # the first 50 in both
    assert set(more_images.values()) == {other}

    fewer_corrupted = several(robustness=robustness(0.6, images=40))
    found = verdicts(comparison.compare(several(), fewer_corrupted))
    assert found.pop(held_out) == other
    assert set(found.values()) == {NOISE}


def test_robustness_is_judged_where_both_sides_measured_it() -> None:
    without = several(robustness=None)
    held_out = "accuracy on held-out corruptions"
    assert verdicts(comparison.compare(without, several()))[held_out] == (
        "not comparable (measured on one side only)"
    )
    assert held_out not in verdicts(comparison.compare(without, without))


def test_what_one_side_trained_on_is_held_out_from_neither() -> None:
    """Else a model that begins to mirror its images would be measured on other corruptions."""
    plain = several(robustness=robustness(0.6, horizontal_flip=0.1, translation=0.2))
    mirrored = several(
        robustness=robustness(0.6, horizontal_flip=0.9, translation=0.2),
        augmentation={"flip": "horizontal", "translation": 0.0},
    )
    for before, after in ((plain, mirrored), (mirrored, plain)):
        row = comparison.compare(before, after).rows[-1]
        assert row.metric is comparison.HELD_OUT
        assert row.before == row.after == pytest.approx((10 * 0.6 + 0.2) / 11)


def test_metrics_alone_are_shown_unjudged() -> None:
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


def test_the_page_says_what_counts() -> None:
    models = {
        "baseline": comparison.compare(several(), several(accuracy=0.7, gap=0.08)),
        "new_one": comparison.compare({}, several(2)),
        "lost": comparison.from_metrics({"gap": 0.0123}, {"gap": 0.00004}, "no results"),
    }
    text = page.page("Review against `main` (abc1234)", models, ["A note."], "", "The curves.")
    assert text.startswith(
        "## Review against `main` (abc1234)\n\n0 improved, 2 worse, 3 within noise"
    )
    assert "3 within noise, 6 not comparable.\n\nA note.\n\n### baseline\n\n| metric |" in text
    assert "Seeds: 0, 1, 2 (paired). Test images: 100." in text
    assert "Seeds: 0, 1. Test images: 100." in text
    assert "| gap ↓ | 0.0123 | 0.0000 | −0.0123 | – | not comparable (no results) |" in text
    assert "| test loss ↓ | 0.4080 | 0.4080 | +0.0000 | +0.0000 to +0.0000 | within noise |" in text
    assert text.endswith("### Params\n\nNone differ.\n\n### Learning curves\n\nThe curves.")


def test_the_curves_are_linked_by_commit_where_the_forge_is_known() -> None:
    commits = ("1" * 40, "2" * 40)
    figures = {"a/b.svg": "Learning curves", "a/c.svg": "Gap per epoch"}
    linked = page.curves(figures, "main", commits, "https://example.org/raw/")
    for commit in commits:
        for path, shows in figures.items():
            assert f"![{shows}](https://example.org/raw/{commit}/{path})" in linked
    told = page.curves(figures, "main", commits, None)
    assert told.splitlines() == [
        "- Learning curves: [now](a/b.svg); before: `git show main:a/b.svg`.",
        "- Gap per epoch: [now](a/c.svg); before: `git show main:a/c.svg`.",
    ]
