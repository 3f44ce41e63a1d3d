"""The lesson's claims as measurements that could come out against it: results in, verdicts out.

The models are compared with the first one in `compare`, always on the same seeds and images.
Verdicts come from the intervals alone; nobody writes one by hand.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from overfitting.evaluation.corruptions import CORRUPTIONS, is_matched

from .predictions import Predictions
from .statistics import Interval, mcnemar, paired_interval, t_interval

MARGIN = 0.01
"""A difference below this (one percentage point, or 0.01 of another measure) is not worth naming:
where an interval rules out more, the claim of a difference does not hold."""
MAX_ACCURACY_LOSS = 0.02
"""Of test accuracy; more than two points are no "hair lower"."""


@dataclass(frozen=True)
class Finding:
    """One measured number of a claim."""

    model: str
    measure: str
    interval: Interval
    """A share of the images or a difference of shares; for losses and scores, their own unit."""
    points: bool = True
    """Whether it is to be read in percentage points."""
    verdict: str = ""
    """Empty where the number only explains another one."""


@dataclass(frozen=True)
class Claim:
    """A claim of the lesson, asked as a question, and what was found."""

    number: int
    """Its number in the list of claims."""
    claim: str
    question: str
    measure: str
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verdict(interval: Interval, seeds: int, least: float = 0.0, enough: float = MARGIN) -> str:
    """Say whether a claimed difference is there.

    Args:
        interval: of the difference, positive in the direction that the claim names.
        seeds: how many it is measured over; one says nothing about the next.
        least: the claim holds where the whole interval lies above this.
        enough: the claim does not hold where the whole interval lies below this.
    """
    if seeds > 1 and interval.low > least:
        return "holds"
    if seeds > 1 and interval.high < enough:
        return "does not hold"
    return f"undecided at {seeds} seed{'' if seeds == 1 else 's'}"


def judge(
    runs: pd.DataFrame, predictions: dict[str, Predictions], augmentations: dict[str, Any]
) -> list[Claim]:
    """Measure the claims that need no more than the models in `compare`.

    Args:
        runs: a row per run, as `results.runs_table` returns it.
        predictions: as `predictions.load` returns them.
        augmentations: by model, the key `augmentation` of `params.yaml`.
    """
    first, *others = predictions
    seeds = len(predictions[first].probabilities)
    by_model = {model: runs[runs["model"] == model] for model in predictions}

    def of_runs(measure: Callable[[pd.DataFrame], pd.Series]) -> dict[str, Interval]:
        """The mean over the seeds of how much less `measure` is than for the first model."""
        reference = measure(by_model[first]).to_numpy()
        return {
            model: over_seeds(reference - measure(by_model[model]).to_numpy()) for model in others
        }

    gap = over_seeds(by_model[first]["gap"].to_numpy())
    overfits = Claim(
        1,
        "The baseline overfits.",
        f"Does {first} know its training images better than new ones?",
        "Its gap: training minus test accuracy of the final weights in inference mode.",
        [Finding(first, "gap", gap, verdict=verdict(gap, seeds))],
    )

    shrinks = Claim(
        2,
        "Dropout and augmentation shrink the gap.",
        f"How much smaller is the gap than that of {first}, once both are measured alike?",
        "The difference of the gaps, paired by seed. The lesson's own gap shrinks by more where "
        "dropout and augmentation were on while Keras took the training accuracy: that part is "
        "mode bias.",
    )
    lesson_gap = of_runs(lambda table: table["lesson_gap"])
    mode_bias = of_runs(lambda table: table["mode_bias"])
    for model, less in of_runs(lambda table: table["gap"]).items():
        shrinks.findings.extend(
            [
                Finding(model, "the lesson's gap shrinks by", lesson_gap[model]),
                Finding(model, "of that, mode bias", negative(mode_bias[model])),
                Finding(model, "the gap shrinks by", less, verdict=verdict(less, seeds)),
            ]
        )

    hair = Claim(
        3,
        "Test accuracy is only a hair lower.",
        f"Is the loss of test accuracy against {first} at most "
        f"{100 * MAX_ACCURACY_LOSS:.0f} percentage points?",
        "The difference of the test accuracies, paired by seed and image.",
    )
    for model in others:
        reference, own = predictions[first].recognised, predictions[model].recognised
        loss = paired_interval(reference, own)
        within = Interval(
            MAX_ACCURACY_LOSS - loss.estimate,
            MAX_ACCURACY_LOSS - loss.high,
            MAX_ACCURACY_LOSS - loss.low,
        )
        hair.findings.append(
            Finding(model, "test accuracy lost", loss, verdict=verdict(within, seeds, enough=0.0))
        )
        p_values = [mcnemar(*pair) for pair in zip(reference, own, strict=True)]
        hair.notes.append(
            f"{model}: McNemar's exact test of each seed's two networks on the same images gives "
            f"{_range(p_values)}."
        )

    calibrated = Claim(
        7,
        "A small gap means honest numbers.",
        f"Are the stated probabilities closer to the truth than those of {first}?",
        "The expected calibration error on the test images, over 15 bins of equal mass; beside "
        "it the other scores and how far two estimates of the accuracy lie apart.",
    )
    honesty = {words: of_runs(measure) for words, measure in HONESTY.items()}
    for model, less in of_runs(lambda table: table["ece"]).items():
        calibrated.findings.append(
            Finding(model, "calibration error is lower by", less, verdict=verdict(less, seeds))
        )
        for words, closer in honesty.items():
            calibrated.findings.append(
                Finding(model, words, closer[model], points="accuracy" in words)
            )
    return [
        overfits,
        shrinks,
        hair,
        _degrades(predictions, augmentations, seeds),
        calibrated,
    ]


HONESTY: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "negative log-likelihood is lower by (nats)": lambda table: table["test_loss"],
    "Brier score is lower by": lambda table: table["brier"],
    "accuracy: validation and test lie closer by": lambda table: (
        table["val_accuracy"] - table["test_accuracy"]
    ).abs(),
    "accuracy: first and all test images lie closer by": lambda table: (
        table["test_accuracy"] - table["whole_test_accuracy"]
    ).abs(),
}


def _degrades(
    predictions: dict[str, Predictions], augmentations: dict[str, Any], seeds: int
) -> Claim:
    first, *others = predictions
    claim = Claim(
        4,
        "A small gap degrades gracefully under shift.",
        f"Is it better than {first} on corruptions that neither met in training?",
        "The difference in accuracy, averaged over the corruptions that are held out from both "
        "models' augmentation and over five severities, paired by seed and image. What "
        "augmentation showed in training is matched and stands apart.",
    )
    if not predictions[first].shifted.shape[-1]:
        claim.notes.append("Not measured: `robustness.test_size` is 0.")
        return claim
    for model in others:
        met = np.array(
            [
                any(is_matched(name, augmentations[one]) for one in (first, model))
                for name in CORRUPTIONS
            ]
        )
        own, reference = predictions[model], predictions[first]
        held_out = paired_interval(
            own.corrupted[:, ~met].mean(axis=(1, 2)), reference.corrupted[:, ~met].mean(axis=(1, 2))
        )
        kept = paired_interval(
            own.corrupted[:, ~met].mean(axis=(1, 2)) - own.clean,
            reference.corrupted[:, ~met].mean(axis=(1, 2)) - reference.clean,
        )
        claim.findings.extend(
            [
                Finding(
                    model,
                    "held-out corruptions: more accurate by",
                    held_out,
                    verdict=verdict(held_out, seeds),
                ),
                Finding(model, "held-out corruptions: loses less of its accuracy by", kept),
            ]
        )
        if met.any():
            matched = paired_interval(
                own.corrupted[:, met].mean(axis=(1, 2)),
                reference.corrupted[:, met].mean(axis=(1, 2)),
            )
            claim.findings.append(Finding(model, "matched corruptions: more accurate by", matched))
        moved = paired_interval(own.shifted.mean(axis=(1, 2)), reference.shifted.mean(axis=(1, 2)))
        claim.findings.append(Finding(model, "shifts up to 4 pixels: more accurate by", moved))
    return claim


def table(claims: list[Claim]) -> pd.DataFrame:
    """Return a row per finding: the claim's number, the model, what was measured, the verdict."""
    return pd.DataFrame(
        [
            {"claim": claim.number, "model": one.model, "measure": one.measure}
            | one.interval._asdict()
            | {"verdict": one.verdict}
            for claim in claims
            for one in claim.findings
        ]
    )


def over_seeds(values: np.ndarray) -> Interval:
    """Return the mean of a value per seed, with its 95 % t-interval."""
    return Interval(float(values.mean()), *t_interval(values))


def negative(interval: Interval) -> Interval:
    """Return the interval of the difference the other way round."""
    return Interval(-interval.estimate, -interval.high, -interval.low)


def _range(p_values: list[float]) -> str:
    low, high = f"{min(p_values):.2g}", f"{max(p_values):.2g}"
    return f"p = {low}" if low == high else f"p from {low} to {high}"
