"""The style that all figures share, and saving them as SVG: the same bytes for the same input."""

import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("svg")  # no screen needed

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure
from seaborn.utils import relative_luminance

from overfitting.common.files import atomic_write

WIDTH = 7.5  # inches; a phone shrinks a figure to its own width, and text with it
FAINT = 0.3  # opacity of a single seed under the mean
HANDLE = 3.5  # length of a line in a legend, in letters: enough to tell the line styles apart
LINES = ["-", "--", "-.", ":", (0, (1, 1)), (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (3, 5))]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]

sns.set_theme(style="whitegrid", context="notebook", palette="colorblind")
mpl.rcParams["svg.hashsalt"] = "overfitting"  # ids in the SVG would be random otherwise
mpl.rcParams["figure.constrained_layout.use"] = True  # keeps titles, labels and legends apart


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG without a date, whole or not at all, and close it."""
    with atomic_write(path) as partial:
        figure.savefig(partial, format="svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def not_measured(title: str, reason: str) -> Figure:
    """Draw a title and, in words, why there is nothing to see under it."""
    figure, axis = plt.subplots(figsize=(WIDTH, 2))
    axis.set_axis_off()
    axis.set_title(title)
    axis.text(0.5, 0.5, textwrap.fill(reason, 70), ha="center", va="center")
    return figure


def model_styles(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return each model's colour, line style and marker, the same in every figure.

    Args:
        table: with a column `model`, in the order of the report.
    """
    models = list(table["model"].unique())
    colours = sns.color_palette(n_colors=len(models))
    return {
        model: {"color": colour, "linestyle": line, "marker": marker}
        for model, colour, line, marker in zip(
            models, colours, itertools.cycle(LINES), itertools.cycle(MARKERS), strict=False
        )
    }


def seeds_and_mean(
    axis: plt.Axes, table: pd.DataFrame, along: str, value: str, label: str, **look: Any
) -> None:
    """Draw each seed faintly and their mean strongly, as far as every seed went.

    Args:
        table: one model's rows, one for each `seed` and value of the column `along`.
        look: as for `axis.plot`; the marker is the mean's.
    """
    wide = table.pivot(index=along, columns="seed", values=value)
    axis.plot(wide, **(look | {"alpha": FAINT, "linewidth": 1, "marker": ""}))
    mean = wide.dropna().mean(axis="columns")
    axis.plot(mean, label=label, linewidth=2.5, **look)


def dodged(rows: int, number: int, count: int) -> np.ndarray:
    """Return the heights of the `number`-th of `count` marks in each row, one above the other."""
    return np.arange(rows) + 0.8 * ((number + 0.5) / count - 0.5)


def heat_map(
    axis: plt.Axes,
    values: np.ndarray,
    in_words: Callable[[float], str],
    rows: list[str],
    columns: list[str],
    **scale: Any,
) -> None:
    """Draw a table (rows×columns) as coloured cells with words in them, the first row on top.

    Not `seaborn.heatmap`, which draws the whole figure once for each of its panels.

    Args:
        scale: `cmap`, `vmin` and `vmax`.
    """
    mesh = axis.pcolormesh(values, **scale)
    for (row, column), value in np.ndenumerate(values):
        if words := in_words(value):
            dark = relative_luminance(mesh.to_rgba(value)) < 0.18  # below, white stands out more
            axis.text(
                column + 0.5,
                row + 0.5,
                words,
                ha="center",
                va="center",
                fontsize=9.5,
                color="white" if dark else "black",
            )
    axis.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axis.invert_yaxis()
    axis.grid(False)


def name_rows(axis: plt.Axes, names: list[str]) -> None:
    """Name the rows of a dot plot from the top down, with lines between them."""
    axis.set_yticks(range(len(names)), names)
    axis.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axis.grid(False, axis="y", which="major")
    axis.grid(True, axis="y", which="minor")
    axis.set_ylim(len(names) - 0.5, -0.5)


def legend_below(figure: Figure, axis: plt.Axes, title: str, columns: int = 3) -> None:
    """Explain under the figure what one of its panels shows."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(columns, len(labels)),
        title=title,
        handlelength=HANDLE,
        alignment="left",
    )


def panels(count: int, columns: int, height: float) -> tuple[Figure, list[plt.Axes]]:
    """Return a figure with `count` panels in at most `columns` columns, each `height` inches."""
    columns = min(count, columns)
    rows = -(-count // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, height * rows + 0.4), squeeze=False)
    for surplus in axes.flat[count:]:
        surplus.remove()
    return figure, list(axes.flat[:count])


def basis(table: pd.DataFrame) -> str:
    """Say what a mean is the mean of."""
    seeds = table["seed"].nunique()
    return "1 seed" if seeds == 1 else f"mean of {seeds} seeds; each seed faint"


def signed(number: float, digits: int = 0) -> str:
    """Print a number with its sign; what rounds to zero has none."""
    rounded = round(number, digits)
    sign = "+" if rounded > 0 else "\N{MINUS SIGN}" if rounded < 0 else ""
    return f"{sign}{abs(rounded):.{digits}f}"
