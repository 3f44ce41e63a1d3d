"""Figures of the claims that need more models than two: what a verdict rests on, at a glance."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from overfitting.analysis import training_claims
from overfitting.analysis.findings import Claim

from .claim_panels import (
    COLUMNS,
    Styles,
    draw_means,
    draw_seeds,
    label_categories,
    model_means,
    panel_points,
    unit_factor,
    with_title,
    with_unit,
)
from .style import (
    legend_below,
    panels,
    seeds_and_mean,
    seeds_note,
)

FIRST_SHOWN = 5
"""The epoch from which on all accuracies are within the figure of claim 6."""


def techniques(claim: Claim, styles: Styles) -> Figure:
    """Draw claim 5: two panels for the gap and the held-out accuracy, with and without techniques.

    A ring marks where the model with both techniques would be if their effects added up. The
    distance of the model from the ring is the interaction of the two.
    """
    rows = pd.concat(claim.points)
    figure, axes = panels(2 * rows["judged"].nunique(), columns=2, height=4.0)
    for axis, (title, panel, points) in zip(axes, panel_points(rows), strict=True):
        neither, dropout, augmentation, both = points["model"].unique()
        means = points.groupby("model")["y"].mean()
        for line, label, pair in (
            ("-", "without dropout", (neither, augmentation)),
            ("--", "with dropout", (dropout, both)),
        ):
            axis.plot([0, 1], means[list(pair)], line, color="0.3", linewidth=2, label=label)
            draw_seeds(axis, points[points["model"].isin(pair)], linestyle=line)
        draw_means(axis, points, styles)
        sum_of_effects = means[dropout] + means[augmentation] - means[neither]
        axis.plot(
            1,
            sum_of_effects,
            linestyle="",
            marker="o",
            markersize=15,
            markerfacecolor="none",
            color="0.1",
            label="if the effects added up",
        )
        label_categories(axis, ["without", "with"])
        axis.set_title(title)
        axis.set_xlabel("augmentation")
        axis.set_ylabel(with_unit(panel))
    legend_below(figure, axes[0], seeds_note(rows), COLUMNS)
    return with_title(figure, claim)


def more_epochs(claim: Claim, styles: Styles) -> Figure:
    """Draw claim 6: the validation accuracy against the epochs, a line for each model."""
    rows = pd.concat(claim.points)
    figure, axes = panels(rows["judged"].nunique(), columns=1, height=4.6)
    for axis, (title, panel, points) in zip(axes, panel_points(rows), strict=True):
        for epoch in (training_claims.FIRST_EPOCHS, *training_claims.MORE_EPOCHS):
            axis.axvline(epoch, color="0.2", linewidth=1, linestyle=":")
        for model in points["model"].unique():
            of_model = points[points["model"] == model]
            style = styles[model] | {"markevery": [-1]}
            seeds_and_mean(axis, of_model, "x", "y", label=model, **style)
        # The rise in the first epochs would make the differences that follow too small to see.
        axis.set_ylim(bottom=points[points["x"] >= FIRST_SHOWN]["y"].min() - 0.01)
        axis.set_title(title)
        axis.set_xlabel("epoch")
        axis.set_ylabel(with_unit(panel))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, axes[0], seeds_note(rows), COLUMNS)
    return with_title(figure, claim)


def slope(claim: Claim, styles: Styles, x_label: str, *, is_logarithmic: bool) -> Figure:
    """Draw claims 8 and 11: the gap of models against what they differ in, and the fitted line.

    Args:
        claim: with the points.
        styles: of the models.
        x_label: what the models differ in.
        is_logarithmic: whether the line is fitted against its logarithm.
    """
    rows = pd.concat(claim.points)
    figure, axes = panels(rows["judged"].nunique(), columns=1, height=4.6)
    for axis, (title, panel, points) in zip(axes, panel_points(rows), strict=True):
        if is_logarithmic:
            axis.set_xscale("log", base=2)
            axis.xaxis.set_minor_locator(NullLocator())
        draw_seeds(axis, points)
        means = sorted(model_means(points), key=lambda mean: mean[1])
        places = np.array([place for _, place, _ in means])
        fitted = np.log2(places) if is_logarithmic else places
        line = np.polyfit(fitted, [gap for _, _, gap in means], 1)
        axis.plot(
            places,
            np.polyval(line, fitted),
            color="0.2",
            linewidth=2,
            linestyle="--",
            label="fitted line",
        )
        draw_means(axis, points, styles)
        axis.set_xticks(places, [f"{place:,g}" for place in places])
        axis.set_title(title)
        axis.set_xlabel(x_label)
        axis.set_ylabel(with_unit(panel))
    legend_below(figure, axes[0], seeds_note(rows), COLUMNS)
    return with_title(figure, claim)


def stopping(claim: Claim, styles: Styles) -> Figure:
    """Draw claim 9: by seed, how many epochs were run, and the epoch whose weights are kept."""
    rows = pd.concat(claim.points)
    judged = list(rows["judged"].unique())
    seeds = list(rows["seed"].unique())
    figure, axes = panels(len(judged), columns=1, height=0.25 * len(seeds) + 2.4)
    for axis, model in zip(axes, judged, strict=True):
        of_model = rows[rows["judged"] == model].pivot(index="seed", columns="panel", values="y")
        of_model = of_model.loc[seeds]
        heights = range(len(seeds))
        colour = styles[model]["color"]
        axis.barh(
            heights,
            of_model["epochs run"],
            height=0.6,
            color=colour,
            edgecolor="0.2",
            alpha=0.5,
            label="epochs run",
        )
        axis.plot(
            of_model["best epoch"],
            heights,
            linestyle="",
            marker="*",
            markersize=11,
            color="0.1",
            clip_on=False,
            label="best epoch, whose weights are kept",
        )
        axis.axvline(
            training_claims.MOST_EPOCHS,
            color="0.2",
            linestyle="--",
            label=f'"most": more than {training_claims.MOST_EPOCHS}',
        )
        axis.set_yticks(heights, [str(seed) for seed in seeds])
        axis.invert_yaxis()
        axis.grid(False, axis="y")
        axis.set_xlim(0, training_claims.ALL_EPOCHS)
        axis.set_title(model)
        axis.set_xlabel("epochs")
        axis.set_ylabel("seed")
    legend_below(figure, axes[0], "each bar is a training", COLUMNS)
    return with_title(figure, claim)


def pairs(claim: Claim, styles: Styles, categories: tuple[str, str]) -> Figure:
    """Draw claims 10 and 13: two models side by side, joined by a line for each seed.

    Args:
        claim: with the points, at 0 and 1.
        styles: of the models.
        categories: what the two models have.
    """
    rows = pd.concat(claim.points)
    per_row = rows["panel"].nunique()
    figure, axes = panels(per_row * rows["judged"].nunique(), columns=per_row, height=4.2)
    for axis, (title, panel, points) in zip(axes, panel_points(rows), strict=True):
        draw_seeds(axis, points)
        draw_means(axis, points, styles)
        label_categories(axis, list(categories))
        axis.set_title(title)
        axis.set_ylabel(with_unit(panel))
        if panel.startswith("epochs"):
            axis.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_below(figure, axes[0], seeds_note(rows), COLUMNS)
    return with_title(figure, claim)


def predictors(claim: Claim, styles: Styles) -> Figure:
    """Draw claim 12: the held-out accuracy of each run against its gap and its test accuracy."""
    rows = pd.concat(claim.points)
    figure, axes = panels(2, columns=2, height=4.2)
    for axis, (panel, points) in zip(axes, rows.groupby("panel", sort=False), strict=True):
        factor = unit_factor(str(panel))
        for model in points["model"].unique():
            of_model = points[points["model"] == model]
            style = {"linestyle": "", "color": styles[model]["color"]}
            style["marker"] = styles[model]["marker"]
            axis.plot(factor * of_model["x"], of_model["y"], **style, alpha=0.4, markersize=4)
            axis.plot(
                factor * of_model["x"].mean(),
                of_model["y"].mean(),
                **style,
                markersize=9,
                markeredgecolor="0.1",
                label=model,
            )
        axis.set_title(f"predicted by the {panel}")
        axis.set_xlabel(with_unit(str(panel)))
        axis.set_ylabel(with_unit("held-out accuracy"))
    legend_below(figure, axes[0], seeds_note(rows), COLUMNS)
    return with_title(figure, claim)


@dataclass(frozen=True)
class ClaimFigure:
    """How a claim is drawn."""

    draw: Callable[[Claim, Styles], Figure]
    caption: str
    """What the figure shows; also its alternative text."""


FIGURES = {
    "5": ClaimFigure(
        techniques,
        "The gap and the accuracy on held-out corruptions of models with neither technique, with "
        "dropout, with augmentation and with both; the lines are parallel if the two do not "
        "interact",
    ),
    "6": ClaimFigure(
        more_epochs,
        "Validation accuracy against epochs, a line per model, each seed faint and the mean strong",
    ),
    "8": ClaimFigure(
        partial(slope, x_label="dropout rate before the classifier (share)", is_logarithmic=False),
        "The gap against the dropout rate before the classifier, each seed faint, with a fitted "
        "line",
    ),
    "9": ClaimFigure(
        stopping, "By seed, the epochs run before training stopped, and the best epoch"
    ),
    "10": ClaimFigure(
        partial(pairs, categories=("without batch norm", "with batch norm")),
        f"The epochs until the validation accuracy is {training_claims.GOAL:g}, and the gap, "
        "without and with batch normalization, a line per seed",
    ),
    "11": ClaimFigure(
        partial(
            slope, x_label="training images, validation included (log scale)", is_logarithmic=True
        ),
        "The gap against the number of training images on a logarithmic scale, each seed faint, "
        "with a fitted line",
    ),
    "12": ClaimFigure(
        predictors,
        "The accuracy on held-out corruptions against the gap, and beside it against the test "
        "accuracy; a small mark per run, a large one per model",
    ),
    "13": ClaimFigure(
        partial(pairs, categories=("horizontal flip", "vertical flip")),
        "The test accuracy with horizontal and with vertical flips, a line per seed",
    ),
}
"""By the number of a claim, its figure; the figures of the other claims are in other sections."""
