"""Figures that show images of the data set."""

from collections import Counter

import numpy as np
from matplotlib.figure import Figure

from overfitting.analysis.predictions import Disagreement

from .style import WIDTH, plt


def augmentation_grid(augmented: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw training images next to random augmentations of them, for each augmentation.

    Args:
        augmented: by model, the original images (uint8, N×28×28) and the augmented ones that its
            network is trained on (uint8, N×draws×28×28).
    """
    heights = [len(originals) for originals, _ in augmented.values()]
    figure, axes = plt.subplots(
        len(augmented),
        1,
        figsize=(WIDTH, 0.8 * sum(heights) + 0.7 * len(augmented)),
        height_ratios=heights,
        squeeze=False,
    )
    for axis, (model, (originals, draws)) in zip(axes.flat, augmented.items(), strict=True):
        draw_names = [f"draw {number}" for number in range(1, draws.shape[1] + 1)]
        mosaic(
            axis,
            np.concatenate([originals[:, np.newaxis], draws], axis=1),
            rows=[""] * len(originals),
            columns=["original", *draw_names],
        )
        axis.set_title(f"{model}: what its network sees (28 × 28 pixels)")
        axis.set_ylabel("training image")
    return figure


def samples(
    images: np.ndarray, labels: np.ndarray, classes: list[str], per_class: int = 10
) -> Figure:
    """Draw the first images of each class, a row per class.

    Args:
        images: uint8, N×28×28.
        labels: integers, N, 0 to 9.
        classes: the names of the classes.
        per_class: the number of images of each class. If the data set has fewer, the rest of the
            row stays empty.
    """
    grid = np.full((len(classes), per_class, *images.shape[1:]), 255, dtype=np.uint8)
    for number in range(len(classes)):
        of_class = images[labels == number][:per_class]
        grid[number, : len(of_class)] = of_class
    figure, axis = plt.subplots(figsize=(WIDTH, 7))
    mosaic(axis, grid, rows=classes, columns=[str(n + 1) for n in range(per_class)])
    axis.set_title("Training images of each class (28 × 28 pixels)")
    axis.set_xlabel("image of its class, in the order of the data set")
    axis.set_ylabel("class")
    return figure


def corrupted_pictures(images: dict[str, np.ndarray]) -> Figure:
    """Draw one test image under every corruption, a row per corruption.

    Args:
        images: by corruption, the image at each severity, starting with 0, clean (uint8,
            severities×28×28).
    """
    grid = np.stack(list(images.values()))
    rows, columns = grid.shape[:2]
    figure, axis = plt.subplots(figsize=(WIDTH, 0.9 * rows + 1))
    mosaic(
        axis,
        grid,
        rows=[name.replace("_", " ") for name in images],
        columns=["0 (clean)", *(str(severity) for severity in range(1, columns))],
    )
    axis.set_title("A test image under every corruption (28 × 28 pixels)")
    axis.set_xlabel("severity")
    axis.set_ylabel("corruption")
    return figure


def disagreements(cases: list[Disagreement]) -> Figure:
    """Draw test images, each with its label and the class that most seeds of each model predict.

    Args:
        cases: the images and predictions; one or more.
    """
    rows = -(-len(cases) // 2)
    n_lines = 1 + max(len(case.predicted) for case in cases)
    figure, axes = plt.subplots(
        rows,
        4,
        figsize=(WIDTH, rows * max(1.0, 0.18 * n_lines) + 0.4),
        width_ratios=[1, 2.8, 1, 2.8],  # alternately an image and its text
        squeeze=False,
    )
    for axis in axes.flat:
        axis.set_axis_off()
        axis.set_anchor("N")
    for (image_axis, text_axis), case in zip(axes.reshape(-1, 2), cases, strict=False):
        image_axis.imshow(case.image, cmap="gray", vmin=0, vmax=255, interpolation="none")
        lines = [f"label: {case.label} (test image {case.index})"]
        for model, predicted in case.predicted.items():
            [(name, votes)] = Counter(predicted).most_common(1)
            mark = "✓" if name == case.label else "✗"
            lines.append(f"{mark} {model}: {name} {votes} of {len(predicted)}")
        text_axis.text(0, 1, "\n".join(lines), va="top", fontsize=9, linespacing=1.25)
    figure.suptitle("Where models disagree most: what most seeds predict (✓: the label)")
    return figure


def mosaic(axis: plt.Axes, images: np.ndarray, rows: list[str], columns: list[str]) -> None:
    """Show images in a grid, separated by thin white lines.

    Args:
        images: uint8, rows×columns×height×width.
        rows: the labels of the rows.
        columns: the labels of the columns.
    """
    padded = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=255)
    _, _, height, width = padded.shape
    picture = padded.swapaxes(1, 2).reshape(len(rows) * height, len(columns) * width)
    axis.imshow(
        picture,
        cmap="gray",
        vmin=0,
        vmax=255,
        interpolation="none",
        extent=(0, len(columns) * width, len(rows) * height, 0),
    )
    axis.set_xticks(width * (np.arange(len(columns)) + 0.5), columns)
    axis.set_yticks(height * (np.arange(len(rows)) + 0.5), rows)
    axis.grid(False)
    axis.tick_params(length=0)
