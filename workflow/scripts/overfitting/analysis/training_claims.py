"""Claims 6, 9 and 10: how training goes on, when it stops, and how fast it is."""

from collections.abc import Sequence

import numpy as np

from . import measures
from .findings import INCONCLUSIVE, SUPPORTED, Claim, Finding, verdict
from .models import ModelResults, differing, regularizers
from .statistics import Estimate, mean_over_seeds

FIRST_EPOCHS, MORE_EPOCHS = 15, (30, 60)
"""Claim 6 compares the validation accuracy after `MORE_EPOCHS` with that after `FIRST_EPOCHS`."""
MAX_GAIN = 0.01
"""What the model without regularizers may gain by more epochs, as a share: claim 6."""
ALL_EPOCHS, MOST_EPOCHS = 30, 20
""""Most of 30 epochs" are more than 20: claim 9."""
MIN_EPOCHS = 1.0
"""The smallest difference that matters in a number of epochs: claims 9 and 10."""
GOAL = 0.85
"""The validation accuracy that claim 10 takes for trained."""


def headroom(models: list[ModelResults]) -> Claim:
    """Evaluate claim 6 on pairs of models that are trained for 60 epochs alike."""
    last = MORE_EPOCHS[-1]
    claim = Claim(
        "6",
        "More epochs help the regularized model, not the baseline.",
        f"Does the regularized model gain by {last} epochs instead of {FIRST_EPOCHS}, and the "
        f"model without regularizers less than {100 * MAX_GAIN:g} point?",
        f"The gain in validation accuracy from epoch {FIRST_EPOCHS} to epochs "
        f"{' and '.join(map(str, MORE_EPOCHS))} of the same training, and the margin before the "
        f"gain of the model without regularizers reaches {100 * MAX_GAIN:g} point. These "
        "intervals are over seeds alone, as Keras prints no accuracy by image.",
        missing="add copies of `baseline` and `regularized` with `training: {epochs: "
        f"{last}}}` to `compare`",
    )
    longest = [model for model in models if min(map(len, model.val_accuracy), default=0) >= last]
    plain = [model for model in longest if not regularizers(model.settings)]
    for model in longest:
        reference = next((each for each in plain if each.training == model.training), None)
        if reference is None or not model.is_judged:
            continue
        for side in (reference, model):
            claim.points.extend(
                side.points(model.name, "validation accuracy", epoch, _after(side, epoch))
                for epoch in range(1, last + 1)
            )
            for epoch in MORE_EPOCHS[:-1]:
                gain = _gain(side, epoch)
                claim.findings.append(
                    Finding(model.name, f"gain of {side.name} by epoch {epoch}", gain.interval)
                )
        of_reference, own = _gain(reference, last), _gain(model, last)
        margin = measures.plus(_gain(reference, last, sign=-1.0), MAX_GAIN)
        claim.findings.extend(
            [
                Finding(
                    model.name,
                    f"gain of {reference.name} by epoch {last}",
                    of_reference.interval,
                ),
                Finding(
                    model.name,
                    f"gain of {model.name} by epoch {last}",
                    own.interval,
                    verdict=verdict(own),
                ),
                Finding(
                    model.name,
                    f"margin before the gain of {reference.name} reaches {100 * MAX_GAIN:g} point",
                    margin.interval,
                    verdict=verdict(margin, margin=0.0),
                ),
            ]
        )
    return claim


def early_stopping(models: list[ModelResults]) -> Claim:
    """Evaluate claim 9 on models with dropout, augmentation and early stopping."""
    claim = Claim(
        "9",
        "Early stopping uses most of 30 epochs.",
        f"Does training run for more than {MOST_EPOCHS} of {ALL_EPOCHS} epochs before it stops?",
        f"The epochs run beyond {MOST_EPOCHS}, and the best epoch, whose weights are restored; "
        "the mean over the seeds. Less than one epoch counts as none. The claim needs the median "
        "of the epochs run above that number, too.",
        missing="add `early_stopping` to `compare`",
    )
    for model in models:
        wanted = {"augmentation", "dropout", "early_stopping"}
        if regularizers(model.settings) != wanted or model.training.get("epochs") != ALL_EPOCHS:
            continue
        epochs = model.table["epochs_run"].to_numpy(dtype=float)
        best_epochs = model.table["best_epoch"].to_numpy(dtype=float)
        run = mean_over_seeds(epochs, limits=(1, ALL_EPOCHS))
        beyond = measures.plus(run, -MOST_EPOCHS)
        best = mean_over_seeds(best_epochs, limits=(1, ALL_EPOCHS))
        decision = verdict(beyond, margin=MIN_EPOCHS)
        if decision == SUPPORTED and np.median(epochs) <= MOST_EPOCHS:
            decision = f"{INCONCLUSIVE}: the median is not above {MOST_EPOCHS}"
        for panel, numbers in {"epochs run": epochs, "best epoch": best_epochs}.items():
            claim.points.append(model.points(model.name, panel, model.table["seed"], numbers))
        claim.findings.extend(
            [
                Finding(
                    model.name,
                    "best epoch",
                    best.interval,
                    in_points=False,
                    is_difference=False,
                    digits=1,
                ),
                Finding(
                    model.name,
                    f"epochs run beyond {MOST_EPOCHS}",
                    beyond.interval,
                    in_points=False,
                    digits=1,
                    verdict=decision,
                ),
            ]
        )
        by_seed = ", ".join(f"{run:.0f}" for run in epochs)
        claim.notes.append(
            f"{model.name}: the seeds ran for {by_seed} epochs, in the median for "
            f"{np.median(epochs):g}."
        )
    return claim


def batch_normalization(models: list[ModelResults]) -> Claim:
    """Evaluate claim 10 on pairs of models that differ in batch normalization alone."""
    claim = Claim(
        "10",
        "Batch normalization speeds training and regularizes mildly.",
        f"Does it reach a validation accuracy of {GOAL:g} in fewer epochs, and is the gap smaller?",
        f"The reduction of the epochs until the validation accuracy is {GOAL:g} (one more than all "
        "where it never is), over seeds alone, and the reduction of the gap. Less than one epoch "
        "counts as none. The claim needs both.",
        missing="add `batch_norm` to `compare`, and a model without regularizers",
    )
    for model in models:
        if regularizers(model.settings) != {"batch_norm"}:
            continue
        plain = (each for each in models if differing(each, model) == {("batch_norm", "")})
        if (reference := next(plain, None)) is None:
            continue
        epochs = [_epochs_to_goal(side) for side in (reference, model)]
        most = max(map(len, model.val_accuracy))
        sooner = mean_over_seeds(epochs[0] - epochs[1], limits=(-most, most))
        for place, side in enumerate((reference, model)):
            measured = {f"epochs to {GOAL:g}": epochs[place], "gap": side.gap().by_seed}
            claim.points.extend(
                side.points(model.name, panel, place, values) for panel, values in measured.items()
            )
        reduction = measures.difference(reference.gap(), model.gap())
        claim.findings.extend(
            [
                Finding(
                    model.name,
                    f"reduction of the epochs to a validation accuracy of {GOAL:g}",
                    sooner.interval,
                    in_points=False,
                    digits=1,
                    verdict=verdict(sooner, margin=MIN_EPOCHS),
                ),
                Finding(
                    model.name,
                    "reduction of the gap",
                    reduction.interval,
                    verdict=verdict(reduction),
                ),
            ]
        )
    return claim


def _gains(model: ModelResults, epoch: int) -> np.ndarray:
    """Return by seed the gain in validation accuracy from epoch `FIRST_EPOCHS` to another."""
    return _after(model, epoch) - _after(model, FIRST_EPOCHS)


def _after(model: ModelResults, epoch: int) -> np.ndarray:
    """Return by seed the validation accuracy after an epoch."""
    return np.array([run[epoch - 1] for run in model.val_accuracy])


def _gain(model: ModelResults, epoch: int, sign: float = 1.0) -> Estimate:
    return mean_over_seeds(sign * _gains(model, epoch), limits=measures.SIGNED_SHARE)


def _epochs_to_goal(model: ModelResults) -> np.ndarray:
    """Return by seed the first epoch whose validation accuracy is `GOAL`, or one after the last."""

    def first(run: Sequence[float]) -> int:
        reached = (epoch for epoch, accuracy in enumerate(run, start=1) if accuracy >= GOAL)
        return next(reached, len(run) + 1)

    return np.array([first(run) for run in model.val_accuracy], dtype=float)
