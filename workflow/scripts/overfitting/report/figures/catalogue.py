"""All figures of the report: what each is drawn from, and the functions that draw them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from overfitting.analysis import results
from overfitting.analysis import robustness_tables as robustness
from overfitting.common import datasets
from overfitting.evaluation.corruptions import CORRUPTIONS

from ..contents import Contents
from . import claims as claim_figures
from . import images as image_figures
from . import learning as learning_figures
from . import predictions as prediction_figures
from . import robustness as robustness_figures
from . import style

SOURCES = {
    "split": ("learning", "tables/runs.csv"),
    "curves": ("learning", "tables/curves.csv"),
    "gap": ("learning", "tables/curves.csv"),
    "shift": ("robustness", "tables/shift.csv"),
    "corruptions": ("robustness", "tables/corruptions.csv"),
    "corruption_errors": ("robustness", "tables/corruption_errors.csv"),
    "corrupted": ("images", "data/corrupted.npz"),
    "reliability": ("predictions", "tables/reliability.csv"),
    "confusion": ("predictions", "tables/confusion.csv"),
    "classes": ("predictions", "tables/classes.csv"),
    "disagreements": ("images", "tables/disagreements.csv"),
    "samples": ("images", "data/subset/train.npz"),
    "augmentation": ("images", "results/MODEL/SEED/augmented.npz"),
    **{f"claim_{number}": ("claims", "tables/points.csv") for number in claim_figures.FIGURES},
}
"""By the name of a figure: the module that draws it, and its table or its images."""

FigureFunctions = dict[str, Callable[[], Figure]]
"""By the name of a figure, the function that draws it. Figures are drawn and saved one at a time,
because an open figure takes much memory."""


def figures(
    contents: Contents,
    results_folder: Path,
    train: tuple[np.ndarray, np.ndarray],
    test_images: np.ndarray,
    corrupted: Path,
) -> FigureFunctions:
    """Return the functions that draw all figures.

    Args:
        contents: what is reported.
        results_folder: with the results of all runs.
        train: the images (uint8, N×28×28) and labels (integers, N) of the training subset.
        test_images: uint8, N×28×28, the test subset.
        corrupted: the file with the corrupted images.

    Raises:
        UserError: a file is missing or corrupt.
    """
    return {
        **figures_of_training(contents),
        **figures_of_robustness(contents, test_images, corrupted),
        **figures_of_predictions(contents),
        **figures_of_training_images(contents, results_folder, *train),
        **figures_of_claims(contents),
    }


def figures_of_training(contents: Contents) -> FigureFunctions:
    """Return the functions that draw the learning curves and gaps."""
    return {
        "split": partial(learning_figures.gap_split, contents.by_run),
        "curves": partial(learning_figures.curves, contents.curves),
        "gap": partial(learning_figures.gap_per_epoch, contents.curves),
    }


def figures_of_robustness(
    contents: Contents, test_images: np.ndarray, corrupted: Path
) -> FigureFunctions:
    """Return the functions that draw the accuracy on shifted and corrupted images."""
    if contents.corruptions.empty:
        names = ["shift", "corruptions", "corruption_errors", "corrupted"]
        return placeholders(names, "robustness.test_size is 0")
    corrupted_images = zip(
        CORRUPTIONS, datasets.load_examples(corrupted, *CORRUPTIONS), strict=True
    )
    first = {name: np.stack([test_images[0], *images[:, 0]]) for name, images in corrupted_images}
    maps = robustness.shift_maps(contents.predictions)
    return {
        "shift": partial(robustness_figures.shift_maps, maps, contents.compared_with),
        "corruptions": partial(robustness_figures.corruption_curves, contents.corruptions),
        "corruption_errors": partial(
            robustness_figures.corruption_errors,
            contents.corruption_errors,
            contents.compared_with,
        ),
        "corrupted": partial(image_figures.corrupted_pictures, first),
    }


def figures_of_predictions(contents: Contents) -> FigureFunctions:
    """Return the functions that draw calibration, confusion matrices and disagreements."""
    ece = dict(zip(contents.gaps["model"], contents.gaps["ece"], strict=True))
    figures: FigureFunctions = {
        "reliability": partial(prediction_figures.reliability_diagrams, contents.reliability, ece),
        "confusion": partial(
            prediction_figures.confusion_matrices, contents.confusion_matrices, contents.classes
        ),
    }
    if len(contents.models) == 1:
        return figures | placeholders(["classes", "disagreements"], "compare has one model")
    return figures | {
        "classes": partial(
            prediction_figures.class_changes, contents.class_changes, contents.compared_with
        ),
        "disagreements": partial(image_figures.disagreements, contents.disagreements),
    }


def figures_of_training_images(
    contents: Contents, folder: Path, images: np.ndarray, labels: np.ndarray
) -> FigureFunctions:
    """Return the functions that draw training images, with and without augmentation."""
    augmented = results.augmented_images(folder, contents.runs)
    return {
        "augmentation": partial(image_figures.augmentation_grid, augmented),
        "samples": partial(image_figures.samples, images, labels, contents.classes),
    }


def figures_of_claims(contents: Contents) -> FigureFunctions:
    """Return the functions that draw what the claims rest on that need more models than two."""
    styles = style.model_styles(contents.by_run)
    figures: FigureFunctions = {}
    for claim in contents.claims:
        if claim.number in claim_figures.FIGURES:
            name = f"claim_{claim.number}"
            draw = claim_figures.FIGURES[claim.number].draw
            figures |= (
                {name: partial(draw, claim, styles)}
                if claim.points
                else placeholders([name], f"`compare` lacks the models of claim {claim.number}")
            )
    return figures


def placeholders(names: list[str], reason: str) -> FigureFunctions:
    """Return for each name a function that draws the reason why there is no such figure."""
    draw = partial(style.placeholder, "Not measured", f"In params.yaml, {reason}.")
    return dict.fromkeys(names, draw)
