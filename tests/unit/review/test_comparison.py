"""Which changes a review reports as significant, and how it formats them."""

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

from overfitting.analysis import statistics
from overfitting.analysis.statistics import Estimate
from overfitting.evaluation import metrics
from overfitting.evaluation.corruptions import CORRUPTIONS
from overfitting.review import comparison, page
from overfitting.review.comparison import (
    GAP,
    HELD_OUT,
    IMPROVED,
    LESS_ACCURATE,
    METRICS,
    NOISE,
    TEST_ACCURACY,
    WORSE,
    Comparison,
    Runs,
)

PLAIN = {"flip": None, "translation": 0.0}
UP, DOWN = {TEST_ACCURACY.name, HELD_OUT.name}, {"gap", "test loss", "ECE"}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use fewer resamples for the standard error of the ECE, as there are many comparisons."""
    monkeypatch.setattr(statistics, "RESAMPLES", 10)


def make_runs(
    seeds: int = 3,
    accuracy: float = 0.88,
    gap: float = 0.08,
    confidence: float = 0.95,
    corrupted: float = 0.6,
    images: int = 1000,
    corrupted_images: int = 500,
    spread: float = 0.004,
    first_seed: int = 0,
    **changes: Any,
) -> Runs:
    """Return runs with the given metrics, which differ a little from seed to seed.

    Args:
        seeds: how many seeds.
        accuracy: the test accuracy, mean over the seeds.
        gap: the gap.
        confidence: the probability of the predicted class.
        corrupted: the accuracy under each corruption.
        images: the number of test images.
        corrupted_images: how many of them are corrupted.
        spread: the difference in accuracy from seed to seed.
        first_seed: the first seed.
        changes: other values for the fields of `Runs`.
    """
    offsets = spread * (np.arange(seeds) - (seeds - 1) / 2)
    order = np.random.default_rng(0).permutation(images)
    labels = np.arange(images) % 10
    probabilities = np.zeros((seeds, images, 10))
    for seed, offset in enumerate(offsets):
        right = order < round((accuracy + offset) * images)
        predicted = np.where(right, labels, (labels + 1) % 10)
        stated = confidence + offset / 2
        probabilities[seed] = (1 - stated) / 9
        probabilities[seed, np.arange(images), predicted] = stated
    ranks = np.random.default_rng(1).permutation(corrupted_images)
    shares = corrupted + 5 * offsets
    correct_corrupted = ranks < np.round(shares * corrupted_images)[:, None, None, None]
    runs = Runs(
        seeds=range(first_seed, first_seed + seeds),
        train_accuracy=accuracy + offsets + gap + offsets / 2,
        probabilities=probabilities,
        labels=labels,
        correct_corrupted=np.broadcast_to(
            correct_corrupted, (seeds, len(CORRUPTIONS), 5, corrupted_images)
        ),
        augmentation=PLAIN,
    )
    return replace(runs, **changes)


def compare(before: Runs | None, after: Runs | None) -> Comparison:
    """Compare two sides of one model in a review of its own."""
    return comparison.judge({"model": comparison.compare(before, after)})["model"]


def verdicts(compared: Comparison) -> dict[str, str]:
    return {row.metric.name: row.verdict for row in compared.rows}


def only_verdict(compared: Comparison) -> str:
    """Assert that all metrics have the same verdict, and return it."""
    by_metric = verdicts(compared)
    assert list(by_metric) == [metric.name for metric in METRICS]
    [verdict] = set(by_metric.values())
    return verdict


# False positives and power


@cache
def simulated_runs(skill_loss: float = 0.0) -> list[Runs]:
    """Simulate runs of one model with 200 seeds on the same 400 test images.

    An image is classified correctly if the sum of its ease, the skill of the seed, and noise that
    differs by seed and image is positive. The parameters are chosen to match the project's baseline
    in accuracy, in its standard deviation over the seeds and in how often two seeds disagree.

    Args:
        skill_loss: subtracted from the skill; 0.5 lowers the accuracy by four percentage points.
    """
    seeds, images, corrupted = 200, 400, 100
    ease = np.random.default_rng(0).normal(3.45, 2.75, images)
    random = np.random.default_rng(1 + round(100 * skill_loss))
    skill = random.normal(-skill_loss, 0.048, (seeds, 1))
    margin = ease + skill + random.normal(size=(seeds, images))
    probability = scipy.special.expit(1.5 * margin)  # of the label, which is class 0
    harder = np.linspace(0.5, 2.5, 5)[:, np.newaxis]
    runs = []
    for number in range(seeds):
        correct_corrupted = (
            margin[number, :corrupted]
            - harder
            + random.normal(0, 0.1)
            + random.normal(size=(len(CORRUPTIONS), 5, corrupted))
            > 0
        )
        runs.append(
            Runs(
                seeds=[0],
                train_accuracy=random.normal(0.955, 0.003, 1),
                probabilities=np.stack([probability[number], 1 - probability[number]], axis=1)[
                    None
                ],
                labels=np.zeros(images, dtype=int),
                correct_corrupted=correct_corrupted[np.newaxis],
                augmentation=PLAIN,
            )
        )
    return runs


def joined(runs: list[Runs], first_seed: int = 0) -> Runs:
    """Return runs of single seeds as the runs of one model, by consecutive seeds."""
    return replace(
        runs[0],
        seeds=range(first_seed, first_seed + len(runs)),
        train_accuracy=np.concatenate([run.train_accuracy for run in runs]),
        probabilities=np.concatenate([run.probabilities for run in runs]),
        correct_corrupted=np.concatenate([run.correct_corrupted for run in runs]),
    )


def drawn(random: np.random.Generator, runs: list[Runs], count: int) -> list[Runs]:
    return [runs[number] for number in random.choice(len(runs), count, replace=False)]


def test_simulated_runs_resemble_real_ones() -> None:
    correct = joined(simulated_runs()).correct
    assert correct.mean() == pytest.approx(0.88, abs=0.02)
    assert (correct[:-1] != correct[1:]).mean() == pytest.approx(0.08, abs=0.01)
    worse = joined(simulated_runs(0.5)).correct
    assert correct.mean() - worse.mean() == pytest.approx(0.04, abs=0.006)


@pytest.mark.parametrize(("first", "second"), [(2, 2), (3, 3), (2, 10)])
def test_a_review_of_noise_names_a_change_in_at_most_5_percent_of_cases(
    first: int, second: int
) -> None:
    """Two models, five metrics each: any change that a review names is a false positive."""
    random = np.random.default_rng([first, second])
    cases = 50
    for paired in (True, False) if first == second else (False,):
        false_positives = 0
        for _ in range(cases):
            models = {}
            for model in ("a", "b"):
                runs = drawn(random, simulated_runs(), first + second)
                after = joined(runs[first:], 0 if paired else 100)
                models[model] = comparison.compare(joined(runs[:first]), after)
            judged = comparison.judge(models)
            named = [row for each in judged.values() for row in each.rows if row.verdict != NOISE]
            false_positives += bool(named)
        # By chance, a count may exceed 5 %; fail only if it does so significantly.
        assert scipy.stats.binomtest(false_positives, cases, 0.05, "greater").pvalue > 0.01


@pytest.mark.parametrize("paired", [True, False])
def test_a_change_of_four_points_is_detected_with_its_sign(paired: bool) -> None:
    good, bad = simulated_runs(), simulated_runs(0.5)
    random = np.random.default_rng(0)
    cases, seeds = 20, 10
    counts: Counter[str] = Counter()
    for case in range(cases):
        sides = [joined(drawn(random, runs, seeds)) for runs in (bad, good)]
        better = case % 2 == 0  # improve and worsen equally often
        before, after = sides if better else sides[::-1]
        if not paired:
            after = replace(after, seeds=range(100, 100 + seeds))
        by_metric = verdicts(compare(before, after))
        assert (WORSE if better else IMPROVED) not in by_metric.values()
        counts.update(name for name, verdict in by_metric.items() if verdict != NOISE)
    for name in (*UP, "test loss"):
        assert counts[name] > cases / 2, (name, counts)


def test_a_change_must_generalize_to_other_images() -> None:
    before = make_runs(2, accuracy=0.5, spread=0)
    after = make_runs(2, accuracy=0.52, spread=0.002)
    [row, *_] = compare(before, after).rows
    assert row.change is not None
    over_seeds = statistics.mean_over_seeds(after.correct.mean(axis=1) - 0.5)
    assert over_seeds.interval.low > 0  # Student's interval ignores the variance between images
    assert row.change.half_width() > over_seeds.half_width()
    assert (row.metric, row.verdict) == (TEST_ACCURACY, NOISE)


def test_an_interval_that_excludes_zero_is_not_enough() -> None:
    row = comparison.Row(TEST_ACCURACY, 0.8, 0.83, Estimate(0.03, 0.006, 2))
    other = comparison.Row(GAP, 0.1, 0.1, Estimate(0.0, 0.01, 2))
    assert Estimate(0.03, 0.006, 2).interval.low > 0
    alone = comparison.judge({"a": Comparison([row], "")})["a"].rows[0]
    assert (alone.verdict, round(alone.p_value, 3)) == (IMPROVED, 0.038)
    among_others = comparison.judge({"a": Comparison([row, other], "")})["a"].rows[0]
    assert (among_others.verdict, round(among_others.p_value, 3)) == (NOISE, 0.075)
    of_other_models = {"a": Comparison([row], ""), "b": Comparison([other], "")}
    assert comparison.judge(of_other_models)["a"].rows[0].verdict == NOISE


# Verdicts


def test_the_direction_of_each_metric() -> None:
    low = make_runs(10, accuracy=0.80, gap=0.05, confidence=0.83, corrupted=0.4)
    high = make_runs(10, accuracy=0.85, gap=0.15, confidence=0.995, corrupted=0.6, spread=0.002)
    for before, after, if_higher_is_better, if_lower_is_better in (
        (low, high, IMPROVED, WORSE),
        (high, low, WORSE, IMPROVED),
    ):
        expected = dict.fromkeys(UP, if_higher_is_better) | dict.fromkeys(DOWN, if_lower_is_better)
        if after is low:
            expected["gap"] = LESS_ACCURATE
        assert verdicts(compare(before, after)) == expected


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_a_network_that_has_learned_nothing_has_not_improved_its_gap(seeds: int) -> None:
    """As with a learning rate of 1e-8: training and test accuracy are those of guessing."""
    collapsed = make_runs(
        seeds, accuracy=0.1, gap=0.001, confidence=0.11, corrupted=0.1, spread=0.002
    )
    by_metric = verdicts(compare(make_runs(seeds), collapsed))
    assert by_metric["gap"] in (LESS_ACCURATE, NOISE)
    assert IMPROVED not in (by_metric["gap"], by_metric["test accuracy"])
    smaller = make_runs(seeds, gap=0.001, spread=0.006)
    assert verdicts(compare(make_runs(seeds), smaller))["gap"] == IMPROVED


@pytest.mark.parametrize("seeds", [1, 3])
def test_identical_results_are_a_change_of_zero(seeds: int) -> None:
    compared = compare(make_runs(seeds), make_runs(seeds))
    assert only_verdict(compared) == NOISE
    assert {row.after - row.before for row in compared.rows} == {0}
    assert all(row.change is not None and row.change.value == 0 for row in compared.rows)


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
    changed = make_runs(after, accuracy=0.7, gap=0.2, corrupted=0.3) if after else None
    compared = compare(make_runs(before) if before else None, changed)
    assert only_verdict(compared) == f"not comparable ({reason})"
    for row in compared.rows:
        assert np.isnan(row.before) == (before == 0)
        assert np.isnan(row.after) == (after == 0)


@pytest.mark.parametrize("first_seed", [0, 100])
def test_seeds_that_all_change_by_the_same_amount_are_not_compared(first_seed: int) -> None:
    sides = [
        make_runs(2, accuracy, gap, 0.9, corrupted, spread=0, first_seed=first)
        for accuracy, gap, corrupted, first in ((0.8, 0.1, 0.5, 0), (0.9, 0.2, 0.6, first_seed))
    ]
    assert only_verdict(compare(*sides)).startswith(
        "not comparable (all seeds changed by the same amount"
    )


def test_results_on_different_test_images_are_not_compared() -> None:
    more_images = verdicts(compare(make_runs(), make_runs(images=2000)))
    other = "not comparable (other test images)"
    assert more_images.pop(HELD_OUT.name) == NOISE  # measured on the same first 500 images
    assert set(more_images.values()) == {other}

    by_metric = verdicts(compare(make_runs(), make_runs(corrupted_images=400)))
    assert by_metric.pop(HELD_OUT.name) == other
    assert set(by_metric.values()) == {NOISE}


def test_robustness_is_compared_if_both_sides_measured_it() -> None:
    without = make_runs(corrupted_images=0)
    assert verdicts(compare(without, make_runs()))[HELD_OUT.name] == (
        "not comparable (measured on one side only)"
    )
    assert HELD_OUT.name not in verdicts(compare(without, without))


def test_corruptions_that_one_side_trained_on_are_excluded_for_both() -> None:
    """Otherwise a model that adds flips would be compared on different corruptions."""
    plain = make_runs()
    better = plain.correct_corrupted.copy()
    better[:, list(CORRUPTIONS).index("horizontal_flip")] = True
    flipped = replace(
        plain, correct_corrupted=better, augmentation={"flip": "horizontal", "translation": 0.0}
    )
    for before, after in ((plain, flipped), (flipped, plain)):
        row = compare(before, after).rows[-1]
        assert row.metric is HELD_OUT
        assert row.before == row.after == pytest.approx(0.6)


def test_the_ece_is_that_of_the_report() -> None:
    runs = make_runs()
    expected = [
        metrics.expected_calibration_error(probabilities, runs.labels)
        for probabilities in runs.probabilities
    ]
    row = next(row for row in compare(runs, runs).rows if row.metric.key == "ece")
    assert row.before == pytest.approx(np.mean(expected))


def test_metrics_without_results_have_no_verdict() -> None:
    before = {"test_accuracy": 0.88, "gap": 0.07, "gap_sd": None, "ece": None}
    after = {"test_accuracy": 0.9, "gap": 0.05, "ece": 0.03}

    def judged(*sides: Any) -> Comparison:
        return comparison.judge({"a": comparison.from_metrics(*sides)})["a"]

    compared = judged(before, after, "why not")
    assert verdicts(compared) == dict.fromkeys(
        ["test accuracy", "gap", "ECE"], "not comparable (why not)"
    )
    assert [row.change for row in compared.rows] == [None] * 3
    assert set(verdicts(judged({}, after, "")).values()) == {"not comparable (new)"}
    assert set(verdicts(judged(after, {}, "")).values()) == {"not comparable (removed)"}


# The page


def test_the_page_has_verdicts_tables_and_notes() -> None:
    models = comparison.judge(
        {
            "baseline": comparison.compare(
                make_runs(10), make_runs(10, accuracy=0.7, gap=0.01, spread=0.002)
            ),
            "new_one": comparison.compare(None, make_runs(2)),
            "lost": comparison.from_metrics({"gap": 0.0123}, {"gap": 0.00004}, "no results"),
        }
    )
    text = page.render("Review against `main` (abc1234)", models, ["A note."], "", "The curves.")
    assert text.startswith("## Review against `main` (abc1234)\n\n0 improved, 3 worse, 1 within")
    assert "1 gap smaller, but so is the test accuracy, 6 not comparable.\n\nA note." in text
    assert "Seeds: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 (paired). Test images: 1,000." in text
    assert "Seeds: 0, 1. Test images: 1,000." in text
    assert "| gap ↓ | +1.23 points | 0.00 points | −1.23 points | – | – | not comparable (" in text
    assert "| <0.001 | worse |" in text
    assert "names any change where there is none is at most 5%" in text
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
