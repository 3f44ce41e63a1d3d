"""What changed between two commits, and what of it is noise: results in, verdicts out.

A metric of a model is called improved or worse only where its 95 % interval of the change
excludes 0. A false call costs more than a missed one, so the interval is never the narrower choice:

- Equal seeds on both sides are paired: what they share, the images and the first weights, cancels
  out. The interval is Student's over the seeds' differences.
- Other seeds are not paired: the interval is Welch's, with the degrees of freedom of the side
  with fewer seeds. Satterthwaite's approximation is too narrow for a few seeds against many
  (2 against 10 call noise a change in 10 of 100 cases), and this never is (Mickey & Brown,
  "Bounds on the distribution functions of the Behrens-Fisher statistic", Annals of Mathematical
  Statistics 1966).
- Test accuracy of paired seeds must also hold for other images like these: the interval is
  widened to span that of a bootstrap over seeds and images. The bootstrap alone would be too
  narrow: that of three seeds is at worst their range.
- One seed tells nothing of the noise between seeds. Nor do seeds that all changed by exactly the
  same amount, which two seeds do by chance where the images are few.
- Other test images have another accuracy, whatever the model: such results are not compared.

A run whose results are the same has changed by 0, which no number of seeds makes more certain.
Each verdict stands alone: where only noise differs, up to 1 in 20 still names a change.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats

from overfitting.analysis.statistics import Interval, paired_bootstrap, t_interval
from overfitting.evaluation.corruptions import CORRUPTIONS, is_matched

ALIKE = 1e-9
"""Differences of shares and losses that are nearer to each other differ by rounding only."""

IMPROVED, WORSE, NOISE = "improved", "worse", "within noise"
OTHER_IMAGES = "other test images"
ONE_SEED = "one seed does not tell noise from change; add seeds"
NO_SPREAD = "all seeds changed alike, which tells nothing of the noise; add seeds or images"
ONE_SIDE = "measured on one side only"


@dataclass(frozen=True)
class Run:
    """One trained network, measured."""

    evaluation: Mapping[str, Any]
    """The contents of its evaluation.json."""
    recognised: np.ndarray
    """Booleans, N: the most probable class of a test image is its label."""
    labels: np.ndarray
    """Whole numbers, N."""


@dataclass(frozen=True)
class Metric:
    """Something measured on every run."""

    name: str
    higher_is_better: bool
    of_run: Callable[[Mapping[str, Any], Sequence[str]], float]
    """From evaluation.json and the names of the held-out corruptions; NaN if not measured."""
    key: str = ""
    """In reports/metrics.json, where it stands there."""


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
    """One metric of one model, mean over the seeds of each side; NaN where there is none."""

    metric: Metric
    before: float
    after: float
    interval: Interval | None
    """Of `after` - `before`; None where there is none to be had."""
    verdict: str
    """improved, worse, within noise, or not comparable (why)."""


@dataclass(frozen=True)
class Comparison:
    """A model before and after."""

    rows: list[Row]
    basis: str
    """What it rests on, in a sentence."""


def compare(before: Mapping[int, Run], after: Mapping[int, Run]) -> Comparison:
    """Judge each metric that was measured, by the rules at the top of this module.

    The held-out corruptions are those that neither side's augmentation shows in training, so that
    both sides are measured on the same ones.

    Args:
        before: the runs of a model by seed; none if the model is new.
        after: the same; none if the model was removed. One of the two has runs.
    """
    paired = before.keys() == after.keys()
    first, second = ([side[seed] for seed in sorted(side)] for side in (before, after))
    held_out = _held_out(run.evaluation for run in [*first, *second])
    rows = []
    for metric in METRICS:
        old, new = (
            np.array([metric.of_run(run.evaluation, held_out) for run in runs], dtype=np.float64)
            for runs in (first, second)
        )
        unknown = np.isnan([*old, *new])
        if unknown.all():
            continue
        interval = None
        if not before or not after:
            verdict = not_comparable("removed" if before else "new")
        elif unknown.any():
            verdict = not_comparable(ONE_SIDE)
        elif not np.array_equal(_images(metric, first[0]), _images(metric, second[0])):
            verdict = not_comparable(OTHER_IMAGES)
        else:
            interval = change_over_seeds(old, new, paired)
            if metric is TEST_ACCURACY and paired:
                interval = _spanning(interval, paired_bootstrap(_right(second), _right(first)))
            verdict = judge(interval, min(len(old), len(new)), metric.higher_is_better)
        rows.append(Row(metric, _mean(old), _mean(new), interval, verdict))
    return Comparison(rows, _basis(before, after))


def change_over_seeds(before: np.ndarray, after: np.ndarray, paired: bool) -> Interval:
    """Return the mean of `after` minus that of `before`, with its 95 % interval over the seeds.

    Args:
        before: a value per seed, at least one.
        after: the same, in the same order of seeds if they are paired.

    Returns:
        All in the units of the values. The bounds are NaN where the seeds tell nothing of the
        noise: one on a side, or a change that is the same for all but not 0.
    """
    change = float(after.mean() - before.mean())
    if paired:
        differences = after - before
        if not differences.any():
            return Interval(0.0, 0.0, 0.0)
        if np.ptp(differences) < ALIKE:
            return Interval(change, np.nan, np.nan)
        return Interval(change, *t_interval(differences))
    fewer = min(len(before), len(after))
    if fewer < 2 or max(np.ptp(before), np.ptp(after)) < ALIKE:
        return Interval(change, np.nan, np.nan)
    error = np.sqrt(sum(values.var(ddof=1) / len(values) for values in (before, after)))
    half_width = float(scipy.stats.t.ppf(0.975, fewer - 1) * error)
    return Interval(change, change - half_width, change + half_width)


def judge(interval: Interval, seeds: int, higher_is_better: bool) -> str:
    """Return the verdict on a change.

    Args:
        interval: of the change.
        seeds: on the side that has fewer.
    """
    if np.isnan(interval.low):
        return not_comparable(ONE_SEED if seeds < 2 else NO_SPREAD)
    if interval.low <= 0 <= interval.high:
        return NOISE
    return IMPROVED if (interval.estimate > 0) == higher_is_better else WORSE


def not_comparable(why: str) -> str:
    """Return the verdict on what cannot be judged."""
    return f"not comparable ({why})"


def from_metrics(
    before: Mapping[str, float | None], after: Mapping[str, float | None], why: str
) -> Comparison:
    """Put the means of a model in two reports/metrics.json beside each other, unjudged.

    Args:
        before: its metrics by key; none if the model is new.
        after: the same; none if the model was removed.
        why: what keeps them from being judged.
    """
    if not before or not after:
        why = "removed" if before else "new"
    rows = []
    for metric in METRICS:
        means = [side.get(metric.key) for side in (before, after)]
        if means != [None, None]:
            first, second = (np.nan if mean is None else mean for mean in means)
            rows.append(Row(metric, first, second, None, not_comparable(why)))
    return Comparison(rows, "Means from reports/metrics.json.")


def _held_out(evaluations: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the corruptions that all measured and none met in training."""
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


def _images(metric: Metric, run: Run) -> np.ndarray:
    """Return what tells which images a metric was measured on: their labels."""
    if metric is HELD_OUT:
        return run.labels[: run.evaluation["robustness"]["images"]]
    return run.labels


def _basis(before: Mapping[int, Run], after: Mapping[int, Run]) -> str:
    """Say which seeds and how many test images there are."""
    sides = [", ".join(map(str, sorted(side))) for side in (before, after)]
    if before.keys() == after.keys():
        seeds = f"{sides[0]} (paired)"
    elif before and after:
        seeds = f"{sides[0]} before; {sides[1]} after (not paired)"
    else:
        seeds = "".join(sides)
    images = {f"{len(run.labels):,}" for run in [*before.values(), *after.values()]}
    return f"Seeds: {seeds}. Test images: {' or '.join(sorted(images))}."


def _right(runs: Iterable[Run]) -> np.ndarray:
    """Return which images each run recognises: booleans, seeds×images."""
    return np.stack([run.recognised for run in runs])


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _spanning(first: Interval, second: Interval) -> Interval:
    """Return the interval that holds both, so that it excludes 0 only where both do."""
    return Interval(
        first.estimate,
        float(np.minimum(first.low, second.low)),  # NaN if one is, unlike min
        float(np.maximum(first.high, second.high)),
    )
