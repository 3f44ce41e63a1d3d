"""Formats what was found on claims and exercises as tables."""

from collections.abc import Callable
from functools import partial

from overfitting.analysis.findings import Claim, Finding

from .exercises import Exercise
from .formatting import bounds, number, points, signed
from .tables import Table

MANY_MODELS = 4
"""With more models than these, tables of findings leave out those that have no verdict."""


def findings(claim: Claim) -> Table:
    """Format the findings on a claim, a row per finding on one of its `shown_models`."""
    return Table(
        ["model", "measured", "estimate", "95% interval", "verdict"],
        [
            [
                finding.model,
                finding.measure
                if not finding.in_points or "point" in finding.measure
                else f"{finding.measure} (points)",
                formatted(finding.interval.estimate),
                bounds(finding.interval, formatted),
                finding.verdict or "–",
            ]
            for finding in claim.findings
            if finding.model in shown_models(claim)
            for formatted in [shown_as(finding)]
        ],
    )


def shown_models(claim: Claim) -> list[str]:
    """Return the models whose findings are shown: all, or the judged ones where there are many."""
    models = list(dict.fromkeys(finding.model for finding in claim.findings))
    judged = list(dict.fromkeys(each.model for each in claim.findings if each.verdict))
    return judged if judged and len(models) > MANY_MODELS else models


def not_shown(claim: Claim) -> int:
    """Return how many models are only in the CSV table, not in those of the report."""
    models = {finding.model for finding in claim.findings}
    return len(models) - len(shown_models(claim))


def exercise(answered: Exercise) -> Table:
    """Format what was measured for an exercise beside the lesson's hint, a row per number."""
    return Table(
        ["model", "measured", "the lesson's hint", "estimate", "95% interval"],
        [
            [
                found.model,
                f"{found.measure} (points)" if found.in_points else found.measure,
                hint,
                shown_as(found)(found.interval.estimate),
                bounds(found.interval, shown_as(found)),
            ]
            for found, hint in answered.measured
        ],
    )


def shown_as(finding: Finding) -> Callable[[float], str]:
    """Return the function that formats the estimate of a finding and the bounds of its interval."""
    if finding.in_points:
        return points
    if finding.is_difference:
        return partial(signed, digits=finding.digits)
    return partial(number, digits=finding.digits)


def in_words(finding: Finding) -> str:
    """Return what was measured, its estimate and, in brackets, its interval."""
    formatted = shown_as(finding)
    unit = " points" if finding.in_points else ""
    estimate, interval = formatted(finding.interval.estimate), bounds(finding.interval, formatted)
    return f"{finding.measure}: {estimate}{unit} ({interval})"


def details(claim: Claim) -> Table:
    """Format the details of a claim, a row per judged model and held-out corruption.

    The models of `details_not_shown` are left out.
    """
    left_out = details_not_shown(claim)
    pairs = zip(claim.details[::2], claim.details[1::2], strict=True)
    return Table(
        ["model", "measured (points)", "estimate", "95% interval", "mean gain without it"],
        [
            [
                own.model,
                own.measure.replace("_", " "),
                points(own.interval.estimate),
                bounds(own.interval),
                points(without.interval.estimate),
            ]
            for own, without in pairs
            if own.model not in left_out
        ],
    )


def details_not_shown(claim: Claim) -> list[str]:
    """Return the judged models whose details are only in the CSV table: where many, all but one."""
    models = list(dict.fromkeys(detail.model for detail in claim.details))
    return models[1:] if len(models) > MANY_MODELS else []


def verdicts(claims: list[Claim]) -> Table:
    """Format the verdict on each claim: that on the first model which the claim is about.

    Without such a model, it says what to add to `params.yaml`.
    """
    rows = []
    for claim in claims:
        judged = next((each.model for each in claim.findings if each.verdict), None)
        decision = claim.verdict_on(judged) if judged else "not measured"
        deciding = [each for each in claim.findings if each.model == judged and each.verdict]
        measured = "; ".join(map(in_words, deciding))
        # A note says why a claim is not measured although its models are there.
        missing = f"To measure it, {claim.missing}." if not claim.notes else claim.notes[0]
        rows.append([claim.number, claim.claim, judged or "–", measured or missing, decision])
    return Table(["claim", "it says", "judged by", "measured (95% interval)", "verdict"], rows)
