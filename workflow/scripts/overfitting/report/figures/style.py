"""The common style of all figures, shared drawing functions, and deterministic saving as SVG."""

import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("svg")  # works without a display

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from seaborn.utils import relative_luminance

from overfitting.common.files import atomic_write

WIDTH = 7.5  # inches; not more, because a phone scales a figure, including its text, to its screen
SEED_ALPHA = 0.3  # opacity of single seeds, drawn behind their mean
MAX_MODELS_WITH_SEEDS = 8  # in one panel; with more models, only the means can be told apart
LEGEND_ROW = 0.25  # inches
# In units of the font size; long enough to tell the line styles apart.
LEGEND_HANDLE_LENGTH = 3.5
LINE_STYLES = ["-", "--", "-.", ":", (0, (1, 1)), (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (3, 5))]
MARKERS: list[Any] = ["o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "d", "p", (4, 1), (6, 1)]
MARKERS += ["h", (3, 1), (8, 1), (4, 1, 45), (5, 1, 36), (3, 1, 180)]  # (points, star, angle)

mpl.rcdefaults()  # whatever a matplotlibrc says, in the home folder or in the checkout
sns.set_theme(style="whitegrid", context="notebook", palette="colorblind", font="DejaVu Sans")
# The fonts that matplotlib brings along, and none that happens to be installed; read from their
# files, as the list that matplotlib keeps in the home folder may say anything.
fontManager.ttflist, fontManager.afmlist = [], []
for font in sorted(Path(mpl.get_data_path(), "fonts", "ttf").glob("*.ttf")):
    fontManager.addfont(font)
mpl.rcParams["svg.hashsalt"] = "overfitting"  # without it, the ids in the SVG would be random
mpl.rcParams["text.parse_math"] = False  # a name may contain dollar signs
mpl.rcParams["figure.constrained_layout.use"] = True  # keeps titles, labels and legends apart


def save(figure: Figure, path: Path) -> None:
    """Write a figure atomically as SVG, without a date, and close it."""
    fix_layout(figure)
    with atomic_write(path) as partial:
        figure.savefig(partial, format="svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def fix_layout(figure: Figure) -> None:
    """Lay out a figure, and round the positions of its axes.

    What the solver of constrained layout returns can differ in the last bits from run to run.
    Without rounding, the bytes of the figure would differ, too.
    """
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine("none")
    for axis in figure.axes:
        left, bottom, width, height = axis.get_position(original=True).bounds
        axis.set_position(tuple(round(each, 5) for each in (left, bottom, width, height)))


def placeholder(title: str, reason: str) -> Figure:
    """Draw a figure that consists of a title and the reason why there is no plot."""
    figure, axis = plt.subplots(figsize=(WIDTH, 2))
    axis.set_axis_off()
    axis.set_title(title)
    axis.text(0.5, 0.5, textwrap.fill(reason, 70), ha="center", va="center")
    return figure


def model_styles(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return by model its colour, line style and marker, as arguments of `axis.plot`.

    They depend on the position of the model alone, so they are the same in every figure.

    Args:
        table: with a column `model`, in the order of the report.
    """
    models = list(table["model"].unique())
    colours = sns.color_palette(n_colors=len(models))
    return {
        model: {"color": colour, "linestyle": line, "marker": marker}
        for model, colour, line, marker in zip(
            models, colours, itertools.cycle(LINE_STYLES), itertools.cycle(MARKERS), strict=False
        )
    }


def seeds_and_mean(
    axis: plt.Axes,
    table: pd.DataFrame,
    along: str,
    value: str,
    label: str,
    *,
    with_seeds: bool = True,
    **plot_kwargs: Any,
) -> None:
    """Draw a faint line per seed and a strong line for their mean.

    The mean ends where the first seed ends, for example after early stopping.

    Args:
        table: the rows of one model, one for each `seed` and value of the column `along`.
        along: the column on the x-axis.
        value: the column on the y-axis.
        label: the name of the mean in the legend.
        with_seeds: whether to draw the seeds.
        plot_kwargs: further arguments of `axis.plot`; `marker` applies to the mean only.
    """
    wide = table.pivot(index=along, columns="seed", values=value)
    if with_seeds:
        axis.plot(wide, **(plot_kwargs | {"alpha": SEED_ALPHA, "linewidth": 1, "marker": ""}))
    mean = wide.dropna().mean(axis="columns")
    axis.plot(mean, label=label, linewidth=2.5, **plot_kwargs)


def dodged_heights(rows: int, number: int, count: int) -> np.ndarray:
    """Return the y-coordinate in each row of mark `number` (from 0) of `count` marks.

    The marks of a row are placed side by side vertically, so that they do not overlap; rows are
    1 apart.
    """
    return np.arange(rows) + 0.8 * ((number + 0.5) / count - 0.5)


def heat_map(
    axis: plt.Axes,
    values: np.ndarray,
    cell_text: Callable[[float], str],
    rows: list[str],
    columns: list[str],
    **scale: Any,
) -> None:
    """Draw a table as coloured cells with text in them, the first row on top.

    This does not use `seaborn.heatmap`, which draws the whole figure once for each of its panels.

    Args:
        values: rows×columns.
        cell_text: returns the text of a cell for its value; may be empty.
        rows: the labels of the rows.
        columns: the labels of the columns.
        scale: `cmap`, `vmin` and `vmax`, as for `axis.pcolormesh`.
    """
    mesh = axis.pcolormesh(values, **scale)
    for (row, column), value in np.ndenumerate(values):
        if text := cell_text(value):
            # Below this luminance, white text has more contrast than black.
            dark = relative_luminance(mesh.to_rgba(value)) < 0.18
            axis.text(
                column + 0.5,
                row + 0.5,
                text,
                ha="center",
                va="center",
                fontsize=9.5,
                color="white" if dark else "black",
            )
    axis.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axis.invert_yaxis()
    axis.grid(False)


def label_rows(axis: plt.Axes, names: list[str]) -> None:
    """Label the rows of a dot plot from top to bottom and draw lines between them."""
    axis.set_yticks(range(len(names)), names)
    axis.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axis.grid(False, axis="y", which="major")
    axis.grid(True, axis="y", which="minor")
    axis.set_ylim(len(names) - 0.5, -0.5)


def legend_below(figure: Figure, axis: plt.Axes, title: str, columns: int = 3) -> None:
    """Add the legend of `axis` below the figure, with at most `columns` columns.

    The figure becomes higher by the rows of the legend after the first.
    """
    handles, labels = axis.get_legend_handles_labels()
    rows = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * (rows - 1))
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(columns, len(labels)),
        title=title,
        handlelength=LEGEND_HANDLE_LENGTH,
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


def seeds_note(table: pd.DataFrame, *, with_seeds: bool = True) -> str:
    """Return a note for a figure: over how many seeds means are taken, and if these are drawn."""
    seeds = table["seed"].nunique()
    return "1 seed" if seeds == 1 else f"mean of {seeds} seeds" + "; each seed faint" * with_seeds
