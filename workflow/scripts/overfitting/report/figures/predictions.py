"""Figures of what models predict: how sure they are, what they confuse, what changes."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .style import (
    FAINT,
    WIDTH,
    basis,
    dodged,
    heat_map,
    legend_below,
    model_styles,
    name_rows,
    panels,
    plt,
)


def reliability_diagrams(table: pd.DataFrame, ece: dict[str, float]) -> Figure:
    """Draw accuracy against confidence, a panel per model; on the diagonal they agree.

    After Guo et al. 2017 (arXiv 1706.04599), with bins of equal mass.

    Args:
        table: a row per run and bin with `model`, `seed`, `bin`, and the mean `confidence` and
            the `accuracy` of its images (shares).
        ece: from a model's name to its expected calibration error (share), mean over the seeds.
    """
    models = list(table["model"].unique())
    low = np.floor(10 * table[["confidence", "accuracy"]].to_numpy().min()) / 10
    figure, axes = panels(len(models), columns=2, height=3.6 if len(models) > 1 else 5.5)
    for axis, model in zip(axes, models, strict=True):
        of_model = table[table["model"] == model]
        axis.axline((0, 0), slope=1, color="0.3", linestyle="--", linewidth=1.5)
        for _, of_seed in of_model.groupby("seed"):
            axis.plot(of_seed["confidence"], of_seed["accuracy"], color="C0", alpha=FAINT)
        mean = of_model.groupby("bin")[["confidence", "accuracy"]].mean()
        axis.plot(mean["confidence"], mean["accuracy"], color="C0", marker="o", linewidth=2.5)
        axis.set(xlim=(low, 1), ylim=(low, 1))
        axis.set_title(f"{model}\nexpected calibration error {ece[model]:.3f}")
        axis.set_xlabel("confidence (share)")
        axis.set_ylabel("accuracy (share)")
    figure.suptitle(f"Accuracy against confidence, in bins of equally many images\n{basis(table)}")
    return figure


def confusion_matrices(counts: dict[str, np.ndarray], classes: list[str]) -> Figure:
    """Draw which class is taken for which, in percent of the actual class; a panel per model.

    Args:
        counts: from a model's name to the mean number of images over the seeds (C×C), a row
            per actual and a column per predicted class.
        classes: the names of the classes, C.
    """
    figure, axes = panels(len(counts), columns=2, height=4.4 if len(counts) > 1 else 6.5)
    for number, (model, count) in enumerate(counts.items()):
        axis = axes[number]
        percent = 100 * count / np.maximum(count.sum(axis=1, keepdims=True), 1e-9)
        heat_map(axis, percent, _from_one, classes, classes, cmap="Blues", vmin=0, vmax=100)
        axis.tick_params(axis="x", labelrotation=90)
        if number % 2:  # its rows are named in the panel at the left
            axis.set_yticklabels([])
        else:
            axis.set_ylabel("actual class")
        axis.set_title(model)
        axis.set_xlabel("predicted class")
    figure.suptitle("Test images by actual and predicted class (% of the actual class)")
    return figure


def _from_one(percent: float) -> str:
    """Print a percentage, or nothing if it is below 1."""
    return f"{percent:.0f}" if percent >= 1 else ""


def class_changes(table: pd.DataFrame) -> Figure:
    """Draw how each class fares against the first model; most gained by the second on top.

    Args:
        table: a row per run and class with `model`, `seed`, `class_name` and `change`: its
            accuracy on the class minus the first model's with the same seed (signed share).
            Two models or more; the first, whose changes are 0, among them.
    """
    (first, _), (second, _), *_ = styles = list(model_styles(table).items())
    points = table.assign(change=100 * table["change"])
    of_second = points[points["model"] == second].groupby("class_name", sort=False)["change"]
    classes = list(of_second.mean().sort_values(ascending=False, kind="stable").index)
    figure, axis = plt.subplots(figsize=(WIDTH, (0.25 + 0.1 * len(styles)) * len(classes) + 2))
    axis.axvline(0, color="0.2", linewidth=1.5)
    for number, (model, look) in enumerate(styles[1:]):
        of_model = points[points["model"] == model]
        seeds = of_model.pivot(index="class_name", columns="seed", values="change").loc[classes]
        heights = dodged(len(classes), number, len(styles) - 1)
        look = look | {"linestyle": ""}
        axis.plot(seeds, heights, **(look | {"alpha": FAINT, "markersize": 4}))
        axis.plot(seeds.mean(axis="columns"), heights, label=model, **look)
    name_rows(axis, classes)
    axis.set_title(f"Accuracy on each class, minus that of {first} with the same seed")
    axis.set_xlabel("difference (percentage points)")
    axis.set_ylabel("class")
    legend_below(figure, axis, basis(table))
    return figure
