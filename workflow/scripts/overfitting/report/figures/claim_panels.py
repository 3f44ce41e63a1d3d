"""What the figures of the claims have in common: panels, marks, labels and titles."""

import textwrap
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from overfitting.analysis.findings import Claim

from ..claim_tables import in_words
from .style import SEED_ALPHA, plt

COLUMNS = 2
"""How many columns the legends have: names of models are long."""
Styles = dict[str, dict[str, Any]]
"""By model its colour, line style and marker, as `style.model_styles` returns them."""


def panel_points(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the title of each panel, what it shows, and its points in the unit that is drawn."""
    several = rows["judged"].nunique() > 1
    for names, points in rows.groupby(["judged", "panel"], sort=False):
        judged, panel = map(str, names)
        title = textwrap.fill(f"{panel} ({judged})", 60) if several else panel
        yield title, panel, points.assign(y=unit_factor(panel) * points["y"])


def unit_factor(panel: str) -> float:
    """Return what a value is multiplied by to be drawn: a gap is drawn in percentage points."""
    return 100.0 if panel == "gap" else 1.0


def with_unit(panel: str) -> str:
    """Return the label of the axis that shows the values of a panel."""
    if panel == "gap":
        return "gap (percentage points)"
    return f"{panel} (share)" if panel.endswith("accuracy") else panel


def draw_seeds(axis: plt.Axes, points: pd.DataFrame, linestyle: str = "-") -> None:
    """Draw a faint line through the points of each seed."""
    for _, of_seed in points.sort_values("x").groupby("seed"):
        axis.plot(
            of_seed["x"],
            of_seed["y"],
            color="0.3",
            alpha=SEED_ALPHA,
            linewidth=1,
            linestyle=linestyle,
            marker=".",
        )


def model_means(points: pd.DataFrame) -> list[tuple[str, float, float]]:
    """Return each model with its place and the mean over its seeds, in the order of the points."""
    means = points.groupby("model", sort=False).agg({"x": "first", "y": "mean"})
    return [(str(model), float(x), float(y)) for model, (x, y) in means.iterrows()]


def draw_means(axis: plt.Axes, points: pd.DataFrame, styles: Styles) -> None:
    """Draw the mark of each model at the mean over its seeds."""
    for model, x, y in model_means(points):
        mark = styles[model] | {"linestyle": "", "markersize": 9, "markeredgecolor": "0.1"}
        axis.plot(x, y, label=model, **mark)


def label_categories(axis: plt.Axes, names: list[str]) -> None:
    """Name the places 0, 1, … on the x-axis."""
    axis.set_xticks(range(len(names)), names)
    axis.set_xlim(-0.4, len(names) - 0.6)


def with_title(figure: Figure, claim: Claim) -> Figure:
    """Return the figure with the claim and the findings as its title, and higher by its lines."""
    lines = [f"Claim {claim.number}: {claim.claim}"]
    for finding in claim.findings:
        if finding.verdict:
            lines += textwrap.wrap(f"{in_words(finding)}; {finding.verdict}", 88)
    lines.append("in brackets: 95% interval")
    figure.suptitle("\n".join(lines), fontsize=10.5)
    figure.set_figheight(figure.get_figheight() + 0.2 * len(lines))
    return figure
