"""The answers to learners' questions follow from the numbers, whichever way these come out."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from overfitting.analysis import results
from overfitting.analysis.models import ModelResults
from overfitting.analysis.predictions import Predictions
from overfitting.report import questions
from overfitting.report.questions import Answer

PLAIN: dict[str, Any] = {
    "augmentation": {"flip": None, "translation": 0.0},
    "dropout": {"conv": 0.0, "dense": 0.0},
    "batch_norm": False,
    "early_stopping": None,
}
BOTH = PLAIN | {"augmentation": {"flip": "horizontal"}, "dropout": {"conv": 0.2, "dense": 0.5}}
SEEDS = 3
LABELS = np.arange(1000) % 10


def right(shares: list[float], images: int = 2000) -> np.ndarray:
    return np.stack([np.arange(images) < round(share * images) for share in shares])


def around(mean: float, spread: float = 0.002) -> list[float]:
    return [mean - spread, mean, mean + spread]


def model(
    name: str,
    settings: dict[str, Any],
    *,
    train: float,
    test: float,
    validation: float,
    in_train_mode: float,
    printed: float,
) -> ModelResults:
    """A model with three seeds around the given accuracies."""
    correct = right(around(test))
    labels = np.zeros(correct.shape[1], dtype=int)
    probabilities = np.stack([np.where(correct, 0.9, 0.1), np.where(correct, 0.1, 0.9)], axis=2)
    table = pd.DataFrame(
        {
            "model": name,
            "seed": range(SEEDS),
            "train_accuracy": around(train),
            "val_accuracy": around(validation),
            "test_accuracy": around(test),
            "printed_train_accuracy": around(printed),
            "running_average_part": [in_train_mode - printed] * SEEDS,
            "train_mode_part": [train - in_train_mode] * SEEDS,
        }
    )
    empty = np.zeros((SEEDS, 0), dtype=bool)
    predicted = Predictions(
        probabilities, labels, empty, empty, right(around(validation)), right(around(test))
    )
    return ModelResults(name, settings, table, predicted)


def curves(compared: list[ModelResults], lowest: int = 2) -> pd.DataFrame:
    """Two epochs of each run; the validation loss is lowest in the epoch `lowest`."""
    rows = []
    for each in compared:
        for row in each.table.to_dict("records"):
            for epoch in (1, 2):
                rows.append(
                    {
                        "model": each.name,
                        "seed": row["seed"],
                        "epoch": epoch,
                        "accuracy": row["printed_train_accuracy"] - 0.1 * (2 - epoch),
                        "val_accuracy": row["val_accuracy"] - 0.1 * (2 - epoch),
                        "val_loss": 1.0 + abs(epoch - lowest),
                    }
                )
    return pd.DataFrame(rows)


def answered(*compared: ModelResults, lowest: int = 2, labels: np.ndarray = LABELS) -> list[Answer]:
    of_curves = curves(list(compared), lowest)
    return questions.answers(
        {each.name: each for each in compared},
        "plain" if compared[0].name == "plain" else None,
        of_curves,
        results.lowest_val_loss(of_curves),
        labels,
        (800, 200),
    )


def plain(**changes: float) -> ModelResults:
    values = {
        "train": 0.95,
        "test": 0.88,
        "validation": 0.88,
        "in_train_mode": 0.95,
        "printed": 0.94,
    }
    return model("plain", PLAIN, **(values | changes))


def both(**changes: float) -> ModelResults:
    values = {
        "train": 0.86,
        "test": 0.84,
        "validation": 0.84,
        "in_train_mode": 0.80,
        "printed": 0.81,
    }
    return model("both", BOTH, **(values | changes))


def test_validation_above_training_is_explained_where_it_is() -> None:
    first = answered(plain(), both())[0]
    [sentence] = first.by_model
    assert sentence.startswith("both: for the last epoch Keras prints 0.810 for training and 0.840")
    assert "they are 0.860 and 0.840: training minus validation is +2.0 points" in sentence
    nowhere = answered(plain(), both(printed=0.85))[0]
    assert nowhere.by_model == []
    assert nowhere.answer.endswith("In this run, it is not above for any model.")


def test_fit_and_evaluate_differ_by_two_parts() -> None:
    _, second, *_ = answered(plain(), both())
    assert second.by_model[0].endswith(
        "Of these +1.0 points, the running average makes +1.0 and train mode 0.0."
    )
    assert second.by_model[1].endswith(
        "Of these +5.0 points, the running average makes −1.0 and train mode +6.0."
    )


def test_batch_normalization_is_answered_by_models_that_have_it() -> None:
    third = answered(plain(), both())[2]
    assert "no model in `compare` has it; add `batch_norm`" in third.answer
    values = {"train": 0.9, "test": 0.88, "validation": 0.88, "printed": 0.9}
    alone = model("bn", PLAIN | {"batch_norm": True}, in_train_mode=0.87, **values)
    stacked = model("all", BOTH | {"batch_norm": True}, in_train_mode=0.80, **values)
    third = answered(plain(), alone, stacked)[2]
    assert "add `batch_norm`" not in third.answer
    assert third.by_model[0].startswith(
        "bn: from train mode to inference mode, the training accuracy changes by +3.0 points"
    )
    assert "together" not in third.by_model[0]
    assert third.by_model[1].endswith("together with its augmentation and dropout.")


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ({"train": 0.86, "test": 0.80}, "at these settings, it underfits."),
        ({"train": 0.90, "test": 0.93}, "it does not underfit."),
        ({"train": 0.86, "test": 0.88}, "Whether it underfits is inconclusive"),
    ],
)
def test_underfitting_can_come_out_either_way(accuracies: dict[str, float], expected: str) -> None:
    [sentence] = answered(plain(), both(**accuracies, validation=0.85))[3].by_model
    # All seeds of both sides differ by the same amount, unless one of them is moved.
    assert "cannot tell" in sentence
    moved = both(**accuracies, validation=0.85)
    moved.table["train_accuracy"] = [accuracies["train"] + 0.01, *moved.table["train_accuracy"][1:]]
    moved.predictions.probabilities[0] = np.roll(moved.predictions.probabilities[0], 7, axis=0)
    moved.predictions.probabilities[0, :20] = [0.1, 0.9]
    [sentence] = answered(plain(), moved)[3].by_model
    assert expected in sentence
    assert "lowest in the last epoch for 3 of 3 seeds, so more epochs might help" in sentence
    [sentence] = answered(plain(), moved, lowest=1)[3].by_model
    assert "for 0 of 3 seeds, so more epochs alone would not help" in sentence


def test_underfitting_is_against_a_model_that_is_trained_alike() -> None:
    long = {"epochs": 60}
    longer = replace(both(), name="longer", training=long)
    longer_plain = replace(plain(train=0.99), name="longer_plain", training=long)
    assert "This run cannot say" in answered(plain(), longer)[3].answer
    [sentence] = answered(plain(), longer, longer_plain)[3].by_model
    assert sentence.startswith("longer: against longer_plain, its accuracy changes by −13.0 points")


def test_without_a_model_to_compare_with_underfitting_is_not_judged() -> None:
    for compared in ([both()], [plain()]):
        assert "This run cannot say" in answered(*compared)[3].answer


def test_a_split_is_to_blame_only_if_the_numbers_say_so() -> None:
    fine = answered(plain())[4]
    assert "Here there is no sign of that." in fine.answer
    assert "10.0% to 10.0% of the images trained on and 10.0% to 10.0% of the images" in fine.answer
    different = plain(validation=0.80)
    different.predictions.correct_validation[0, :40] = False
    last = answered(different, labels=np.repeat(np.arange(10), 100))[4]
    assert "Here they do, for plain" in last.answer
    assert "−8." in last.by_model[0] and "95% interval −" in last.by_model[0]
    assert "0.0% to 12.5% of the images trained on and 0.0% to 50.0%" in last.answer
