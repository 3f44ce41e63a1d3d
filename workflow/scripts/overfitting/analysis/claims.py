"""Tests the claims of the lesson that this project follows against the results of the runs.

Each claim is turned into a measurement that can contradict it. The first model in `compare` is
the reference; every other model is compared with it on the same seeds and images. Verdicts are
derived from the confidence intervals and the number of seeds alone.
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
"""The smallest difference that matters: one percentage point, or 0.01 of another measure. The claim
of a difference does not hold if the interval lies entirely below this."""
MAX_ACCURACY_LOSS = 0.02
"""The largest loss of test accuracy, as a share, that still counts as "a hair lower"."""

CALIBRATION_MEASURES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "negative log-likelihood is lower by (nats)": lambda table: table["test_loss"],
    "Brier score is lower by": lambda table: table["brier"],
    "accuracy: validation and test lie closer by": lambda table: (
        table["val_accuracy"] - table["test_accuracy"]
    ).abs(),
    "accuracy: first and all test images lie closer by": lambda table: (
        table["test_accuracy"] - table["whole_test_accuracy"]
    ).abs(),
}
"""What is reported alongside the calibration error: by its label in the report, a function from the
runs of one model to a value per run, where lower is better."""


@dataclass(frozen=True)
class Finding:
    """One number measured for a claim."""

    model: str
    measure: str
    interval: Interval
    """A share of the images or a difference of shares; losses and scores in their own units."""
    in_points: bool = True
    """Whether the report shows it in percentage points."""
    verdict: str = ""
    """Empty if the number is only shown for context."""


@dataclass(frozen=True)
class Claim:
    """A claim of the lesson and the findings on it."""

    number: int
    """Its number in the report, which counts `OTHER_CLAIMS` too."""
    claim: str
    """The claim in the words of the report."""
    question: str
    """The claim as a question that the measurement answers."""
    measure: str
    """What is measured, and how."""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verdict(interval: Interval, n_seeds: int, margin: float = MARGIN) -> str:
    """Decide whether a claimed difference exists.

    Args:
        interval: of the difference, positive in the direction of the claim.
        n_seeds: the number of seeds behind the interval. A single seed is never enough for a
            decision, as it says nothing about the variation between seeds.
        margin: the claim holds if the whole interval lies above 0, and does not hold if it lies
            below this.

    Returns:
        "holds", "does not hold" or "undecided at N seeds".
    """
    if n_seeds > 1 and interval.low > 0:
        return "holds"
    if n_seeds > 1 and interval.high < margin:
        return "does not hold"
    return f"undecided at {n_seeds} seed{'' if n_seeds == 1 else 's'}"


def evaluate(
    runs: pd.DataFrame, predictions: dict[str, Predictions], augmentations: dict[str, Any]
) -> list[Claim]:
    """Evaluate the claims that can be tested with any models in `compare`.

    With one model, the claims that compare models have no findings.

    Args:
        runs: a row per run, as `results.runs_table` returns it.
        predictions: by model, as `predictions.load` returns them; the first model is the
            reference.
        augmentations: by model, the value of its key `augmentation` in `params.yaml`.
    """
    reference, *others = predictions
    n_seeds = len(predictions[reference].probabilities)
    runs_by_model = {model: runs[runs["model"] == model] for model in predictions}

    def reductions(measure: Callable[[pd.DataFrame], pd.Series]) -> dict[str, Interval]:
        """Return by model how much lower `measure` is than for the reference, over the seeds."""
        reference_values = measure(runs_by_model[reference]).to_numpy()
        return {
            model: mean_interval(reference_values - measure(runs_by_model[model]).to_numpy())
            for model in others
        }

    gap = mean_interval(runs_by_model[reference]["gap"].to_numpy())
    overfitting = Claim(
        1,
        "The baseline overfits.",
        f"Does {reference} know its training images better than new ones?",
        "Its gap: training minus test accuracy of the final weights in inference mode.",
        [Finding(reference, "gap", gap, verdict=verdict(gap, n_seeds))],
    )

    smaller_gap = Claim(
        2,
        "Dropout and augmentation shrink the gap.",
        f"How much smaller is the gap than that of {reference}, once both are measured alike?",
        "The difference of the gaps, paired by seed. The lesson's own gap shrinks by more where "
        "dropout and augmentation were on while Keras took the training accuracy: that part is "
        "mode bias.",
    )
    lesson_gap_reductions = reductions(lambda table: table["lesson_gap"])
    mode_bias_reductions = reductions(lambda table: table["mode_bias"])
    for model, reduction in reductions(lambda table: table["gap"]).items():
        smaller_gap.findings.extend(
            [
                Finding(model, "the lesson's gap shrinks by", lesson_gap_reductions[model]),
                Finding(model, "of that, mode bias", negated(mode_bias_reductions[model])),
                Finding(
                    model, "the gap shrinks by", reduction, verdict=verdict(reduction, n_seeds)
                ),
            ]
        )

    accuracy_loss = Claim(
        3,
        "Test accuracy is only a hair lower.",
        f"Is the loss of test accuracy against {reference} at most "
        f"{100 * MAX_ACCURACY_LOSS:.0f} percentage points?",
        "The difference of the test accuracies, paired by seed and image.",
    )
    for model in others:
        reference_correct, correct = predictions[reference].correct, predictions[model].correct
        loss = paired_interval(reference_correct, correct)
        below_maximum = Interval(
            MAX_ACCURACY_LOSS - loss.estimate,
            MAX_ACCURACY_LOSS - loss.high,
            MAX_ACCURACY_LOSS - loss.low,
        )
        accuracy_loss.findings.append(
            Finding(
                model,
                "test accuracy lost",
                loss,
                verdict=verdict(below_maximum, n_seeds, margin=0.0),
            )
        )
        p_values = [mcnemar(*pair) for pair in zip(reference_correct, correct, strict=True)]
        accuracy_loss.notes.append(
            f"{model}: McNemar's exact test of each seed's two networks on the same images gives "
            f"{_p_value_range(p_values)}."
        )

    calibration = Claim(
        7,
        "A small gap means honest numbers.",
        f"Are the stated probabilities closer to the truth than those of {reference}?",
        "The expected calibration error on the test images, over 15 bins of equal mass; beside "
        "it the other scores and how far two estimates of the accuracy lie apart.",
    )
    other_reductions = {
        label: reductions(measure) for label, measure in CALIBRATION_MEASURES.items()
    }
    for model, reduction in reductions(lambda table: table["ece"]).items():
        calibration.findings.append(
            Finding(
                model,
                "calibration error is lower by",
                reduction,
                verdict=verdict(reduction, n_seeds),
            )
        )
        for label, by_model in other_reductions.items():
            calibration.findings.append(
                Finding(model, label, by_model[model], in_points="accuracy" in label)
            )
    return [
        overfitting,
        smaller_gap,
        accuracy_loss,
        _robustness(predictions, augmentations, n_seeds),
        calibration,
    ]


def _robustness(
    predictions: dict[str, Predictions], augmentations: dict[str, Any], n_seeds: int
) -> Claim:
    reference, *others = predictions
    claim = Claim(
        4,
        "A small gap degrades gracefully under shift.",
        f"Is it better than {reference} on corruptions that neither met in training?",
        "The difference in accuracy, averaged over the corruptions that are held out from both "
        "models' augmentation and over five severities, paired by seed and image. What "
        "augmentation showed in training is matched and stands apart.",
    )
    if not predictions[reference].correct_shifted.shape[-1]:
        claim.notes.append("Not measured: `robustness.test_size` is 0.")
        return claim
    for model in others:
        pair = predictions[model], predictions[reference]
        matched = np.array(
            [
                any(is_matched(name, augmentations[either]) for either in (model, reference))
                for name in CORRUPTIONS
            ]
        )
        held_out_accuracies = [
            each.correct_corrupted[:, ~matched].mean(axis=(1, 2)) for each in pair
        ]
        held_out = paired_interval(*held_out_accuracies)
        smaller_loss = paired_interval(
            *(
                accuracy - each.correct_clean
                for accuracy, each in zip(held_out_accuracies, pair, strict=True)
            )
        )
        claim.findings.extend(
            [
                Finding(
                    model,
                    "held-out corruptions: more accurate by",
                    held_out,
                    verdict=verdict(held_out, n_seeds),
                ),
                Finding(model, "held-out corruptions: loses less of its accuracy by", smaller_loss),
            ]
        )
        if matched.any():
            on_matched = paired_interval(
                *(each.correct_corrupted[:, matched].mean(axis=(1, 2)) for each in pair)
            )
            claim.findings.append(
                Finding(model, "matched corruptions: more accurate by", on_matched)
            )
        on_shifted = paired_interval(*(each.correct_shifted.mean(axis=(1, 2)) for each in pair))
        claim.findings.append(Finding(model, "shifts up to 4 pixels: more accurate by", on_shifted))
    return claim


def table(claims: list[Claim]) -> pd.DataFrame:
    """Return a row per finding: number of the claim, model, measure, interval and verdict."""
    return pd.DataFrame(
        [
            {"claim": claim.number, "model": finding.model, "measure": finding.measure}
            | finding.interval._asdict()
            | {"verdict": finding.verdict}
            for claim in claims
            for finding in claim.findings
        ]
    )


def mean_interval(values: np.ndarray) -> Interval:
    """Return the mean of `values`, one per seed, with its 95 % t-interval."""
    return Interval(float(values.mean()), *t_interval(values))


def negated(interval: Interval) -> Interval:
    """Return the interval of the difference with the opposite sign."""
    return Interval(-interval.estimate, -interval.high, -interval.low)


def _p_value_range(p_values: list[float]) -> str:
    low, high = f"{min(p_values):.2g}", f"{max(p_values):.2g}"
    return f"p = {low}" if low == high else f"p from {low} to {high}"
