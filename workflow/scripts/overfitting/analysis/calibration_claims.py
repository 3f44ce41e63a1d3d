"""Claims 7a to 7c: whether a small gap means honest numbers."""

from . import measures
from .findings import MARGIN, Claim, Finding
from .models import Pair


def calibrated(pairs: list[Pair]) -> Claim:
    """Evaluate claim 7a: each model against the reference."""
    claim = Claim(
        "7a",
        "A small gap means honest numbers: confidence matches how often the model is right.",
        "Is the calibration error smaller than without regularizers?",
        "The reduction of the debiased calibration error on the test images: the root mean square "
        "distance between confidence and accuracy over 15 bins of equally many images, without "
        "what chance adds to it. Overconfidence is the mean confidence minus the accuracy.",
    )
    for reference, model in pairs:
        sides = (reference, model)
        reduction = measures.difference(
            *(measures.calibration_error(*side.predictions.labelled) for side in sides)
        )
        for side in sides:
            overconfidence = measures.overconfidence(*side.predictions.labelled).estimate()
            claim.findings.append(
                Finding(model.name, f"overconfidence of {side.name}", overconfidence.interval)
            )
        claim.findings.append(
            Finding(
                model.name,
                "reduction of the calibration error",
                reduction.interval,
                verdict=model.verdict(reduction),
            )
        )
    return claim


def honest_estimates(pairs: list[Pair]) -> Claim:
    """Evaluate claim 7b: each model against the reference."""
    points = f"{100 * MARGIN:g} point"
    claim = Claim(
        "7b",
        "A small gap means honest numbers: the test number means what it says.",
        "Do two estimates of the same accuracy lie no farther apart than without regularizers?",
        "Two distances: between the accuracies on the validation and on the test images, and "
        "between those on the test images used here, the first of the test set, and on the whole "
        "test set. For each, the margin before it is "
        f"{points} larger than that of the reference.",
    )
    if any(model.predictions.tests_all_images for _, model in pairs):
        claim.notes.append(
            "The models are tested on the whole test set, so only the distance between validation "
            "and test is measured."
        )
    for reference, model in pairs:
        both = (reference.predictions, model.predictions)
        distances = {
            "validation and test": [
                measures.distance(side.correct_validation, side.correct) for side in both
            ]
        }
        if not model.predictions.tests_all_images:
            distances["first and all test images"] = [
                measures.distance_to_all(side.correct_whole_test, len(side.labels)) for side in both
            ]
        for name, sides in distances.items():
            reduction = measures.difference(*sides)
            left = measures.plus(reduction, MARGIN)
            claim.findings.extend(
                [
                    Finding(model.name, f"{name}: reduction of the distance", reduction.interval),
                    Finding(
                        model.name,
                        f"{name}: margin before the distance grows by {points}",
                        left.interval,
                        verdict=model.verdict(left, margin=0.0),
                    ),
                ]
            )
    return claim


def truthful_probabilities(pairs: list[Pair]) -> Claim:
    """Evaluate claim 7c: each model against the reference."""
    claim = Claim(
        "7c",
        "A small gap means honest numbers: stated probabilities are closer to the truth.",
        "Are the proper scores, which judge all stated probabilities, better than without "
        "regularizers?",
        "The reductions of the Brier score (0 to 2) and of the negative log-likelihood (nats) on "
        "the test images, paired by seed and image.",
    )
    for reference, model in pairs:
        for name, measure in (
            ("Brier score", measures.brier_score),
            ("negative log-likelihood (nats)", measures.test_loss),
        ):
            reduction = measures.difference(
                *(measure(*side.predictions.labelled) for side in (reference, model))
            )
            claim.findings.append(
                Finding(
                    model.name,
                    f"reduction of the {name}",
                    reduction.interval,
                    in_points=False,
                    verdict=model.verdict(reduction),
                )
            )
    return claim
