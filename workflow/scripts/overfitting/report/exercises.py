"""The exercises of the lesson, answered with the numbers of this run beside the lesson's hints."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from overfitting.analysis import lesson, measures
from overfitting.analysis.findings import (
    NOT_SUPPORTED,
    SUPPORTED,
    Finding,
    combined,
    verdict,
)
from overfitting.analysis.models import ModelResults, differing, regularizers
from overfitting.analysis.statistics import Interval, mean_over_seeds
from overfitting.analysis.training_claims import ALL_EPOCHS, MOST_EPOCHS

from .formatting import points, share

LIGHTER_RATE = 0.2
"""The final dropout that exercise 2 tries instead of the lesson's 0.5."""
PATIENCE = 3
"""That of exercise 3, in epochs."""
NO_HINT = "–"
TRAIN, PRINTED = "train_accuracy", "final training accuracy, as printed"


@dataclass(frozen=True)
class Exercise:
    """An exercise of the lesson, and what this run says about it."""

    title: str
    """Its name in the lesson."""
    task: str
    hint: str
    """What the lesson prints as a hint, in a sentence."""
    missing: str
    """What to add to `params.yaml` if `measured` is empty."""
    measured: list[tuple[Finding, str]] = field(default_factory=list)
    """What was measured, each with the number or the words of the hint."""
    answer: list[str] = field(default_factory=list)
    """Sentences."""


def answer(models: list[ModelResults], like_lesson: Mapping[str, bool]) -> list[Exercise]:
    """Answer all exercises.

    Args:
        models: in the order of the report.
        like_lesson: by model, whether it has settings for which the lesson reports results.
    """
    exercises = [baseline_gap(models, like_lesson), dropout_rate(models), early_stopping(models)]
    for exercise in exercises[:2]:
        if exercise.measured and not like_lesson[exercise.measured[0][0].model]:
            exercise.answer.append(
                "These are not the lesson's settings, so its hint need not hold."
            )
    return exercises


def baseline_gap(models: list[ModelResults], like_lesson: Mapping[str, bool]) -> Exercise:
    """Answer exercise 1 for a model without regularizers: the lesson's, or else the first one."""
    hints = lesson.RESULTS[0][1]
    exercise = Exercise(
        "Exercise 1: Measure the Baseline Gap",
        "Train the baseline, and print its final training accuracy, its test accuracy and the gap "
        "between them.",
        f"“roughly {hints['train_accuracy']} minus {hints['test_accuracy']}, a gap of about "
        f"{hints['gap']}”",
        "add a model without regularizers to `compare`, such as `baseline`",
    )
    plain = [model for model in models if not regularizers(model.settings)]
    if not plain:
        return exercise
    model = next((each for each in plain if like_lesson[each.name]), plain[0])
    gap = model.gap("printed_train_accuracy").estimate().interval
    test = measures.mean_of(model.predictions.correct).estimate().interval
    exercise.measured.extend(
        [
            (_level(model, PRINTED, _printed(model).estimate().interval), share(hints[TRAIN])),
            (_level(model, "test accuracy", test), share(hints["test_accuracy"])),
            (Finding(model.name, "their difference", gap), points(hints["gap"])),
            (Finding(model.name, "gap, measured alike", model.gap().estimate().interval), NO_HINT),
        ]
    )
    if not np.isnan(gap.low):
        where = "inside" if gap.low <= hints["gap"] <= gap.high else "outside"
        exercise.answer.append(f"The hint's gap lies {where} the interval of the difference.")
    return exercise


def dropout_rate(models: list[ModelResults]) -> Exercise:
    """Answer exercise 2 for two models that differ in their final dropout alone."""
    settings, hints = lesson.RESULTS[1]
    exercise = Exercise(
        "Exercise 2: Vary the Dropout Rate",
        f"Change the final dropout of the regularized model from {settings['dropout']['dense']:g} "
        f"to {LIGHTER_RATE:g}. Does a lighter dropout rate let the model memorize more?",
        "“expect the training accuracy to creep back up and the gap to widen”, compared to a gap "
        f"of “roughly {-hints['gap']:.3f}”, which is {points(hints['gap'])} points with its sign",
        "add `regularized` and `light_dropout` to `compare`",
    )
    pairs = (
        (usual, lighter)
        for usual in models
        for lighter in models
        if usual.settings == settings
        and differing(usual, lighter) == {("dropout", "dense")}
        and lighter.settings["dropout"]["dense"] == LIGHTER_RATE
    )
    usual, lighter = next(pairs, (None, None))
    if usual is None or lighter is None:
        return exercise
    rise = measures.difference(_printed(lighter), _printed(usual))
    growth = measures.difference(lighter.gap(), usual.gap())
    lesson_gaps = [side.gap("printed_train_accuracy") for side in (lighter, usual)]
    growth_of_lesson_gap = measures.difference(*lesson_gaps)
    decision = verdict(growth)
    own_gap = lesson_gaps[1].estimate().interval
    exercise.measured.extend(
        [
            (_level(usual, PRINTED, _printed(usual).estimate().interval), share(hints[TRAIN])),
            (Finding(usual.name, "the lesson's gap", own_gap), points(hints["gap"])),
            (Finding(lighter.name, "rise of the printed accuracy", rise.interval), "above 0"),
            (
                Finding(lighter.name, "growth of the lesson's gap", growth_of_lesson_gap.interval),
                "above 0",
            ),
            (Finding(lighter.name, "growth of the gap", growth.interval), NO_HINT),
        ]
    )
    of_hint = combined([verdict(rise), verdict(growth_of_lesson_gap)])
    exercise.answer.append(f"With the numbers that Keras prints, the lesson's hint is {of_hint}.")
    answers = {
        SUPPORTED: "Measured alike, the gap is larger, too.",
        NOT_SUPPORTED: "Measured alike, the gap is not larger by a point or more.",
    }
    unknown = f"Measured alike, whether the gap is larger is {decision}."
    exercise.answer.append(answers.get(decision, unknown))
    return exercise


def early_stopping(models: list[ModelResults]) -> Exercise:
    """Answer exercise 3 for a model with dropout, augmentation and early stopping."""
    exercise = Exercise(
        "Exercise 3: Add Early Stopping",
        f"Train the regularized model for up to {ALL_EPOCHS} epochs with early stopping, patience "
        f"{PATIENCE}, and print how many epochs ran.",
        f"“training may use most of the {ALL_EPOCHS} epochs before stopping”",
        "add `early_stopping` to `compare`",
    )
    for model in models:
        wanted = lesson.REGULARIZED | {"early_stopping": {"patience": PATIENCE}}
        if model.settings != wanted or model.training.get("epochs") != ALL_EPOCHS:
            continue
        epochs = model.table["epochs_run"].to_numpy(dtype=float)
        best_epochs = model.table["best_epoch"].to_numpy(dtype=float)
        hints = {"epochs run": f"most of {ALL_EPOCHS}", "best epoch": NO_HINT}
        for (measure, hint), values in zip(hints.items(), (epochs, best_epochs), strict=True):
            estimate = mean_over_seeds(values, limits=(1, ALL_EPOCHS))
            exercise.measured.append((_level(model, measure, estimate.interval, digits=1), hint))
        many = int((epochs > MOST_EPOCHS).sum())
        exercise.answer.append(
            f"{many} of {len(epochs)} seeds ran for more than {MOST_EPOCHS} of the {ALL_EPOCHS} "
            f"epochs: {', '.join(f'{count:.0f}' for count in epochs)}."
        )
        break
    return exercise


def _printed(model: ModelResults) -> measures.Measure:
    """Return the training accuracy that Keras prints for the last epoch."""
    return measures.over_seeds(model.table["printed_train_accuracy"].to_numpy(), measures.SHARE)


def _level(model: ModelResults, measure: str, interval: Interval, digits: int = 3) -> Finding:
    """Return a finding that is neither a difference nor shown in points."""
    return Finding(
        model.name, measure, interval, in_points=False, is_difference=False, digits=digits
    )
