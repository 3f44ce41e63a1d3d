"""Claim 12: whether the gap predicts how accurate a model is on images that it did not expect."""

import numpy as np
import pandas as pd
import scipy.stats

from overfitting.evaluation.corruptions import CORRUPTIONS, is_matched

from .findings import INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED, Claim, Finding
from .models import ModelResults
from .statistics import RESAMPLES, SIGNIFICANCE, Interval

MIN_MODELS = 5
"""With fewer models than these, a rank correlation over models says nothing."""


def gap_predicts(models: list[ModelResults]) -> Claim:
    """Evaluate claim 12 on all models and seeds."""
    claim = Claim(
        "12",
        "The gap predicts how a model behaves once it is deployed.",
        "Does a smaller gap go with a higher accuracy on corruptions that no model has met, and "
        "more closely than a higher test accuracy does?",
        "Spearman's rank correlation with the accuracy on held-out corruptions, over all models "
        "and seeds: of the gap, with its sign turned, and of the test accuracy, which is known to "
        "predict it ([Miller et al. 2021](https://arxiv.org/abs/2107.04649)). Intervals by a "
        "bootstrap over the models. The claim needs the gap to predict, and to predict better.",
        missing=f"compare at least {MIN_MODELS} models",
    )
    augmentations = [model.settings["augmentation"] for model in models]
    held_out = [
        number
        for number, name in enumerate(CORRUPTIONS)
        if not any(is_matched(name, each) for each in augmentations)
    ]
    measured = all(model.predictions.correct_shifted.shape[-1] for model in models)
    if len(models) < MIN_MODELS or not held_out or not measured:
        return claim
    runs = pd.concat(
        [
            pd.DataFrame(
                {
                    "model": number,
                    "gap": -model.table["gap"].to_numpy(),
                    "test accuracy": model.table["test_accuracy"].to_numpy(),
                    "held out": model.predictions.correct_corrupted[:, held_out].mean(
                        axis=(1, 2, 3)
                    ),
                }
            )
            for number, model in enumerate(models)
        ]
    )
    of_gap, of_accuracy, difference = correlations(runs)
    name = f"{len(models)} models"
    for number, model in enumerate(models):
        held_out_accuracy = runs[runs["model"] == number]["held out"]
        for panel, column in {"gap": "gap", "test accuracy": "test_accuracy"}.items():
            claim.points.append(model.points(name, panel, model.table[column], held_out_accuracy))
    seeds = len(models[0].table)
    decision = f"{INCONCLUSIVE} at {seeds} seed{'' if seeds == 1 else 's'}"
    if seeds > 1 and of_gap.low > 0 and difference.low > 0:
        decision = SUPPORTED
    elif seeds > 1 and (of_gap.high < 0 or difference.high < 0):
        decision = NOT_SUPPORTED
    claim.findings.extend(
        [
            Finding(name, "correlation of a small gap", of_gap, in_points=False),
            Finding(name, "correlation of the test accuracy", of_accuracy, in_points=False),
            Finding(
                name,
                "correlation of a small gap minus that of the test accuracy",
                difference,
                in_points=False,
                verdict=decision,
            ),
        ]
    )
    return claim


def correlations(runs: pd.DataFrame) -> tuple[Interval, Interval, Interval]:
    """Return the rank correlations of both predictors with `held out`, and their difference.

    The intervals are percentiles of a bootstrap that draws whole models, as the seeds of a model
    are alike (Efron, "Bootstrap methods", Annals of Statistics 1979), always with the same random
    numbers.

    Args:
        runs: a row per run with `model` and the columns `gap` (the sign turned, so that more is
            better), `test accuracy` and `held out`.
    """
    by_model = [rows.to_numpy()[:, 1:] for _, rows in runs.groupby("model")]
    random = np.random.default_rng(0)
    draws = [
        _correlations(np.concatenate([by_model[each] for each in chosen]))
        for chosen in random.integers(len(by_model), size=(RESAMPLES, len(by_model)))
        if len(set(chosen)) > 1
    ]
    estimates = _correlations(np.concatenate(by_model))
    low, high = np.nanquantile(draws, [SIGNIFICANCE / 2, 1 - SIGNIFICANCE / 2], axis=0)
    found = [Interval(*map(float, each)) for each in zip(estimates, low, high, strict=True)]
    return found[0], found[1], found[2]


def _correlations(values: np.ndarray) -> tuple[float, float, float]:
    """Return both correlations and their difference; rows are runs: gap, accuracy, held out."""
    ranks = scipy.stats.rankdata(values, axis=0)
    with np.errstate(invalid="ignore"):  # NaN where all values of a predictor are the same
        matrix = np.corrcoef(ranks, rowvar=False)
    return float(matrix[0, 2]), float(matrix[1, 2]), float(matrix[0, 2] - matrix[1, 2])
