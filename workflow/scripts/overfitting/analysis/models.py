"""What models contain: claims go by this, whatever a model is called and wherever it is listed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from . import findings
from .predictions import Predictions
from .statistics import Estimate

Settings = Mapping[str, Any]
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

    @property
    def is_judged(self) -> bool:
        """Whether the lesson's claims are about this model: dropout and augmentation, no more."""
        return regularizers(self.settings) == {"augmentation", "dropout"}

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
    settings = {run["model"]: run["model_settings"] for run in runs}
    return {
        model: ModelResults(model, settings[model], table[table["model"] == model], of_model)
        for model, of_model in predictions.items()
    }


Pair = tuple[ModelResults, ModelResults]
"""The reference, and a model that is compared with it."""


def regularizers(settings: Settings) -> set[str]:
    """Return which regularizers a model has: names of keys of `Settings`."""
    return {
        name
        for name, value in settings.items()
        if (any(value.values()) if isinstance(value, Mapping) else value)
    }


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
