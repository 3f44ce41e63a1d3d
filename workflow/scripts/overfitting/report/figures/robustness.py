"""Figures of the accuracy on shifted and corrupted test images."""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..formatting import signed
from .style import (
    MAX_MODELS_WITH_SEEDS,
    SEED_ALPHA,
    WIDTH,
    dodged_heights,
    heat_map,
    label_rows,
    legend_below,
    model_styles,
    plt,
    seeds_and_mean,
    seeds_note,
)

MATCHED = "open marker: the model has met such images in training"


def shift_maps(grids: dict[str, np.ndarray], reference: str) -> Figure:
    """Draw accuracy against shift for each model, and its difference to the reference.

    Args:
        grids: by model, its accuracy (shares, 9×9, mean over the seeds): rows 0 to 8 for images
            shifted down by -4 to 4 pixels, columns 0 to 8 the same to the right.
        reference: one of the models.
    """
    others = [model for model in grids if model != reference]
    percent = {model: 100 * grid for model, grid in grids.items()}
    differences = {model: percent[model] - percent[reference] for model in others}
    largest = max([1.0, *(np.abs(grid).max() for grid in differences.values())])
    columns, height = (2, 4.1) if others else (1, 7)
    figure, axes = plt.subplots(
        len(grids), columns, figsize=(WIDTH, height * len(grids)), squeeze=False
    )
    max_shift = len(grids[reference]) // 2
    pixels = [signed(shift, 0) for shift in range(-max_shift, max_shift + 1)]
    for row, (model, grid) in zip(axes, percent.items(), strict=True):
        heat_map(row[0], grid, "{:.0f}".format, pixels, pixels, cmap="Blues", vmin=0, vmax=100)
        row[0].set_title(f"{model}\naccuracy (%)")
        if model in differences:
            scale = {"cmap": "RdBu", "vmin": -largest, "vmax": largest}
            heat_map(row[1], differences[model], partial(signed, digits=0), pixels, pixels, **scale)
            row[1].set_title(f"{model}\nminus {reference}\n(percentage points)")
        elif others:
            row[1].remove()
    for axis in figure.axes:
        axis.set_xlabel("shift to the right (pixels)")
        axis.set_ylabel("shift down (pixels)")
    figure.suptitle("Accuracy on shifted test images")
    return figure


def corruption_curves(table: pd.DataFrame) -> Figure:
    """Draw accuracy against severity: a panel per corruption, and one for each of two means.

    One mean is over all corruptions, the other over those that no model has met in training.

    Args:
        table: a row per run, corruption and severity (0, clean, to 5) with `model`, `seed`,
            `corruption`, `severity`, `accuracy` (share) and `matched`: whether the augmentation of
            the model generates such images in training.
    """
    met = table.groupby("corruption", sort=False)["matched"].any()
    means = {
        "mean of all": table,
        "mean of held-out": table[table["corruption"].isin(met.index[~met])],
    }
    rows_by_panel = {
        name: rows.groupby(["model", "seed", "severity"], sort=False, as_index=False).agg(
            {"accuracy": "mean", "matched": "all"}
        )
        for name, rows in means.items()
    } | {str(name): rows for name, rows in table.groupby("corruption", sort=False)}
    grid = np.full((-(-len(rows_by_panel) // 3), 3), ".", dtype=object)
    grid.flat[: len(rows_by_panel)] = list(rows_by_panel)
    figure, axes = plt.subplot_mosaic(grid.tolist(), figsize=(WIDTH, 2.1 * len(grid) + 1))
    low = np.floor(10 * table["accuracy"].min()) / 10
    styles = model_styles(table)
    with_seeds = len(styles) <= MAX_MODELS_WITH_SEEDS
    for name, rows in rows_by_panel.items():
        axis = axes[name]
        for model, plot_kwargs in styles.items():
            of_model = rows[rows["model"] == model]
            facecolor = "white" if of_model["matched"].all() else plot_kwargs["color"]
            plot_kwargs = plot_kwargs | {"markerfacecolor": facecolor, "with_seeds": with_seeds}
            seeds_and_mean(axis, of_model, "severity", "accuracy", label=model, **plot_kwargs)
        axis.set_title(name.replace("_", " "))
        axis.set_xticks(sorted(table["severity"].unique()))
        axis.set_ylim(low, 1)
        axis.set_xlabel("severity (0: clean)")
        if axis.get_subplotspec().is_first_col():
            axis.set_ylabel("accuracy (share)")
    note = seeds_note(table, with_seeds=with_seeds)
    legend_below(figure, axes["mean of all"], f"{note}; {MATCHED}")
    figure.suptitle("Accuracy on corrupted test images")
    return figure


def corruption_errors(table: pd.DataFrame, reference: str) -> Figure:
    """Draw each model's corruption errors relative to those of the reference, and their means.

    CE and mCE are those of Hendrycks & Dietterich 2019 (arXiv 1903.12261).

    Args:
        table: a row per model, corruption and seed with `model`, `corruption`, `seed`, `error`
            (CE, a ratio; 1 means as many errors as the reference) and `matched`: whether the
            augmentation of the model generates such images in training. The last corruptions of
            each run are means; their names start with mCE.
        reference: one of the models.
    """
    names = list(table["corruption"].unique())
    means = [name for name in names if name.startswith("mCE")]
    styles = model_styles(table)
    figure, axis = plt.subplots(figsize=(WIDTH, (0.25 + 0.06 * len(styles)) * len(names) + 2.2))
    axis.axvline(1, color="0.2", linewidth=1.5)
    for number, (model, plot_kwargs) in enumerate(styles.items()):
        of_model = table[table["model"] == model]
        seeds = of_model.pivot(index="corruption", columns="seed", values="error").loc[names]
        matched = of_model.groupby("corruption")["matched"].first()
        heights = dodged_heights(len(names), number, len(styles))
        plot_kwargs = plot_kwargs | {"linestyle": ""}
        axis.plot([], [], label=model, **plot_kwargs)
        axis.plot(seeds, heights, **(plot_kwargs | {"alpha": SEED_ALPHA, "markersize": 4}))
        for name, height, error in zip(names, heights, seeds.mean(axis="columns"), strict=True):
            facecolor = "white" if matched[name] else plot_kwargs["color"]
            axis.plot(error, height, markerfacecolor=facecolor, markeredgewidth=1.5, **plot_kwargs)
    axis.axhline(len(names) - len(means) - 0.5, color="0.2")  # separates the means from the rest
    label_rows(axis, [name.replace("_", " ") for name in names])
    axis.set_title(f"Errors on corrupted images, relative to {reference}")
    axis.set_xlabel("corruption error (ratio; below 1: fewer errors)")
    axis.set_ylabel("corruption")
    legend_below(figure, axis, f"{seeds_note(table)}; {MATCHED}")
    return figure
