"""Compare the results of two commits and judge whether each metric changed significantly.

- If both sides have the same seeds, the runs are paired, because runs of the same seed share the
  images and the initial weights, whose effects cancel out. If the seeds differ, they are not, and
  the interval is Welch's (see `statistics.difference_of_means`).
- Every interval is over seeds and test images, as in the report (see `analysis.statistics`).
- A review judges many metrics at once. A change is named only if its p-value, adjusted by Holm's
  method for all metrics of all models, is below 5%: so the probability that a review names any
  change where there is none is at most 5%.
- A smaller gap is not called an improvement if the test accuracy fell with it: a network that has
  learned nothing has no gap.
- A single seed gives no estimate of the variance between seeds. Neither do seeds that all changed
  by exactly the same amount, which two seeds can do by chance if there are few images.
- Results on different test images are not compared, because the accuracy depends on the images.

Identical results are a change of exactly 0, for any number of seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from overfitting.analysis import measures, statistics
from overfitting.analysis.claims import MAX_ACCURACY_LOSS
from overfitting.analysis.measures import Measure
from overfitting.analysis.statistics import SIGNIFICANCE, TOLERANCE, Estimate
from overfitting.evaluation import metrics
from overfitting.evaluation.corruptions import CORRUPTIONS, is_matched

IMPROVED, WORSE, NOISE = "improved", "worse", "within noise"
LESS_ACCURATE = "smaller, but so is the test accuracy"
OTHER_IMAGES = "other test images"
ONE_SEED = "a single seed cannot tell a change from noise; add seeds"
NO_SPREAD = (
    "all seeds changed by the same amount, so the noise cannot be estimated; add seeds or images"
)
ONE_SIDE = "measured on one side only"


@dataclass(frozen=True)
class Runs:
    """The results of one model on one side, for all its seeds.

    In the shapes below, S is the number of seeds, N the number of test images, K the number of
    those that were also corrupted (the first ones).
    """

    seeds: Sequence[int]
    """In ascending order."""
    train_accuracy: np.ndarray
    """S shares."""
    probabilities: np.ndarray
    """S×N×10: class probabilities of the test images."""
    labels: np.ndarray
    """N integers, 0 to 9."""
    correct_corrupted: np.ndarray
    """Booleans, S×12×5×K: whether each corrupted image is classified correctly."""
    augmentation: Mapping[str, object]
    """The key `augmentation` of the model in `params.yaml`."""

    @property
    def correct(self) -> np.ndarray:
        """Booleans, S×N: whether the most probable class is the label."""
        return self.probabilities.argmax(axis=2) == self.labels


@dataclass(frozen=True)
class Metric:
    """A number that describes the results of a run."""

    name: str
    higher_is_better: bool
    measure: Callable[[Runs, Sequence[int]], Measure | None]
    """Takes the runs and the numbers of the held-out corruptions; None if it was not measured."""
    key: str = ""
    """Its key in reports/metrics.json; empty if it is not recorded there."""
    is_share: bool = True
    """Whether it is a share of the images or a difference of shares; else it is in nats."""


def _held_out_accuracy(runs: Runs, held_out: Sequence[int]) -> Measure | None:
    if not runs.correct_corrupted.shape[-1] or not held_out:
        return None
    return measures.mean_of(runs.correct_corrupted[:, list(held_out)].mean(axis=(1, 2)))


TEST_ACCURACY = Metric(
    "test accuracy", True, lambda runs, _: measures.mean_of(runs.correct), "test_accuracy"
)
GAP = Metric("gap", False, lambda runs, _: measures.gap(runs.train_accuracy, runs.correct), "gap")
HELD_OUT = Metric("accuracy on held-out corruptions", True, _held_out_accuracy)
METRICS = [
    TEST_ACCURACY,
    GAP,
    Metric(
        "test loss",
        False,
        lambda runs, _: measures.test_loss(runs.probabilities, runs.labels),
        "test_loss",
        is_share=False,
    ),
    Metric(
        "ECE",
        False,
        lambda runs, _: measures.calibration_error(
            runs.probabilities, runs.labels, metrics.mean_calibration_error
        ),
        "ece",
    ),
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
    change: Estimate | None = None
    """`after` - `before`; None if they cannot be compared."""
    reason: str = ""
    """Why they cannot be compared; empty if they can."""
    p_value: float = float("nan")
    """That of the change, adjusted for all metrics of a review; NaN if it was not tested."""
    verdict: str = ""
    """"improved", "worse", "within noise", `LESS_ACCURATE` or "not comparable (reason)"."""


@dataclass(frozen=True)
class Comparison:
    """All metrics of one model before and after."""

    rows: list[Row]
    basis: str
    """A sentence that names the seeds and test images, or the file, that the rows are based on."""


def compare(before: Runs | None, after: Runs | None) -> Comparison:
    """Compare all metrics that were measured; `judge` then gives the verdicts.

    The held-out corruptions are those that neither side's augmentation applies in training, so that
    both sides are measured on the same corruptions.

    Args:
        before: the runs of a model; None if the model is new.
        after: the same; None if the model was removed. At least one of the two is not None.
    """
    sides = [side for side in (before, after) if side is not None]
    held_out = [
        number
        for number, name in enumerate(CORRUPTIONS)
        if not any(is_matched(name, dict(side.augmentation)) for side in sides)
    ]
    rows = []
    for metric in METRICS:
        old, new = (metric.measure(side, held_out) if side else None for side in (before, after))
        if old is None and new is None:
            continue
        row = Row(metric, _mean(old), _mean(new))
        if before is None or after is None:
            row = replace(row, reason="removed" if before else "new")
        elif old is None or new is None:
            row = replace(row, reason=ONE_SIDE)
        elif not np.array_equal(_labels(metric, before), _labels(metric, after)):
            row = replace(row, reason=OTHER_IMAGES)
        else:
            row = _compared(row, old, new, paired=list(before.seeds) == list(after.seeds))
        rows.append(row)
    return Comparison(rows, _basis(before, after))


def _compared(row: Row, old: Measure, new: Measure, paired: bool) -> Row:
    change = measures.difference(new, old, paired=paired)
    one_seed = min(len(old.by_seed), len(new.by_seed)) < 2
    differences = new.by_seed - old.by_seed if paired else np.array([change.value])
    if (one_seed or not change.has_spread) and np.abs(differences).max() > TOLERANCE:
        return replace(row, change=change, reason=ONE_SEED if one_seed else NO_SPREAD)
    return replace(row, change=change)


def judge(models: Mapping[str, Comparison]) -> dict[str, Comparison]:
    """Return the comparisons of a review, by model, with the verdict on every change."""
    rows = [row for model in models.values() for row in model.rows]
    tested = [
        float("nan") if row.change is None or row.reason else row.change.p_value for row in rows
    ]
    adjusted = iter(statistics.holm(tested))
    judged = {}
    for name, model in models.items():
        own = [replace(row, p_value=next(adjusted)) for row in model.rows]
        own = [replace(row, verdict=_verdict(row)) for row in own]
        accuracy = next((row for row in own if row.metric is TEST_ACCURACY), None)
        if accuracy is not None and _is_lower(accuracy):
            own = [
                replace(row, verdict=LESS_ACCURATE)
                if row.metric is GAP and row.verdict == IMPROVED
                else row
                for row in own
            ]
        judged[name] = replace(model, rows=own)
    return judged


def worse(models: Mapping[str, Comparison]) -> list[str]:
    """Return what became worse in a review, as "METRIC of MODEL"."""
    return [
        f"{row.metric.name} of {name}"
        for name, model in models.items()
        for row in model.rows
        if row.verdict == WORSE
    ]


def _verdict(row: Row) -> str:
    if row.reason or row.change is None:
        return not_comparable(row.reason)
    if not row.p_value < SIGNIFICANCE:  # also if it is NaN: then nothing changed
        return NOISE
    return IMPROVED if (row.change.value > 0) == row.metric.higher_is_better else WORSE


def _is_lower(accuracy: Row) -> bool:
    """Return whether a test accuracy fell by more than what the lesson calls a hair."""
    return accuracy.verdict == WORSE or accuracy.after < accuracy.before - MAX_ACCURACY_LOSS


def not_comparable(reason: str) -> str:
    """Return the verdict on a metric that cannot be compared."""
    return f"not comparable ({reason})"


def from_metrics(
    before: Mapping[str, float | None], after: Mapping[str, float | None], reason: str
) -> Comparison:
    """List a model's means from two versions of reports/metrics.json, which cannot be compared.

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
            rows.append(Row(metric, first, second, reason=reason))
    return Comparison(rows, "Means from reports/metrics.json.")


def _labels(metric: Metric, runs: Runs) -> np.ndarray:
    """Return the labels of the images that a metric was measured on; they identify the images."""
    if metric is HELD_OUT:
        return runs.labels[: runs.correct_corrupted.shape[-1]]
    return runs.labels


def _basis(before: Runs | None, after: Runs | None) -> str:
    """Return a sentence with the seeds and the number of test images of both sides."""
    sides = [side for side in (before, after) if side is not None]
    listed = [", ".join(map(str, side.seeds)) for side in sides]
    if len(sides) == 1:
        seeds = listed[0]
    elif list(sides[0].seeds) == list(sides[1].seeds):
        seeds = f"{listed[0]} (paired)"
    else:
        seeds = f"{listed[0]} before; {listed[1]} after (not paired)"
    images = dict.fromkeys(f"{len(side.labels):,}" for side in sides)
    return f"Seeds: {seeds}. Test images: {' or '.join(images)}."


def _mean(measure: Measure | None) -> float:
    return float("nan") if measure is None else float(measure.by_seed.mean())
