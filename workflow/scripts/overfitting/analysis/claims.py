"""Tests the thirteen claims of the lesson that this project follows against the results.

Each claim is turned into a measurement that can contradict it. The reference is the model without
any regularizer; every other model is compared with it on the same seeds and images. Verdicts follow
from the intervals alone. The lesson speaks of a model with dropout and augmentation: other models
are shown beside it, without a verdict.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from . import measures, models
from .calibration_claims import calibrated, honest_estimates, truthful_probabilities
from .findings import Claim, Finding, verdict
from .measures import Measure
from .models import ModelResults, Pair
from .prediction_claim import gap_predicts
from .robustness_claim import graceful
from .statistics import mcnemar
from .technique_claims import cause_of_robustness, less_data, lighter_dropout, vertical_flips
from .training_claims import batch_normalization, early_stopping, headroom

MAX_ACCURACY_LOSS = 0.02
"""The largest loss of test accuracy, as a share, that still counts as "a hair lower"."""
DIETTERICH = "https://doi.org/10.1162/089976698300017197"
"""Dietterich 1998, on tests of two classifiers; the full reference is at `statistics.mcnemar`."""


def evaluate(compared: Mapping[str, ModelResults], reference_name: str | None) -> list[Claim]:
    """Evaluate the claims that a reference and models with regularizers can answer.

    Without a reference, no claim has findings; without other models, only the first has.

    Args:
        compared: the results of each model by its name, as `models.by_name` returns them.
        reference_name: as `models.reference` returns it.
    """
    models_here = list(compared.values())
    reference = compared[reference_name] if reference_name else None
    pairs = models.pairs(reference, models_here) if reference else []
    missing = (
        "add a model with dropout and augmentation to `compare`, such as `regularized`"
        if reference
        else "add a model without regularizers to `compare`, such as `baseline`"
    )
    all_claims = [
        overfits(reference),
        smaller_gap(pairs),
        small_accuracy_loss(pairs),
        graceful(pairs),
        cause_of_robustness(models_here),
        headroom(models_here),
        calibrated(pairs),
        honest_estimates(pairs),
        truthful_probabilities(pairs),
        lighter_dropout(models_here),
        early_stopping(models_here),
        batch_normalization(models_here),
        less_data(models_here),
        gap_predicts(models_here),
        vertical_flips(models_here),
    ]
    return [claim if claim.missing else replace(claim, missing=missing) for claim in all_claims]


def overfits(reference: ModelResults | None) -> Claim:
    """Evaluate claim 1."""
    claim = Claim(
        "1",
        "The baseline overfits.",
        "Does the model without regularizers know its training images better than new ones?",
        "Its gap: training minus test accuracy of the final weights in inference mode.",
    )
    if reference:
        gap = reference.gap().estimate()
        claim.findings.append(Finding(reference.name, "gap", gap.interval, verdict=verdict(gap)))
    return claim


def smaller_gap(pairs: list[Pair]) -> Claim:
    """Evaluate claim 2: each model against the reference."""
    claim = Claim(
        "2",
        "Dropout and augmentation shrink the gap.",
        "How much smaller is the gap than without them, once both are measured alike?",
        "The reduction of the gap, paired by seed. The lesson's gap shrinks by more, for two "
        "reasons: it averages the training accuracy over the epoch, while the weights still "
        "change, and with dropout and augmentation active. Both parts are measured apart.",
    )
    for reference, model in pairs:
        reduction = measures.difference(reference.gap(), model.gap())
        lesson_gap = measures.difference(
            reference.gap("printed_train_accuracy"), model.gap("printed_train_accuracy")
        )
        parts = [
            measures.difference(_column(model, name), _column(reference, name))
            for name in ("running_average_part", "train_mode_part")
        ]
        claim.findings.extend(
            [
                Finding(model.name, "reduction of the lesson's gap", lesson_gap.interval),
                Finding(model.name, "of that, from the running average", parts[0].interval),
                Finding(model.name, "of that, from train mode", parts[1].interval),
                Finding(
                    model.name,
                    "reduction of the gap",
                    reduction.interval,
                    verdict=model.verdict(reduction),
                ),
            ]
        )
    return claim


def small_accuracy_loss(pairs: list[Pair]) -> Claim:
    """Evaluate claim 3: each model against the reference."""
    points = f"{100 * MAX_ACCURACY_LOSS:.0f} points"
    claim = Claim(
        "3",
        "Test accuracy is only a hair lower.",
        f"Is the loss of test accuracy less than {points}?",
        f"The change of test accuracy, paired by seed and image, and the margin before the loss "
        f"reaches {points}.",
    )
    for reference, model in pairs:
        sides = [measures.mean_of(side.predictions.correct) for side in (model, reference)]
        change = measures.difference(*sides)
        left = measures.plus(change, MAX_ACCURACY_LOSS)
        claim.findings.extend(
            [
                Finding(model.name, "change of test accuracy", change.interval),
                Finding(
                    model.name,
                    f"margin before the loss reaches {points}",
                    left.interval,
                    verdict=model.verdict(left, margin=0.0),
                ),
            ]
        )
    judged = [pair for pair in pairs if pair[1].is_judged]
    if judged:
        claim.notes.append(_mcnemar_note(judged, points))
    return claim


def _column(model: ModelResults, name: str) -> Measure:
    """Return a column of the table that no test image enters."""
    return measures.over_seeds(model.table[name].to_numpy(), measures.SIGNED_SHARE)


def _mcnemar_note(judged: list[Pair], points: str) -> str:
    found = []
    for reference, model in judged:
        sides = (reference.predictions.correct, model.predictions.correct)
        p_values = [mcnemar(*seed) for seed in zip(*sides, strict=True)]
        low, high = f"{np.min(p_values):.2g}", f"{np.max(p_values):.2g}"
        p_range = f"p = {low}" if low == high else f"p from {low} to {high}"
        found.append(f"{p_range} for {model.name}")
    return (
        f"[McNemar's exact test]({DIETTERICH}), of each seed's two networks, gives "
        f"{', '.join(found)}. It asks whether these two networks differ at all in accuracy. The "
        f"verdict asks something else: whether the loss is less than {points} for seeds and images "
        "in general. A small p therefore does not contradict a supported claim."
    )
