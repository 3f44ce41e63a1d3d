"""Numbers in, tables in words out, as the pages and the terminal show them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from overfitting.analysis.claims import Claim, negative
from overfitting.analysis.other_claims import OTHER_CLAIMS
from overfitting.analysis.statistics import Interval
from overfitting.evaluation.corruptions import CORRUPTIONS


@dataclass(frozen=True)
class Table:
    """A table in words, as both pages and the terminal show it."""

    header: list[str]
    rows: list[list[str]]


def markdown_table(table: Table) -> str:
    """Write a table in Markdown, columns of numbers to the right and all others to the left.

    The first column names its rows and always stands to the left.
    """
    sides = [
        "---:" if all(cell[:1].isdigit() or cell[:1] in "+−–" for cell in column) else "---"
        for _, *column in zip(table.header, *table.rows, strict=True)
    ]
    lines = [
        "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
        for cells in [table.header, *table.rows]
    ]
    lines.insert(1, "|" + "|".join(["---", *sides[1:]]) + "|")
    return "\n".join(lines)


def gap_table(gaps: pd.DataFrame) -> Table:
    """Put the table of `results.gap_table` into words, a row per model."""
    columns: dict[str, Callable[[Any], str]] = {
        "model": lambda row: row.model,
        "training accuracy": lambda row: share(row.train_accuracy),
        "test accuracy": lambda row: share(row.test_accuracy),
        "gap": lambda row: signed(row.gap),
        "spread over seeds": lambda row: share(row.gap_sd),
        "95 % interval of the gap": lambda row: (
            "–" if pd.isna(row.gap_low) else f"{signed(row.gap_low)} to {signed(row.gap_high)}"
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


def share(value: float | None) -> str:
    """Print an accuracy (0 to 1) as the lesson does, with three decimals; unknown as –."""
    return "–" if value is None or pd.isna(value) else f"{value:.3f}"


def signed(value: float | None, digits: int = 3) -> str:
    """Print a difference with its sign; unknown as –."""
    if value is None or pd.isna(value):
        return "–"
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "\N{MINUS SIGN}")  # no -0


def points(value: float) -> str:
    """Print a difference of shares in percentage points, signed, with one decimal."""
    return signed(100 * value, 1)


def between(interval: Interval, in_points: bool = True) -> str:
    """Print an interval's bounds, signed; – where they are not known."""
    words = points if in_points else signed
    known = not pd.isna(interval.low)
    return f"{words(interval.low)} to {words(interval.high)}" if known else "–"


def findings(claim: Claim) -> Table:
    """Put what was found about a claim into words, a row per number."""
    return Table(
        ["model", "measured", "estimate", "95 % interval", "verdict"],
        [
            [
                one.model,
                f"{one.measure} (points)" if one.points else one.measure,
                (points if one.points else signed)(one.interval.estimate),
                between(one.interval, one.points),
                one.verdict,
            ]
            for one in claim.findings
        ],
    )


def other_claims(compare: list[str]) -> Table:
    """Say what the claims need that the models in `compare` cannot show, a row per claim."""
    rows = []
    for one in OTHER_CLAIMS:
        missing = ", ".join(f"`{entry}`" for entry in one.missing(compare))
        needs = [f"add {missing} to `compare`"] if missing else []
        needs += [one.advice] if one.advice else []
        rows.append(
            [str(one.number), one.claim, ", and ".join(needs) or "nothing: all are compared"]
        )
    return Table(["claim", "it says", "to look into it"], rows)


def calibration(gaps: pd.DataFrame) -> Table:
    """Put the scores of each model into words, means over its seeds.

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
    """Put accuracy under each corruption into words, a row per corruption.

    Args:
        table: as `predictions.corruption_table` returns it.
        errors: as `predictions.corruption_errors` returns it.

    Without corrupted images the table is empty.
    """
    if table.empty:
        return Table(["corruption"], [])
    models = list(table["model"].unique())
    clean = dict(table[table["severity"] == 0].groupby("model")["accuracy"].mean())
    damaged = dict(table[table["severity"] > 0].groupby(["model", "corruption"])["accuracy"].mean())
    matched = table.groupby(["corruption", "model"], sort=False)["matched"].first()
    error = errors.set_index(["model", "corruption"])["error"]
    header = ["corruption", "matched for"]
    header += [f"{model}: accuracy lost (points)" for model in models]
    header += [f"{model}: CE" for model in models[1:]]
    rows = []
    for name in CORRUPTIONS:
        rows.append(
            [name.replace("_", " "), ", ".join(m for m in models if matched[(name, m)]) or "none"]
            + [points(clean[model] - damaged[(model, name)]) for model in models]
            + [share(error[(model, name)]) for model in models[1:]]
        )
    for name in ("mCE", "mCE, held out"):
        rows.append(
            [name, "", *[""] * len(models), *(share(error[(one, name)]) for one in models[1:])]
        )
    return Table(header, rows)


def settings(runs: list[dict[str, Any]]) -> Table:
    """Put how each model was trained into words, a row per model.

    Args:
        runs: as `results.load_runs` returns them.
    """

    def words(value: Any) -> str:
        if isinstance(value, dict):
            named = {key: words(part) for key, part in value.items()}
            return ", ".join(f"{key} {part}" for key, part in named.items() if part != "–") or "–"
        return "–" if value in (None, False, 0.0) else "yes" if value is True else str(value)

    by_model = {run["model"]: run["model_settings"] | run["training"] for run in runs}
    names = list(next(iter(by_model.values())))
    return Table(
        ["model", *(name.replace("_", " ") for name in names)],
        [[model, *(words(own[name]) for name in names)] for model, own in by_model.items()],
    )


def pairs(header: tuple[str, str], values: Mapping[str, Any]) -> Table:
    """Put names and values into a table of two columns."""
    return Table(list(header), [[name, str(value)] for name, value in values.items()])


def answer(claims: list[Claim], gaps: pd.DataFrame) -> list[str]:
    """Answer in three sentences what a reader asks first, from the numbers alone.

    How far the first model in `compare` overfits; how far the regularized one does (or the
    second, if `regularized` is not compared); what that costs and gains.

    Args:
        claims: as `claims.judge` returns them.
        gaps: as `results.gap_table` returns it.
    """
    judged = {
        claim.number: {one.model: one for one in claim.findings if one.verdict} for claim in claims
    }
    [(first, gap)] = judged[1].items()
    seeds = int(gaps["seeds"].iloc[0])
    sentences = [
        f"**{first}** has a gap of {points(gap.interval.estimate)} percentage points between the "
        f"accuracies on its training images and on new ones ({_bounds(gap.interval)}, {seeds} "
        f"seed{'' if seeds == 1 else 's'}): that it overfits {_is(gap.verdict)}."
    ]
    if not judged[2]:
        return sentences
    model = "regularized" if "regularized" in judged[2] else next(iter(judged[2]))
    smaller, loss, sturdier = judged[2][model], judged[3][model], judged[4].get(model)
    own = {row["model"]: row for row in gaps.to_dict("records")}[model]
    sentences.append(
        f"The gap of **{model}** is {points(own['gap'])} points, which is "
        f"{points(-smaller.interval.estimate)} against {first} "
        f"({_bounds(negative(smaller.interval))}): that it is smaller {_is(smaller.verdict)}; the "
        f"lesson's way of taking it gives {points(own['lesson_gap'])}, as it leaves out "
        f"{points(own['mode_bias'])} points of mode bias."
    )
    price = (
        f"Its test accuracy differs by {points(-loss.interval.estimate)} points "
        f"({_bounds(negative(loss.interval))}): that it is only a hair lower {_is(loss.verdict)}"
    )
    if sturdier:
        price += (
            f"; its accuracy on corruptions that neither met in training differs by "
            f"{points(sturdier.interval.estimate)} points ({_bounds(sturdier.interval)}): that it "
            f"degrades more gracefully {_is(sturdier.verdict)}"
        )
    return [*sentences, f"{price}."]


def _is(verdict: str) -> str:
    return f"is {verdict}" if verdict.startswith("undecided") else verdict


def _bounds(interval: Interval) -> str:
    bounds = between(interval)
    return "no interval" if bounds == "–" else f"95 % interval {bounds}"
