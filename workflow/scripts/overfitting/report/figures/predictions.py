"""Figures of the predictions: calibration, confusion matrices, accuracy by class."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .style import (
    SEED_ALPHA,
    WIDTH,
    dodged_heights,
    heat_map,
    label_rows,
    legend_below,
    model_styles,
    panels,
    plt,
    seeds_note,
)


def reliability_diagrams(table: pd.DataFrame, ece: dict[str, float]) -> Figure:
    """Draw reliability diagrams: accuracy against confidence, a panel per model.

    On the diagonal, accuracy equals confidence. As in Guo et al. 2017 (arXiv 1706.04599), but with
    bins of equal mass.

    Args:
        table: a row per run and bin with `model`, `seed`, `bin`, and the mean `confidence` and
            the `accuracy` of its images (shares).
        ece: by model, its expected calibration error (0 to 1), mean over the seeds.
    """
    models = list(table["model"].unique())
    low = np.floor(10 * table[["confidence", "accuracy"]].to_numpy().min()) / 10
    figure, axes = panels(len(models), columns=2, height=3.6 if len(models) > 1 else 5.5)
    for axis, (model, style) in zip(axes, model_styles(table).items(), strict=True):
        of_model = table[table["model"] == model]
        colour = style["color"]
        axis.axline((0, 0), slope=1, color="0.3", linestyle="--", linewidth=1.5)
        for _, of_seed in of_model.groupby("seed"):
            axis.plot(of_seed["confidence"], of_seed["accuracy"], color=colour, alpha=SEED_ALPHA)
        mean = of_model.groupby("bin")[["confidence", "accuracy"]].mean()
        axis.plot(mean["confidence"], mean["accuracy"], color=colour, marker="o", linewidth=2.5)
        axis.set(xlim=(low, 1), ylim=(low, 1))
        axis.set_title(f"{model}\nexpected calibration error {ece[model]:.3f}")
        axis.set_xlabel("confidence (share)")
        axis.set_ylabel("accuracy (share)")
    figure.suptitle(
        f"Accuracy against confidence, in bins of equally many images\n{seeds_note(table)}"
    )
    return figure


def confusion_matrices(counts: dict[str, np.ndarray], classes: list[str]) -> Figure:
    """Draw confusion matrices in percent of the actual class, a panel per model.

    Args:
        counts: by model, the number of images (C×C, mean over the seeds), a row per actual class
            and a column per predicted class.
        classes: the names of the classes, C.
    """
    figure, axes = panels(len(counts), columns=2, height=4.4 if len(counts) > 1 else 6.5)
    for number, (model, count) in enumerate(counts.items()):
        axis = axes[number]
        percent = 100 * count / np.maximum(count.sum(axis=1, keepdims=True), 1e-9)
        heat_map(
            axis, percent, _format_percentage, classes, classes, cmap="Blues", vmin=0, vmax=100
        )
        axis.tick_params(axis="x", labelrotation=90)
        if number % 2:  # its rows are labelled in the panel to the left
            axis.set_yticklabels([])
        else:
            axis.set_ylabel("actual class")
        axis.set_title(model)
        axis.set_xlabel("predicted class")
    figure.suptitle("Test images by actual and predicted class (% of the actual class)")
    return figure


def _format_percentage(percent: float) -> str:
    """Format a percentage; an empty string if it is below 1."""
    return f"{percent:.0f}" if percent >= 1 else ""


def class_changes(table: pd.DataFrame, reference: str) -> Figure:
    """Draw the change in accuracy on each class relative to the reference.

    Classes are sorted by the change of the first other model, the largest gain on top.

    Args:
        table: a row per run and class with `model`, `seed`, `class_name` and `change`: the
            accuracy on the class minus that of the reference with the same seed (signed share).
            Two or more models, including the reference, whose changes are 0.
        reference: one of the models.
    """
    styles = model_styles(table)
    others = [model for model in styles if model != reference]
    points = table.assign(change=100 * table["change"])
    of_first = points[points["model"] == others[0]].groupby("class_name", sort=False)["change"]
    classes = list(of_first.mean().sort_values(ascending=False, kind="stable").index)
    figure, axis = plt.subplots(figsize=(WIDTH, (0.25 + 0.1 * len(styles)) * len(classes) + 2))
    axis.axvline(0, color="0.2", linewidth=1.5)
    for number, model in enumerate(others):
        of_model = points[points["model"] == model]
        seeds = of_model.pivot(index="class_name", columns="seed", values="change").loc[classes]
        heights = dodged_heights(len(classes), number, len(others))
        plot_kwargs = styles[model] | {"linestyle": ""}
        axis.plot(seeds, heights, **(plot_kwargs | {"alpha": SEED_ALPHA, "markersize": 4}))
        axis.plot(seeds.mean(axis="columns"), heights, label=model, **plot_kwargs)
    label_rows(axis, classes)
    axis.set_title(f"Accuracy on each class, minus that of {reference} with the same seed")
    axis.set_xlabel("difference (percentage points)")
    axis.set_ylabel("class")
    legend_below(figure, axis, seeds_note(table))
    return figure
