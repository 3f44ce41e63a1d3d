"""Formats results as tables and sentences, for the report and the terminal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from overfitting.analysis.claims import Claim, negated
from overfitting.analysis.other_claims import OTHER_CLAIMS
from overfitting.analysis.statistics import Interval
from overfitting.evaluation.corruptions import CORRUPTIONS

from .formatting import bounds, points, share, signed


@dataclass(frozen=True)
class Table:
    """A table whose cells are formatted as text."""

    header: list[str]
    rows: list[list[str]]


def markdown_table(table: Table) -> str:
    """Return a table as Markdown; columns of numbers are aligned right, all others left.

    The first column holds the row headers and is always aligned left.
    """
    alignments = [
        "---:" if all(cell[:1].isdigit() or cell[:1] in "+−–" for cell in column) else "---"
        for _, *column in zip(table.header, *table.rows, strict=True)
    ]
    lines = [
        "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
        for cells in [table.header, *table.rows]
    ]
    lines.insert(1, "|" + "|".join(["---", *alignments[1:]]) + "|")
    return "\n".join(lines)


def gap_table(gaps: pd.DataFrame) -> Table:
    """Format the table that `results.gap_table` returns, a row per model."""
    columns: dict[str, Callable[[Any], str]] = {
        "model": lambda row: row.model,
        "training accuracy": lambda row: share(row.train_accuracy),
        "test accuracy": lambda row: share(row.test_accuracy),
        "gap": lambda row: signed(row.gap),
        "spread over seeds": lambda row: share(row.gap_sd),
        "95 % interval of the gap": lambda row: bounds(
            Interval(row.gap, row.gap_low, row.gap_high), signed
        ),
        "printed training accuracy": lambda row: share(row.printed_train_accuracy),
        "lesson's gap": lambda row: signed(row.lesson_gap),
        "mode bias": lambda row: signed(row.mode_bias),
        "the lesson reports: training / test / gap": lambda row: (
            "–"
            if pd.isna(row.reported_gap)
            else f"{share(row.reported_train_accuracy)} / {share(row.reported_test_accuracy)} / "
            f"{signed(row.reported_gap)}"
        ),
        "epochs run (best)": lambda row: f"{row.epochs_run:.1f} ({row.best_epoch:.1f})",
    }
    return Table(
        header=list(columns),
        rows=[[cell(row) for cell in columns.values()] for row in gaps.itertuples()],
    )


def findings(claim: Claim) -> Table:
    """Format the findings on a claim, a row per finding."""
    return Table(
        ["model", "measured", "estimate", "95 % interval", "verdict"],
        [
            [
                finding.model,
                f"{finding.measure} (points)" if finding.in_points else finding.measure,
                formatted(finding.interval.estimate),
                bounds(finding.interval, formatted),
                finding.verdict,
            ]
            for finding in claim.findings
            for formatted in [points if finding.in_points else signed]
        ],
    )


def other_claims(compare: list[str]) -> Table:
    """List what testing each of `OTHER_CLAIMS` needs beyond the models in `compare`."""
    rows = []
    for claim in OTHER_CLAIMS:
        missing = ", ".join(f"`{entry}`" for entry in claim.missing(compare))
        needs = [f"add {missing} to `compare`"] if missing else []
        needs += [claim.advice] if claim.advice else []
        rows.append(
            [str(claim.number), claim.claim, ", and ".join(needs) or "nothing: all are compared"]
        )
    return Table(["claim", "it says", "to look into it"], rows)


def calibration(gaps: pd.DataFrame) -> Table:
    """Format the calibration scores, a row per model: means over its seeds.

    Args:
        gaps: as `results.gap_table` returns it.
    """
    names = ["ece", "test_loss", "brier", "val_accuracy", "test_accuracy", "whole_test_accuracy"]
    return Table(
        ["model", "ECE", "NLL", "Brier score"]
        + [f"accuracy: {part}" for part in ("validation", "test", "whole test set")],
        [[row["model"], *(share(row[name]) for name in names)] for row in gaps.to_dict("records")],
    )


def corruptions(table: pd.DataFrame, errors: pd.DataFrame) -> Table:
    """Format the accuracy under each corruption, a row per corruption.

    Without corrupted images the table has no rows.

    Args:
        table: as `predictions.corruption_table` returns it.
        errors: as `predictions.corruption_errors` returns it.
    """
    if table.empty:
        return Table(["corruption"], [])
    models = list(table["model"].unique())
    clean = dict(table[table["severity"] == 0].groupby("model")["accuracy"].mean())
    corrupted = dict(
        table[table["severity"] > 0].groupby(["model", "corruption"])["accuracy"].mean()
    )
    matched = table.groupby(["corruption", "model"], sort=False)["matched"].first()
    error = errors.set_index(["model", "corruption"])["error"]
    header = ["corruption", "matched for"]
    header += [f"{model}: accuracy lost (points)" for model in models]
    header += [f"{model}: CE" for model in models[1:]]
    rows = []
    for name in CORRUPTIONS:
        rows.append(
            [name.replace("_", " "), ", ".join(m for m in models if matched[(name, m)]) or "none"]
            + [points(clean[model] - corrupted[(model, name)]) for model in models]
            + [share(error[(model, name)]) for model in models[1:]]
        )
    for name in ("mCE", "mCE, held out"):
        rows.append(
            [name, "", *[""] * len(models), *(share(error[(model, name)]) for model in models[1:])]
        )
    return Table(header, rows)


def settings(runs: list[dict[str, Any]]) -> Table:
    """Format the settings that each model was trained with, a row per model.

    Args:
        runs: as `results.load_runs` returns them.
    """

    def cell(value: Any) -> str:
        if isinstance(value, dict):
            parts = {key: cell(part) for key, part in value.items()}
            return ", ".join(f"{key} {part}" for key, part in parts.items() if part != "–") or "–"
        return "–" if value in (None, False, 0.0) else "yes" if value is True else str(value)

    by_model = {run["model"]: run["model_settings"] | run["training"] for run in runs}
    names = list(next(iter(by_model.values())))
    return Table(
        ["model", *(name.replace("_", " ") for name in names)],
        [[model, *(cell(own[name]) for name in names)] for model, own in by_model.items()],
    )


def pairs(header: tuple[str, str], values: Mapping[str, Any]) -> Table:
    """Format a mapping as a table of two columns, its keys and its values."""
    return Table(list(header), [[name, str(value)] for name, value in values.items()])


def answer(claims: list[Claim], gaps: pd.DataFrame) -> list[str]:
    """Return the summary at the top of the report: up to three sentences.

    They say how much the first model in `compare` overfits, how much `regularized` does (or the
    second model, if `regularized` is not compared), and how the latter changes the test accuracy
    and the robustness. With one model, only the first sentence is returned.

    Args:
        claims: as `claims.evaluate` returns them.
        gaps: as `results.gap_table` returns it.
    """
    findings_by_claim = {
        claim.number: {finding.model: finding for finding in claim.findings if finding.verdict}
        for claim in claims
    }
    [(first, gap)] = findings_by_claim[1].items()
    seeds = int(gaps["seeds"].iloc[0])
    sentences = [
        f"**{first}** has a gap of {points(gap.interval.estimate)} percentage points between the "
        f"accuracies on its training images and on new ones ({_interval(gap.interval)}, {seeds} "
        f"seed{'' if seeds == 1 else 's'}): the claim that it overfits {_verdict(gap.verdict)}."
    ]
    if not findings_by_claim[2]:
        return sentences
    model = (
        "regularized" if "regularized" in findings_by_claim[2] else next(iter(findings_by_claim[2]))
    )
    smaller_gap, accuracy_loss = findings_by_claim[2][model], findings_by_claim[3][model]
    robustness = findings_by_claim[4].get(model)
    row = {row["model"]: row for row in gaps.to_dict("records")}[model]
    sentences.append(
        f"The gap of **{model}** is {points(row['gap'])} points. Compared with {first}, it changes "
        f"by {points(-smaller_gap.interval.estimate)} points "
        f"({_interval(negated(smaller_gap.interval))}): the claim that it is smaller "
        f"{_verdict(smaller_gap.verdict)}. With the training accuracy that Keras prints, which the "
        f"lesson takes, the gap would be {points(row['lesson_gap'])}; the difference of "
        f"{points(row['mode_bias'])} points is called mode bias below."
    )
    sentence = (
        f"Its test accuracy differs by {points(-accuracy_loss.interval.estimate)} points "
        f"({_interval(negated(accuracy_loss.interval))}): the claim that it is only a hair lower "
        f"{_verdict(accuracy_loss.verdict)}"
    )
    if robustness:
        sentence += (
            f"; its accuracy on corruptions that neither met in training differs by "
            f"{points(robustness.interval.estimate)} points ({_interval(robustness.interval)}): "
            f"the claim that it degrades more gracefully {_verdict(robustness.verdict)}"
        )
    return [*sentences, f"{sentence}."]


def _verdict(verdict: str) -> str:
    return f"is {verdict}" if verdict.startswith("undecided") else verdict


def _interval(interval: Interval) -> str:
    text = bounds(interval)
    return "no interval" if text == "–" else f"95 % interval {text}"
