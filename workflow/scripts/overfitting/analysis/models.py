"""What models contain: claims go by this, whatever a model is called and wherever it is listed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from . import findings, lesson, measures
from .measures import Measure
from .predictions import Predictions
from .statistics import Estimate

Settings = dict[str, Any]
"""The settings of a model that `training.json` records: `augmentation`, `dropout`, `batch_norm` and
`early_stopping`, as in `params.yaml`."""


@dataclass(frozen=True)
class ModelResults:
    """What the claims need to know about one model."""

    name: str
    settings: Settings
    table: pd.DataFrame
    """A row per seed, as `results.runs_table` returns it."""
    predictions: Predictions
    training: Settings = field(default_factory=dict)
    """How it is trained: `training.json`'s `training`, with the number of images."""
    val_accuracy: list[list[float]] = field(default_factory=list)
    """By seed, the validation accuracy after each epoch, as Keras prints it."""
    is_trained_alike: bool = True
    """Whether it is trained as the model without regularizers that it is compared with."""

    @property
    def is_judged(self) -> bool:
        """Whether the lesson's claims are about this model: dropout and augmentation, no more."""
        return self.is_trained_alike and regularizers(self.settings) == {"augmentation", "dropout"}

    def gap(self, train_accuracy: str = "train_accuracy") -> Measure:
        """Return the gap that takes a column of `table` for the training accuracy."""
        return measures.gap(self.table[train_accuracy].to_numpy(), self.predictions.correct)

    def points(self, judged: str, panel: str, x: ArrayLike, y: ArrayLike) -> pd.DataFrame:
        """Return a point per seed for the figure of a claim, with the columns `findings.POINTS`.

        Args:
            judged: the model or models that the finding is on.
            panel: what the panel of the figure shows.
            x: one number for all seeds, or one for each.
            y: the same.
        """
        seeds = self.table["seed"].to_numpy()
        x, y = (np.broadcast_to(values, len(seeds)) for values in (x, y))
        here = {"judged": judged, "panel": panel, "model": self.name}
        return pd.DataFrame(here | {"seed": seeds, "x": x, "y": y})

    def verdict(self, estimate: Estimate, margin: float = findings.MARGIN) -> str:
        """Return `findings.verdict`; empty if the lesson's claims are not about this model."""
        return findings.verdict(estimate, margin) if self.is_judged else ""


def by_name(
    runs: Sequence[Mapping[str, Any]], table: pd.DataFrame, predictions: Mapping[str, Predictions]
) -> dict[str, ModelResults]:
    """Return the results of each model by its name, in the order of `predictions`.

    Args:
        runs: as `results.load_runs` returns them.
        table: a row per run, as `results.runs_table` returns it.
        predictions: by model, as `predictions.load` returns them.
    """
    by_model = {model: [run for run in runs if run["model"] == model] for model in predictions}
    return {
        model: ModelResults(
            model,
            by_model[model][0]["model_settings"],
            table[table["model"] == model],
            of_model,
            by_model[model][0]["training"],
            [run["history"]["val_accuracy"] for run in by_model[model]],
        )
        for model, of_model in predictions.items()
    }


Pair = tuple[ModelResults, ModelResults]
"""The reference, and a model that is compared with it."""


def pairs(reference: ModelResults, compared: Sequence[ModelResults]) -> list[Pair]:
    """Return each other model with what it is compared with.

    That is a model without regularizers that is trained alike, if there is one, or else the
    reference; then there is no verdict, as regularizers are not all that differs.

    Returns:
        First the models that are trained as the reference is, and of these first the lesson's own
        model; apart from that, in the order of `compared`. The report's summary is about the first
        model with a verdict.
    """
    plain = [reference, *(each for each in compared if not regularizers(each.settings))]
    found = []
    for model in compared:
        alike = [each for each in plain if each.training == model.training and each is not model]
        if model is not reference:
            is_alike = bool(alike)
            found.append(((alike or [reference])[0], replace(model, is_trained_alike=is_alike)))
    return sorted(
        found,
        key=lambda pair: (
            pair[1].training != reference.training,
            pair[1].settings != lesson.REGULARIZED,
        ),
    )


def regularizers(settings: Settings) -> set[str]:
    """Return which regularizers a model has: names of keys of `Settings`."""
    return {
        name
        for name, value in settings.items()
        if (any(value.values()) if isinstance(value, Mapping) else value)
    }


def differing(first: ModelResults, second: ModelResults) -> set[tuple[str, str]]:
    """Return the settings in which two models differ: pairs of a key and the key below it.

    The key is one of `Settings`, or `training`; what has no keys below it has an empty one.
    """
    sides = [
        {
            (name, key): entry
            for name, value in (model.settings | {"training": model.training}).items()
            for key, entry in (value if isinstance(value, Mapping) else {"": value}).items()
        }
        for model in (first, second)
    ]
    places = set(sides[0]) | set(sides[1])
    return {place for place in places if sides[0].get(place) != sides[1].get(place)}


def reference(runs: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the model that the others are compared with: the first one without regularizers.

    If there are several, those trained as most of the models are come first.

    Args:
        runs: with `model`, `model_settings` and `training`, as `results.load_runs` returns them.

    Returns:
        Its name; None if every model has a regularizer.
    """
    trainings = [run["training"] for run in runs]
    frequency = {
        run["model"]: trainings.count(run["training"])
        for run in runs
        if not regularizers(run["model_settings"])
    }
    return max(frequency, key=lambda model: frequency[model], default=None)
