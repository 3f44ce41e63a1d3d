"""Claim 4: whether a small gap makes a model degrade gracefully on images that are shifted."""

from collections.abc import Sequence

import numpy as np

from overfitting.evaluation.corruptions import CORRUPTIONS, is_matched

from . import measures
from .findings import INCONCLUSIVE, Claim, Finding, verdict
from .models import ModelResults, Pair
from .statistics import Estimate

DEPENDS = "depends on the corruptions"
SET_APART = ("brightness", "contrast")
"""The corruptions that carried the result of the project's first runs; left out once."""


def graceful(pairs: list[Pair]) -> Claim:
    """Evaluate claim 4: each model against the reference."""
    claim = Claim(
        "4",
        "A small gap degrades gracefully under shift.",
        "Is it more accurate on corruptions that neither it nor the reference met in training?",
        "The gain in accuracy, averaged over the held-out corruptions and five severities, paired "
        "by seed and image. A verdict stands only if it is the same without the one or two "
        "corruptions that carry most of this mean. Matched corruptions, which augmentation showed "
        "in training, stand apart.",
    )
    if any(not reference.predictions.correct_shifted.shape[-1] for reference, _ in pairs):
        claim.notes.append("Not measured: `robustness.test_size` is 0.")
        return claim
    for pair in pairs:
        findings, details = _findings(*pair)
        claim.findings.extend(findings)
        claim.details.extend(details if pair[1].is_judged else [])
    return claim


def gain(reference: ModelResults, model: ModelResults, names: Sequence[str]) -> Estimate:
    """Return how much more accurate `model` is than the reference on the named corruptions."""
    sides = [measures.mean_of(by_image(side, names)) for side in (model, reference)]
    return measures.difference(*sides)


def verdict_over_corruptions(overall: Estimate, reduced: Sequence[Estimate]) -> str:
    """Decide whether a mean over corruptions is above 0, whichever corruptions are chosen.

    Args:
        overall: the mean over all of them.
        reduced: the same without the one or two corruptions that carry most of it.

    Returns:
        As `findings.verdict`, or `DEPENDS` if that is a decision for the mean over all, but another
        one, or none, for a reduced mean.
    """
    decision = verdict(overall)
    if decision.startswith(INCONCLUSIVE) or all(verdict(each) == decision for each in reduced):
        return decision
    return DEPENDS


def _findings(reference: ModelResults, model: ModelResults) -> tuple[list[Finding], list[Finding]]:
    """Return the findings on a model, and two details for each held-out corruption."""
    augmentations = [side.settings["augmentation"] for side in (model, reference)]
    matched = [
        name for name in CORRUPTIONS if any(is_matched(name, each) for each in augmentations)
    ]
    held_out = [name for name in CORRUPTIONS if name not in matched]
    by_corruption = {name: gain(reference, model, [name]) for name in held_out}
    overall = gain(reference, model, held_out)

    def without(*names: str) -> Estimate:
        return gain(reference, model, [name for name in held_out if name not in names])

    most_weight_first = sorted(
        held_out, key=lambda name: by_corruption[name].value, reverse=overall.value > 0
    )
    first_two = tuple(name for name in held_out if name in most_weight_first[:2])
    decision = verdict_over_corruptions(
        overall, [without(most_weight_first[0]), without(*first_two)]
    )
    sides = (model, reference)
    shifted = [
        measures.mean_of(side.predictions.correct_shifted.mean(axis=(1, 2))) for side in sides
    ]
    lost = [
        measures.mean_of(
            by_image(side, held_out) - side.predictions.correct_clean, measures.SIGNED_SHARE
        )
        for side in sides
    ]
    context = {
        f"the same without {' and '.join(names)}".replace("_", " "): without(*names)
        for names in (first_two, SET_APART)
    } | {
        "gain on held-out corruptions minus gain on the same images uncorrupted": (
            measures.difference(*lost)
        ),
        "gain on shifts up to 4 pixels": measures.difference(*shifted),
    }
    if matched:
        context["gain on matched corruptions"] = gain(reference, model, matched)
    findings = [
        Finding(
            model.name,
            f"gain on the {len(held_out)} held-out corruptions",
            overall.interval,
            verdict=decision if model.is_judged else "",
        ),
        *(Finding(model.name, measure, each.interval) for measure, each in context.items()),
    ]
    details = [
        finding
        for name, estimate in by_corruption.items()
        for finding in (
            Finding(model.name, f"gain on {name}", estimate.interval),
            Finding(model.name, f"gain on held-out without {name}", without(name).interval),
        )
    ]
    return findings, details


def by_image(model: ModelResults, names: Sequence[str]) -> np.ndarray:
    """Return the accuracy on each image over the named corruptions and all severities, S×N."""
    chosen = [number for number, name in enumerate(CORRUPTIONS) if name in names]
    return model.predictions.correct_corrupted[:, chosen].mean(axis=(1, 2))
