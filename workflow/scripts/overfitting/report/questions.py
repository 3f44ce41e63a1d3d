"""Questions that learners ask about such results, answered with the numbers of this run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from overfitting.analysis import differences
from overfitting.analysis.models import ModelResults, Pair, pairs, regularizers
from overfitting.analysis.statistics import Estimate

from .formatting import bounds, points, share

KERAS_FAQ = (
    "https://keras.io/getting_started/faq/#why-is-my-training-loss-much-higher-than-my-testing-loss"
)


@dataclass(frozen=True)
class Answer:
    """A question, and its answer from the numbers of this run."""

    question: str
    answer: str
    """A paragraph."""
    by_model: list[str]
    """A sentence for each model that the answer is about."""


def answers(
    compared: Mapping[str, ModelResults],
    reference: str | None,
    curves: pd.DataFrame,
    lowest: pd.DataFrame,
    labels: np.ndarray,
    split: tuple[int, int],
) -> list[Answer]:
    """Answer all questions.

    Args:
        compared: the results by model, in the order of the report.
        reference: the model without regularizers; None if there is none.
        curves: as `results.curves_table` returns it.
        lowest: as `results.lowest_val_loss` returns it.
        labels: integers, the classes of the images of the training subset, in its order.
        split: how many of these images were trained on, and how many were held out.
    """
    models = list(compared.values())
    return [
        validation_above_training(models, curves),
        fit_and_evaluate(models),
        batch_normalization(models),
        underfitting(pairs(compared[reference], models) if reference else [], lowest),
        unshuffled_split(models, labels, split),
    ]


def validation_above_training(models: Sequence[ModelResults], curves: pd.DataFrame) -> Answer:
    """Say for which models Keras prints so, and what equal measurement gives."""
    last = curves[curves["epoch"] == curves.groupby(["model", "seed"])["epoch"].transform("max")]
    sentences = []
    for model in models:
        printed = last[last["model"] == model.name][["accuracy", "val_accuracy"]].mean()
        training, validation = float(printed["accuracy"]), float(printed["val_accuracy"])
        if training < validation:
            alike = model.table[["train_accuracy", "val_accuracy"]].mean()
            above = alike["train_accuracy"] - alike["val_accuracy"]
            sentences.append(
                f"{model.name}: for the last epoch Keras prints {share(training)} for training and "
                f"{share(validation)} for validation. Measured alike, with the final weights and "
                f"in inference mode, they are {share(alike['train_accuracy'])} and "
                f"{share(alike['val_accuracy'])}: training minus validation is {points(above)} "
                "points."
            )
    return Answer(
        "Why is the validation accuracy above the training accuracy?",
        "Because Keras does not measure them alike. It prints the training accuracy as a running "
        "average over the epoch, with dropout and augmentation on, and the validation accuracy "
        f"for the weights at the end of the epoch, with both off ([Keras FAQ]({KERAS_FAQ}))."
        + ("" if sentences else " In this run, it is not above for any model."),
        sentences,
    )


def fit_and_evaluate(models: Sequence[ModelResults]) -> Answer:
    """Split the difference between what `fit` prints and what `evaluate` gives into its parts."""
    sentences = []
    for model in models:
        mean = model.table.mean(numeric_only=True)
        difference = mean["train_accuracy"] - mean["printed_train_accuracy"]
        sentences.append(
            f"{model.name}: `fit` prints {share(mean['printed_train_accuracy'])}, `evaluate` gives "
            f"{share(mean['train_accuracy'])}. Of these {points(difference)} points, the running "
            f"average makes {points(mean['running_average_part'])} and train mode "
            f"{points(mean['train_mode_part'])}."
        )
    return Answer(
        "Why do `fit` and `evaluate` differ on the same images?",
        "For the same two reasons, on the same training images: `fit` averages over the epoch, "
        "while the weights still change, and its layers work in train mode. `evaluate` takes the "
        "final weights in inference mode.",
        sentences,
    )


def batch_normalization(models: Sequence[ModelResults]) -> Answer:
    """Say how much train mode changes the accuracy of models with batch normalization."""
    sentences = []
    for model in models:
        if model.settings["batch_norm"]:
            part = differences.train_mode_part(model)
            others = regularizers(model.settings) - {"batch_norm", "early_stopping"}
            alone = f", together with its {' and '.join(sorted(others))}" if others else ""
            sentences.append(
                f"{model.name}: from train mode to inference mode, the training accuracy changes "
                f"by {points(part.value)} points{_interval(part)}{alone}."
            )
    return Answer(
        "Does batch normalization do that too?",
        "It can: in train mode it normalizes with the mean and variance of the batch, in "
        "inference mode with running averages of both."
        + (
            ""
            if sentences
            else " This run cannot say how much, as no model in `compare` has it; add `batch_norm`."
        ),
        sentences,
    )


def underfitting(compared: Sequence[Pair], lowest: pd.DataFrame) -> Answer:
    """Say whether models with dropout and augmentation are worse on training images, too."""
    sentences = []
    for reference, model in compared:
        if not model.is_judged:
            continue
        training, test = differences.accuracies(model, reference)
        epochs = lowest[lowest["model"] == model.name]
        at_end = int((epochs["lowest"] == epochs["epochs"]).sum())
        sentences.append(
            f"{model.name}: against {reference.name}, its accuracy changes by "
            f"{points(training.value)} points on the training images{_interval(training)} and by "
            f"{points(test.value)} points on the test images{_interval(test)}. "
            f"{_does_it_underfit(training, test)} Its validation loss is lowest in the last epoch "
            f"for {at_end} of {len(epochs)} seed{'s' * (len(epochs) > 1)}, so "
            + ("more epochs might help." if at_end else "more epochs alone would not help.")
        )
    missing = (
        " This run cannot say: `compare` needs a model without regularizers and one with dropout "
        "and augmentation."
    )
    return Answer(
        "Does the regularized model underfit?",
        "A model underfits if it does not even fit its training images well. With regularizers "
        "that cost training accuracy without a gain on new images, a network fits less than it "
        "could." + ("" if sentences else missing),
        sentences,
    )


def _does_it_underfit(training: Estimate, test: Estimate) -> str:
    if not (training.has_spread and test.has_spread):
        return "These seeds cannot tell whether it underfits."
    if training.interval.high < 0 and test.interval.high < 0:
        return "It is less accurate on both: at these settings, it underfits."
    if test.interval.low > 0:
        return "It is more accurate on new images: it does not underfit."
    return "Whether it underfits is inconclusive at these seeds."


def unshuffled_split(
    models: Sequence[ModelResults], labels: np.ndarray, split: tuple[int, int]
) -> Answer:
    """Say whether the last images, which `validation_split` holds out, differ from the others."""
    sentences, differing = [], []
    for model in models:
        difference = differences.validation_minus_test(model)
        if difference.has_spread and not (difference.interval.low <= 0 <= difference.interval.high):
            differing.append(model.name)
        sentences.append(
            f"{model.name}: the validation accuracy minus the test accuracy is "
            f"{points(difference.value)} points{_interval(difference)}."
        )
    trained_on, held_out = split
    parts = {
        "trained on": labels[:trained_on],
        "held out": labels[trained_on : trained_on + held_out],
    }
    spread = " and ".join(
        f"{100 * shares.min():.1f}% to {100 * shares.max():.1f}% of the images {part}"
        for part, of_part in parts.items()
        for shares in [np.bincount(of_part, minlength=labels.max() + 1) / max(len(of_part), 1)]
    )
    verdict = (
        f"Here they do, for {', '.join(differing)}: part of the validation gap may come from the "
        "split."
        if differing
        else "Here there is no sign of that."
    )
    return Answer(
        "Is the unshuffled split to blame?",
        "`validation_split` holds out the last images, without shuffling. If these were easier or "
        "harder than the others, validation and test accuracy would differ, as the test images "
        f"come from another file. {verdict} Each class makes up {spread}.",
        sentences,
    )


def _interval(estimate: Estimate) -> str:
    text = bounds(estimate.interval)
    return "" if text == "–" else f" (95% interval {text})"
