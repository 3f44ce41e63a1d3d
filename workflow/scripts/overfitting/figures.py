"""Tables and images in, SVG out; the same bytes for the same input."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("svg")  # no screen needed

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .datasets import CLASSES
from .files import written_whole

FAINT = 0.3  # opacity of a single seed's line under the mean
SETS = {"training": "-", "validation": "--"}  # a line style each, so that colour is not needed
STYLES = ["-", "--", "-.", ":", (0, (1, 1)), (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (3, 5))]

sns.set_theme(style="whitegrid", context="notebook", palette="colorblind")
mpl.rcParams["svg.hashsalt"] = "overfitting"  # ids in the SVG would be random otherwise


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG without a date, whole or not at all, and close it."""
    with written_whole(path) as partial:
        figure.savefig(partial, format="svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def curves(table: pd.DataFrame) -> Figure:
    """Draw accuracy and loss per epoch, training against validation; a row per model.

    Args:
        table: as `results.curves_table` returns it.
    """
    models = list(table["model"].unique())
    figure, axes = plt.subplots(
        len(models), 2, figsize=(11, 3.6 * len(models)), sharex=True, sharey="col", squeeze=False
    )
    colours = dict(zip(SETS, sns.color_palette(n_colors=2), strict=True))
    for row, model in zip(axes, models, strict=True):
        of_model = table[table["model"] == model]
        seeds = of_model["seed"].nunique()
        for axis, name in zip(row, ("accuracy", "loss"), strict=True):
            for part, column in zip(SETS, (name, f"val_{name}"), strict=True):
                _seeds_and_mean(axis, of_model, column, colours[part], SETS[part], part)
            axis.set_title(f"{model}: {name} ({_count(seeds, 'seed')})")
            axis.set_ylabel(
                f"{name} (share of images)" if name == "accuracy" else "loss (cross-entropy, nats)"
            )
            axis.set_xlabel("epoch")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.tick_params(labelbottom=True)
            axis.legend(title="mean of the seeds; each seed faint")
    figure.suptitle("Learning curves, as Keras prints them (training: dropout, augmentation on)")
    figure.tight_layout()
    return figure


def gap_per_epoch(table: pd.DataFrame) -> Figure:
    """Draw training minus validation accuracy per epoch; a line style per model.

    Args:
        table: as `results.curves_table` returns it.
    """
    models = list(table["model"].unique())
    figure, axis = plt.subplots(figsize=(9, 5))
    axis.axhline(0, color="0.3", linewidth=1)
    palette = sns.color_palette(n_colors=len(models))
    for number, (model, colour) in enumerate(zip(models, palette, strict=True)):
        of_model = table[table["model"] == model].assign(gap=lambda rows: 100 * rows["gap"])
        _seeds_and_mean(axis, of_model, "gap", colour, STYLES[number % len(STYLES)], model)
    axis.set_title("Gap per epoch, as Keras prints it: training minus validation accuracy")
    axis.set_xlabel("epoch")
    axis.set_ylabel("gap (percentage points)")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(title="mean of the seeds; each seed faint")
    figure.tight_layout()
    return figure


def _seeds_and_mean(
    axis: plt.Axes, table: pd.DataFrame, column: str, colour: object, style: object, label: str
) -> None:
    """Draw each seed faintly and their mean strongly, as far as every seed went."""
    wide = table.pivot(index="epoch", columns="seed", values=column)
    axis.plot(wide, color=colour, linestyle=style, alpha=FAINT, linewidth=1)
    mean = wide.dropna().mean(axis="columns")
    axis.plot(mean, color=colour, linestyle=style, linewidth=2.5, label=label)
    axis.plot(mean.index[-1:], mean.iloc[-1:], color=colour, marker="o")  # one epoch is seen too


def augmentation_grid(seen: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw what training images look like to each model that changes them.

    Args:
        seen: from a model's name to the original images (uint8, N×28×28) and random draws of
            what its network sees of them in training (uint8, N×draws×28×28).
    """
    heights = [len(originals) for originals, _ in seen.values()]
    figure, axes = plt.subplots(
        len(seen), 1, figsize=(9, 0.8 * sum(heights) + 1.4 * len(seen)), squeeze=False
    )
    for axis, (model, (originals, draws)) in zip(axes.flat, seen.items(), strict=True):
        images = np.concatenate([originals[:, np.newaxis], draws], axis=1)
        _mosaic(axis, images)
        axis.set_title(f"{model}: what its network sees of a training image", fontsize="medium")
        cell = images.shape[-1] + 1
        axis.set_xticks(
            [cell * (column + 0.5) for column in range(images.shape[1])],
            ["original", *(f"draw {number}" for number in range(1, draws.shape[1] + 1))],
        )
        axis.set_yticks([cell * (row + 0.5) for row in range(len(images))], [""] * len(images))
        axis.set_ylabel("training image (28 × 28 pixels)")
    figure.tight_layout()
    return figure


def samples(images: np.ndarray, labels: np.ndarray, per_class: int = 10) -> Figure:
    """Draw the first images of each class, a row per class.

    Args:
        images: uint8, N×28×28.
        labels: whole numbers, N, 0 to 9.
        per_class: how many of each; what a small data set lacks stays empty.
    """
    grid = np.full((len(CLASSES), per_class, *images.shape[1:]), 255, dtype=np.uint8)
    for number in range(len(CLASSES)):
        found = images[labels == number][:per_class]
        grid[number, : len(found)] = found
    figure, axis = plt.subplots(figsize=(9, 9.5))
    _mosaic(axis, grid)
    cell = images.shape[-1] + 1
    axis.set_yticks([cell * (row + 0.5) for row in range(len(CLASSES))], CLASSES)
    axis.set_xticks(
        [cell * (column + 0.5) for column in range(per_class)],
        [str(n + 1) for n in range(per_class)],
    )
    axis.set_title("Training images of each class (28 × 28 pixels)")
    axis.set_xlabel("image of its class, in the order of the data set")
    axis.set_ylabel("class")
    figure.tight_layout()
    return figure


def _mosaic(axis: plt.Axes, images: np.ndarray) -> None:
    """Show rows×columns×height×width uint8 images as one picture with thin white lines."""
    padded = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=255)
    rows, columns, height, width = padded.shape
    picture = padded.swapaxes(1, 2).reshape(rows * height, columns * width)
    axis.imshow(
        picture,
        cmap="gray",
        vmin=0,
        vmax=255,
        interpolation="none",
        extent=(0, columns * width, rows * height, 0),
    )
    axis.grid(False)
    axis.tick_params(length=0)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
