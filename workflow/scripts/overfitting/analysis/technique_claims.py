"""Claims 5, 8, 11 and 13: what single techniques and the amount of data do to the gap."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from overfitting.evaluation.corruptions import CORRUPTIONS, is_matched

from . import measures
from .findings import Claim, Finding, verdict
from .measures import Measure
from .models import ModelResults, differing, regularizers
from .robustness_claim import by_image, gain
from .statistics import Estimate

MIN_SLOPE = 0.001
"""The smallest slope of the gap that matters, as a share: claims 8 and 11."""
RATE_STEP = 0.1
"""The step of the dropout rate for which claim 8 gives the change of the gap."""


def cause_of_robustness(models: list[ModelResults]) -> Claim:
    """Evaluate claim 5 on models with dropout, augmentation, both and neither."""
    claim = Claim(
        "5",
        "It is the small gap that makes the model robust.",
        "Does dropout, which shrinks the gap without showing shifted images, make it robust?",
        "The reduction of the gap, and the gain in accuracy on held-out corruptions: by dropout "
        "alone; by dropout and by augmentation, each the mean over models with and without the "
        "other; and their interaction, which is what the two do together beyond the sum of what "
        "each does alone. All are paired by seed and image. The claim needs dropout alone to do "
        "both.",
        missing="add `dropout_only` and `augmentation_only` to `compare`, with the same rates as "
        "a model that has both, and a model with neither",
    )
    for both in models:
        if not both.is_judged:
            continue
        corners = _corners(both, models)
        if corners is None:
            continue
        if not both.predictions.correct_shifted.shape[-1]:
            claim.notes.append("Not measured: `robustness.test_size` is 0.")
            break
        neither, dropout, augmentation = corners
        square = (neither, dropout, augmentation, both)
        augmented = both.settings["augmentation"]
        held_out = [name for name in CORRUPTIONS if not is_matched(name, augmented)]
        alone = measures.difference(neither.gap(), dropout.gap())
        claim.findings.append(
            Finding(
                both.name, "gap: reduction by dropout alone", alone.interval, verdict=verdict(alone)
            )
        )
        gaps = [model.gap() for model in square]
        claim.findings.extend(_effects(both.name, "gap: reduction", gaps, sign=-1.0))
        robust = gain(neither, dropout, held_out)
        claim.findings.append(
            Finding(
                both.name,
                "held-out accuracy: gain by dropout alone",
                robust.interval,
                verdict=verdict(robust),
            )
        )
        accuracies = [measures.mean_of(by_image(model, held_out)) for model in square]
        claim.findings.extend(_effects(both.name, "held-out accuracy: gain", accuracies))
        for panel, measured in {"gap": gaps, "held-out accuracy": accuracies}.items():
            for model, augments, measure in zip(square, (0, 0, 1, 1), measured, strict=True):
                claim.points.append(model.points(both.name, panel, augments, measure.by_seed))
    return claim


def lighter_dropout(models: list[ModelResults]) -> Claim:
    """Evaluate claim 8 on models that differ in their final dropout alone."""
    claim = Claim(
        "8",
        "A lighter final dropout lets it memorize more.",
        "Does the gap fall as the dropout rate before the classifier rises?",
        f"The reduction of the gap for each {RATE_STEP:g} of dropout: the slope of a straight line "
        "through the gaps, fitted for each seed. Less than 0.1 points counts as none.",
        missing="add `light_dropout` to `compare`, and a copy of `regularized` with another "
        "`dropout: {dense: …}`; three rates are needed",
    )
    for group in _groups(models, ("dropout", "dense")):
        rates = [model.settings["dropout"]["dense"] for model in group]
        if len(set(rates)) > 2 and all(model.is_judged for model in group):
            slope = _slope(rates, group, factor=-RATE_STEP)
            claim.points.extend(_gaps_at(rates, group))
            claim.findings.append(
                Finding(
                    _names(group),
                    f"reduction of the gap for each {RATE_STEP:g} of dropout",
                    slope.interval,
                    verdict=verdict(slope, margin=MIN_SLOPE),
                )
            )
    return claim


def less_data(models: list[ModelResults]) -> Claim:
    """Evaluate claim 11 on models without regularizers that differ in their images alone."""
    claim = Claim(
        "11",
        "Less data overfits more.",
        "Does the gap grow each time the training images are halved?",
        "The growth of the gap for each halving of the training images: the slope of a straight "
        "line through the gaps against the logarithm of their number, fitted for each seed. Less "
        "than 0.1 points counts as none.",
        missing="add copies of `baseline` with `training: {train_size: …}` to `compare`; three "
        "sizes are needed",
    )
    plain = [model for model in models if not regularizers(model.settings)]
    for group in _groups(plain, ("training", "train_size")):
        sizes = [float(np.log2(model.training["train_size"])) for model in group]
        if len(set(sizes)) > 2:
            slope = _slope(sizes, group, factor=-1.0)
            images = [model.training["train_size"] for model in group]
            claim.points.extend(_gaps_at(images, group))
            claim.findings.append(
                Finding(
                    _names(group),
                    "growth of the gap for each halving of the images",
                    slope.interval,
                    verdict=verdict(slope, margin=MIN_SLOPE),
                )
            )
    return claim


def vertical_flips(models: list[ModelResults]) -> Claim:
    """Evaluate claim 13 on models that differ in their flip alone."""
    claim = Claim(
        "13",
        "Vertical flips are the wrong augmentation.",
        "Is the model with vertical flips less accurate than the same with horizontal ones?",
        "The loss of test accuracy, paired by seed and image.",
        missing="add two models to `compare` that differ in `augmentation: {flip: …}` alone, "
        "`horizontal` and `vertical`",
    )
    for group in _groups(models, ("augmentation", "flip")):
        by_flip = {model.settings["augmentation"]["flip"]: model for model in group}
        if {"horizontal", "vertical"} <= set(by_flip):
            sides = [
                measures.mean_of(by_flip[flip].predictions.correct)
                for flip in ("horizontal", "vertical")
            ]
            loss = measures.difference(*sides)
            for place, (flip, side) in enumerate(
                zip(("horizontal", "vertical"), sides, strict=True)
            ):
                claim.points.append(
                    by_flip[flip].points(
                        by_flip["vertical"].name, "test accuracy", place, side.by_seed
                    )
                )
            claim.findings.append(
                Finding(
                    by_flip["vertical"].name,
                    f"loss of test accuracy against {by_flip['horizontal'].name}",
                    loss.interval,
                    verdict=verdict(loss),
                )
            )
    return claim


def _corners(
    both: ModelResults, models: list[ModelResults]
) -> tuple[ModelResults, ModelResults, ModelResults] | None:
    """Return the models with neither, with the dropout and with the augmentation of `both`."""
    alike = [model for model in models if model.training == both.training]
    found = []
    for wanted in (set(), {"dropout"}, {"augmentation"}):
        candidates = [
            model
            for model in alike
            if regularizers(model.settings) == wanted
            and all(model.settings[name] == both.settings[name] for name in wanted)
        ]
        if not candidates:
            return None
        found.append(candidates[0])
    return found[0], found[1], found[2]


def _effects(name: str, what: str, square: list[Measure], sign: float = 1.0) -> list[Finding]:
    """Return the main effects of two techniques and their interaction.

    Args:
        name: the model with both techniques.
        what: what the techniques change, named so that more is better.
        square: of the models with neither, the first, the second and both techniques.
        sign: -1 if less of what is measured is better, else 1.
    """
    weights = {
        " by dropout, mean effect": (-0.5, 0.5, -0.5, 0.5),
        " by augmentation, mean effect": (-0.5, -0.5, 0.5, 0.5),
        ", interaction": (1.0, -1.0, -1.0, 1.0),
    }
    return [
        Finding(
            name,
            what + label,
            measures.weighted(square, [sign * each for each in weight]).interval,
        )
        for label, weight in weights.items()
    ]


def _groups(models: list[ModelResults], setting: tuple[str, str]) -> list[list[ModelResults]]:
    """Return groups of two or more models that differ in one setting alone, in their order."""
    groups: list[list[ModelResults]] = []
    for model in models:
        for group in groups:
            if differing(group[0], model) <= {setting}:
                group.append(model)
                break
        else:
            groups.append([model])
    return [group for group in groups if len(group) > 1]


def _slope(places: list[float], group: list[ModelResults], factor: float) -> Estimate:
    """Return the slope of the gaps of models against their places, times a factor."""
    centred = np.array(places) - np.mean(places)
    weights = factor * centred / (centred**2).sum()
    return measures.weighted([model.gap() for model in group], weights.tolist())


def _gaps_at(places: Sequence[float], group: list[ModelResults]) -> list[pd.DataFrame]:
    """Return the points of a figure of the gaps of models against their places."""
    return [
        model.points(_names(group), "gap", place, model.gap().by_seed)
        for place, model in zip(places, group, strict=True)
    ]


def _names(group: list[ModelResults]) -> str:
    return ", ".join(model.name for model in group)
