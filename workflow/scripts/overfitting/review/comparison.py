"""Compare the results of two commits and judge whether each metric changed significantly.

A metric of a model is reported as improved or worse only if the 95 % confidence interval of its
change excludes 0. A false positive costs more than a false negative, so wherever there is a choice
of intervals, the wider one is used:

- If both sides have the same seeds, the runs are paired, because runs of the same seed share the
  images and the initial weights, whose effects cancel out. The interval is Student's t interval of
  the differences per seed.
- If the seeds differ, the runs are not paired. The interval is Welch's, with the degrees of freedom
  of the side with fewer seeds. Satterthwaite's approximation is too narrow for a few seeds against
  many (with 2 against 10, 10 % of comparisons without a real change are false positives). The
  interval used here is never too narrow (Mickey & Brown, "Bounds on the distribution functions of
  the Behrens-Fisher statistic", Annals of Mathematical Statistics 1966).
- The test accuracy of paired runs must also generalize to other images of the same distribution:
  the interval is widened to include that of a bootstrap over seeds and images. The bootstrap alone
  can be too narrow with a few seeds (see `paired_bootstrap`).
- A single seed gives no estimate of the variance between seeds. Neither do seeds that all changed
  by exactly the same amount, which two seeds can do by chance if there are few images.
- Results on different test images are not compared, because the accuracy depends on the images.

Identical results are reported as a change of exactly 0, for any number of seeds. There is no
correction for multiple comparisons: without a real change, up to 1 verdict in 20 is a false
positive.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats

from overfitting.analysis.statistics import Interval, paired_bootstrap, t_interval
from overfitting.evaluation.corruptions import CORRUPTIONS, is_matched

TOLERANCE = 1e-9
"""Differences between accuracies or losses below this are rounding errors."""

IMPROVED, WORSE, NOISE = "improved", "worse", "within noise"
OTHER_IMAGES = "other test images"
ONE_SEED = "a single seed cannot tell a change from noise; add seeds"
NO_SPREAD = (
    "all seeds changed by the same amount, so the noise cannot be estimated; add seeds or images"
)
ONE_SIDE = "measured on one side only"


@dataclass(frozen=True)
class Run:
    """The results of one trained network."""

    evaluation: Mapping[str, Any]
    """The contents of its evaluation.json."""
    correct: np.ndarray
    """Booleans of shape (N,): whether the most probable class of each test image is its label."""
    labels: np.ndarray
    """Integers of shape (N,): the label of each test image."""


@dataclass(frozen=True)
class Metric:
    """A number that describes the results of a run."""

    name: str
    higher_is_better: bool
    compute: Callable[[Mapping[str, Any], Sequence[str]], float]
    """Takes the contents of evaluation.json and the names of the held-out corruptions; returns NaN
    if the metric was not measured."""
    key: str = ""
    """Its key in reports/metrics.json; empty if it is not recorded there."""


def _held_out_accuracy(evaluation: Mapping[str, Any], held_out: Sequence[str]) -> float:
    robustness = evaluation.get("robustness")
    if not robustness or not held_out:
        return float("nan")
    return float(np.mean([robustness["corruptions"][name] for name in held_out]))


TEST_ACCURACY = Metric(
    "test accuracy", True, lambda evaluation, _: evaluation["test"]["accuracy"], "test_accuracy"
)
HELD_OUT = Metric("accuracy on held-out corruptions", True, _held_out_accuracy)
METRICS = [
    TEST_ACCURACY,
    Metric(
        "gap",
        False,
        lambda evaluation, _: evaluation["train"]["accuracy"] - evaluation["test"]["accuracy"],
        "gap",
    ),
    Metric(
        "test loss", False, lambda evaluation, _: evaluation["test"]["cross_entropy"], "test_loss"
    ),
    Metric("ECE", False, lambda evaluation, _: evaluation["calibration"]["ece"], "ece"),
    HELD_OUT,
]


@dataclass(frozen=True)
class Row:
    """One metric of one model before and after."""

    metric: Metric
    before: float
    """The mean over the seeds; NaN if it was not measured."""
    after: float
    """The mean over the seeds; NaN if it was not measured."""
    interval: Interval | None
    """The 95 % confidence interval of `after` - `before`; None if it cannot be computed."""
    verdict: str
    """"improved", "worse", "within noise" or "not comparable (reason)"."""


@dataclass(frozen=True)
class Comparison:
    """All metrics of one model before and after."""

    rows: list[Row]
    basis: str
    """A sentence that names the seeds and test images, or the file, that the rows are based on."""


def compare(before: Mapping[int, Run], after: Mapping[int, Run]) -> Comparison:
    """Compare all metrics that were measured, by the rules in the docstring of this module.

    The held-out corruptions are those that neither side's augmentation applies in training, so that
    both sides are measured on the same corruptions.

    Args:
        before: the runs of a model by seed; empty if the model is new.
        after: the same; empty if the model was removed. At least one of the two is not empty.
    """
    paired = before.keys() == after.keys()
    old_runs, new_runs = ([side[seed] for seed in sorted(side)] for side in (before, after))
    held_out = _held_out_corruptions(run.evaluation for run in [*old_runs, *new_runs])
    rows = []
    for metric in METRICS:
        old, new = (
            np.array([metric.compute(run.evaluation, held_out) for run in runs], dtype=np.float64)
            for runs in (old_runs, new_runs)
        )
        missing = np.isnan([*old, *new])
        if missing.all():
            continue
        interval = None
        if not before or not after:
            verdict = not_comparable("removed" if before else "new")
        elif missing.any():
            verdict = not_comparable(ONE_SIDE)
        elif not np.array_equal(_labels(metric, old_runs[0]), _labels(metric, new_runs[0])):
            verdict = not_comparable(OTHER_IMAGES)
        else:
            interval = change_over_seeds(old, new, paired)
            if metric is TEST_ACCURACY and paired:
                bootstrap = paired_bootstrap(_stack_correct(new_runs), _stack_correct(old_runs))
                interval = _span(interval, bootstrap)
            verdict = judge(interval, min(len(old), len(new)), metric.higher_is_better)
        rows.append(Row(metric, _mean(old), _mean(new), interval, verdict))
    return Comparison(rows, _basis(before, after))


def change_over_seeds(before: np.ndarray, after: np.ndarray, paired: bool) -> Interval:
    """Return the mean of `after` minus that of `before`, with its 95 % interval over the seeds.

    The interval is Student's for paired seeds and Welch's, with fewer degrees of freedom, for
    others; see the docstring of this module for the source.

    Args:
        before: one value per seed, at least one.
        after: the same; in the same order of seeds as `before` if they are paired.
        paired: whether both sides have the same seeds.

    Returns:
        The estimate and bounds in the units of the values. The bounds are NaN if the variance
        between seeds cannot be estimated: with one seed on a side, or if all seeds changed by the
        same amount other than 0.
    """
    change = float(after.mean() - before.mean())
    if paired:
        differences = after - before
        if not differences.any():
            return Interval(0.0, 0.0, 0.0)
        if np.ptp(differences) < TOLERANCE:
            return Interval(change, np.nan, np.nan)
        return Interval(change, *t_interval(differences))
    fewer = min(len(before), len(after))
    if fewer < 2 or max(np.ptp(before), np.ptp(after)) < TOLERANCE:
        return Interval(change, np.nan, np.nan)
    standard_error = np.sqrt(sum(values.var(ddof=1) / len(values) for values in (before, after)))
    half_width = float(scipy.stats.t.ppf(0.975, fewer - 1) * standard_error)
    return Interval(change, change - half_width, change + half_width)


def judge(interval: Interval, seeds: int, higher_is_better: bool) -> str:
    """Return the verdict on a change.

    Args:
        interval: the 95 % confidence interval of the change; bounds of NaN if unknown.
        seeds: the number of seeds on the side that has fewer.
        higher_is_better: whether an increase is an improvement.
    """
    if np.isnan(interval.low):
        return not_comparable(ONE_SEED if seeds < 2 else NO_SPREAD)
    if interval.low <= 0 <= interval.high:
        return NOISE
    return IMPROVED if (interval.estimate > 0) == higher_is_better else WORSE


def not_comparable(reason: str) -> str:
    """Return the verdict on a metric that cannot be compared."""
    return f"not comparable ({reason})"


def from_metrics(
    before: Mapping[str, float | None], after: Mapping[str, float | None], reason: str
) -> Comparison:
    """List a model's means from two versions of reports/metrics.json, without a verdict.

    Args:
        before: its metrics by key; empty if the model is new.
        after: the same; empty if the model was removed.
        reason: why the results cannot be compared.
    """
    if not before or not after:
        reason = "removed" if before else "new"
    rows = []
    for metric in METRICS:
        means = [side.get(metric.key) for side in (before, after)]
        if means != [None, None]:
            first, second = (np.nan if mean is None else mean for mean in means)
            rows.append(Row(metric, first, second, None, not_comparable(reason)))
    return Comparison(rows, "Means from reports/metrics.json.")


def _held_out_corruptions(evaluations: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the corruptions that all runs measured and none applied in training."""
    measured = [evaluation for evaluation in evaluations if evaluation.get("robustness")]
    return [
        name
        for name in CORRUPTIONS
        if all(
            name in evaluation["robustness"]["corruptions"]
            and not is_matched(name, evaluation["augmentation"])
            for evaluation in measured
        )
    ]


def _labels(metric: Metric, run: Run) -> np.ndarray:
    """Return the labels of the images that a metric was measured on; they identify the images."""
    if metric is HELD_OUT:
        return run.labels[: run.evaluation["robustness"]["images"]]
    return run.labels


def _basis(before: Mapping[int, Run], after: Mapping[int, Run]) -> str:
    """Return a sentence with the seeds and the number of test images of both sides."""
    sides = [", ".join(map(str, sorted(side))) for side in (before, after)]
    if before.keys() == after.keys():
        seeds = f"{sides[0]} (paired)"
    elif before and after:
        seeds = f"{sides[0]} before; {sides[1]} after (not paired)"
    else:
        seeds = "".join(sides)
    images = {f"{len(run.labels):,}" for run in [*before.values(), *after.values()]}
    return f"Seeds: {seeds}. Test images: {' or '.join(sorted(images))}."


def _stack_correct(runs: Iterable[Run]) -> np.ndarray:
    """Return which images each run classifies correctly: booleans of shape (seeds, images)."""
    return np.stack([run.correct for run in runs])


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _span(first: Interval, second: Interval) -> Interval:
    """Return the smallest interval that contains both, with the estimate of the first."""
    return Interval(
        first.estimate,
        float(np.minimum(first.low, second.low)),  # NaN if either is, unlike min
        float(np.maximum(first.high, second.high)),
    )
