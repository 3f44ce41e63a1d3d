"""Formatting of a review as Markdown."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial

from overfitting.report.formatting import bounds, signed
from overfitting.report.tables import Table, markdown_table

from .comparison import GAP, IMPROVED, LESS_ACCURATE, NOISE, WORSE, Comparison, Row

DIGITS = 4
"""Decimal places of shares and nats: enough to show a change of one image in 3,000."""


def render(
    title: str, models: Mapping[str, Comparison], notes: Iterable[str], params: str, curves: str
) -> str:
    """Return the review as Markdown.

    Args:
        title: the heading, which names the two commits.
        models: the comparison of each model, by name.
        notes: sentences that say what could not be compared and what to do about it.
        params: the params that differ, as Markdown; empty if none do.
        curves: the learning curves as Markdown, as `curves` returns them.
    """
    rows = [row for model in models.values() for row in model.rows]
    verdicts = Counter(row.verdict.split(" (")[0] for row in rows)
    summary = [f"{verdicts[verdict]} {verdict}" for verdict in (IMPROVED, WORSE, NOISE)]
    if verdicts[LESS_ACCURATE]:
        summary.append(f"{verdicts[LESS_ACCURATE]} gap {LESS_ACCURATE}")
    summary.append(f"{verdicts['not comparable']} not comparable")
    parts = [
        f"## {title}",
        ", ".join(summary) + ".",
        *notes,
    ]
    for name, model in models.items():
        parts += [f"### {name}", markdown_table(_table(model.rows)), model.basis]
    parts += [
        "↑ higher is better, ↓ lower is better. The gap is training minus test accuracy, ECE the "
        "expected calibration error; points are percentage points. The interval is that of the "
        "change, over seeds and test images. A review judges many metrics at once, so p is "
        "adjusted for all of them (Holm's method), and only below 0.05 is a change called improved "
        "or worse: the probability that a review names any change where there is none is at most "
        "5%. An interval that excludes 0 is therefore not enough.",
        "### Params",
        params or "None differ.",
        "### Learning curves",
        curves,
    ]
    return "\n\n".join(parts)


def curves(figures: Mapping[str, str], base: str, commits: tuple[str, str], url: str | None) -> str:
    """Return the figures of the learning curves before and after, as Markdown.

    Args:
        figures: the caption of each figure, by its path in the checkout.
        base: the name of the commit to compare with.
        commits: the hashes of the commits before and after.
        url: the base URL of committed files at a code host, as in `url`/COMMIT/PATH; None if it is
            not known, in which case the figures are listed with commands that show them.
    """
    if url is None:
        return "\n".join(
            f"- {caption}: [now]({path}); before: `git show {base}:{path}`."
            for path, caption in figures.items()
        )
    rows = [
        [f"![{caption}]({url.rstrip('/')}/{commit}/{path})" for commit in commits]
        for path, caption in figures.items()
    ]
    return markdown_table(Table(["before", "after"], rows))


def _table(rows: Iterable[Row]) -> Table:
    header = ["metric", "before", "after", "change", "95% interval of the change", "p", "verdict"]
    return Table(
        header,
        [
            [
                f"{row.metric.name} {'↑' if row.metric.higher_is_better else '↓'}",
                _value(row, row.before),
                _value(row, row.after),
                _difference(row, row.after - row.before),
                "–"
                if row.change is None
                else bounds(row.change.interval, partial(_difference, row, unit="")),
                _p_value(row.p_value),
                row.verdict,
            ]
            for row in rows
        ],
    )


def _signed(value: float) -> str:
    return signed(value, DIGITS)


def _p_value(value: float) -> str:
    return "–" if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def _value(row: Row, value: float) -> str:
    """Format a metric before or after; the gap, which is a difference of shares, as such."""
    if row.metric is GAP:
        return _difference(row, value)
    return _signed(value).removeprefix("+")


def _difference(row: Row, value: float, unit: str | None = None) -> str:
    """Format a change, shares in percentage points with the same number of digits."""
    if unit is None:
        unit = " points" if row.metric.is_share else " nats"
    text = signed(100 * value, DIGITS - 2) if row.metric.is_share else _signed(value)
    return text if text == "–" else text + unit
