"""Claims, the findings on them, and the verdicts that follow from the findings."""

from dataclasses import dataclass, field

import pandas as pd

from .statistics import Estimate, Interval

MARGIN = 0.01
"""The smallest difference that matters: one percentage point, or 0.01 of another measure. The claim
of a difference is not supported if the interval lies entirely below this."""

POINTS = ["judged", "panel", "model", "seed", "x", "y"]
"""The columns of `Claim.points`, a row per point: the model or models that the finding is on, the
panel of the figure, the model and seed that the point is of, and its coordinates."""

SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE = "supported", "not supported", "inconclusive"


@dataclass(frozen=True)
class Finding:
    """One number measured for a claim; where it has a verdict, a plus is what the claim says."""

    model: str
    measure: str
    interval: Interval
    """A share of the images or a difference of shares; losses and scores in their own units."""
    in_points: bool = True
    """Whether the report shows it in percentage points."""
    is_difference: bool = True
    """Whether the report shows its sign."""
    digits: int = 3
    """With how many decimals the report shows it, if not in percentage points."""
    verdict: str = ""
    """Empty if the number is only shown for context."""


@dataclass(frozen=True)
class Claim:
    """A claim of the lesson and the findings on it."""

    number: str
    """Its number in the report; parts have a letter."""
    claim: str
    """The claim in the words of the report."""
    question: str
    """The claim as a question that the measurement answers."""
    measure: str
    """What is measured, and how."""
    findings: list[Finding] = field(default_factory=list)
    details: list[Finding] = field(default_factory=list)
    """For claim 4, two for each judged model and held-out corruption: the gain on it, and the mean
    gain without it."""
    notes: list[str] = field(default_factory=list)
    missing: str = ""
    """What to add to `params.yaml` if the models are missing that the claim is about."""
    points: list[pd.DataFrame] = field(default_factory=list)
    """What the figure of the claim shows, as `models.ModelResults.points` returns it."""

    def verdict_on(self, model: str) -> str:
        """Return the verdict that all findings on a model have together; empty if none has one."""
        return combined(
            [each.verdict for each in self.findings if each.model == model and each.verdict]
        )


def verdict(estimate: Estimate, margin: float = MARGIN) -> str:
    """Decide whether a claim is supported.

    Args:
        estimate: of what the claim says is above 0.
        margin: the claim is supported if the whole interval lies above 0, and not supported if it
            lies below this, so that it rules out a difference that matters.

    Returns:
        "supported", "not supported" or "inconclusive at N seeds". With one seed, or if all seeds
        give the same value, nothing is known about other seeds, so there is no decision.
    """
    interval = estimate.interval
    n_seeds = estimate.degrees_of_freedom + 1
    if n_seeds > 1 and not estimate.has_spread:
        return f"{INCONCLUSIVE}: all seeds give the same value"
    if estimate.has_spread and interval.low > 0:
        return SUPPORTED
    if estimate.has_spread and interval.high < margin:
        return NOT_SUPPORTED
    return f"{INCONCLUSIVE} at {n_seeds} seed{'' if n_seeds == 1 else 's'}"


def combined(verdicts: list[str]) -> str:
    """Return the verdict on a claim that says several things at once; empty without any.

    It is supported if all of them are, and not supported if one of them is not. Otherwise it is
    the first of the other verdicts.
    """
    if NOT_SUPPORTED in verdicts:
        return NOT_SUPPORTED
    return next((verdict for verdict in verdicts if verdict != SUPPORTED), "".join(verdicts[:1]))


def points_table(claims: list[Claim]) -> pd.DataFrame:
    """Return what the figures of all claims show: `POINTS`, after a column with the claim."""
    tables = [
        of_models.assign(claim=claim.number) for claim in claims for of_models in claim.points
    ]
    columns = ["claim", *POINTS]
    return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)


def table(claims: list[Claim]) -> pd.DataFrame:
    """Return a row per finding or detail: claim, model, measure, interval and verdict."""
    columns = ["claim", "model", "measure", *Interval._fields, "verdict"]
    rows = [
        (claim.number, each.model, each.measure, *each.interval, each.verdict)
        for claim in claims
        for each in [*claim.findings, *claim.details]
    ]
    return pd.DataFrame(rows, columns=columns)
