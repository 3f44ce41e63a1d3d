"""Formats what the model card and the data card say about a run as tables."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from overfitting.analysis.statistics import Interval

from .formatting import bounds, points, share
from .tables import Table


def scores(gaps: pd.DataFrame) -> Table:
    """Format the main results, a row per model.

    Args:
        gaps: as `results.gap_table` returns it.
    """
    return Table(
        [
            "model",
            "test accuracy",
            "gap (points)",
            "95% interval of the gap",
            "ECE",
            "accuracy on corrupted images",
        ],
        [
            [
                row["model"],
                share(row["test_accuracy"]),
                points(row["gap"]),
                bounds(Interval(row["gap"], row["gap_low"], row["gap_high"])),
                share(row["ece"]),
                share(row["corrupted_accuracy"]),
            ]
            for row in gaps.to_dict("records")
        ],
    )


def class_counts(classes: list[str], labels: Mapping[str, np.ndarray]) -> Table:
    """Format how many images each class has, a row per class.

    Args:
        classes: their names.
        labels: by the name of a subset, the number of the class of each of its images.
    """
    counts = [np.bincount(of_subset, minlength=len(classes)) for of_subset in labels.values()]
    return Table(
        ["class", *labels],
        [
            [name, *(f"{count[number]:,}" for count in counts)]
            for number, name in enumerate(classes)
        ],
    )
