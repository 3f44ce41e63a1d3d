"""Results in, HTML and Markdown out, through the templates in `workflow/templates/`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import pandas as pd


def render(template: Path, **context: Any) -> str:
    """Fill a Jinja2 template; the same text for the same context.

    Templates can use the filter `picture`: the path of an SVG file as the SVG itself.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["picture"] = picture
    return environment.get_template(template.name).render(**context)


@dataclass(frozen=True)
class Table:
    """A table in words, as both pages and the terminal show it."""

    header: list[str]
    rows: list[list[str]]


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


def signed(value: float | None) -> str:
    """Print a difference of accuracies (-1 to 1) with its sign and three decimals."""
    if value is None or pd.isna(value):
        return "–"
    return f"{value + 0.0:+.3f}".replace("-", "\N{MINUS SIGN}")


def picture(path: Path, alternative: str) -> markupsafe.Markup:
    """Return an SVG file to stand inside an HTML page, with a text that can be read aloud.

    Ids are made unique to the file: several pictures share a page.
    """
    svg = path.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    prefix = f"{path.stem}-"
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", svg)
    label = markupsafe.escape(alternative)
    labelled = svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return markupsafe.Markup(labelled)  # noqa: S704  a figure of ours, escaped by matplotlib
