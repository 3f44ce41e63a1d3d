"""Verdicts on claims follow from intervals, and the data can contradict each claim."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from overfitting.analysis import claims
from overfitting.analysis.predictions import Predictions
from overfitting.analysis.statistics import Interval
from overfitting.evaluation.corruptions import CORRUPTIONS
from overfitting.report import tables

PLAIN = {"flip": None, "translation": 0.0}
AUGMENTED = {"flip": "horizontal", "translation": 0.1}
IMAGES = 400


def predictions(accuracies: list[float], corrupted_accuracy: float) -> Predictions:
    """Predictions with the given accuracy for each seed, and on corrupted and shifted images."""
    labels = np.zeros(IMAGES, dtype=np.uint8)
    probabilities = np.zeros((len(accuracies), IMAGES, 10), dtype=np.float32)
    for seed, accuracy in enumerate(accuracies):
        correct = np.arange(IMAGES) < round(accuracy * IMAGES)
        probabilities[seed, :, 0] = correct
        probabilities[seed, :, 1] = ~correct
    correct_corrupted = np.arange(IMAGES) < round(corrupted_accuracy * IMAGES)
    return Predictions(
        probabilities,
        labels,
        correct_shifted=np.broadcast_to(correct_corrupted, (len(accuracies), 9, 9, IMAGES)),
        correct_corrupted=np.broadcast_to(
            correct_corrupted, (len(accuracies), len(CORRUPTIONS), 5, IMAGES)
        ),
    )


def runs(model: str, gaps: list[float], bias: float = 0.0, ece: float = 0.05) -> pd.DataFrame:
    """A row per seed with the columns that the claims use; seeds differ slightly."""
    count = len(gaps)
    return pd.DataFrame(
        {
            "model": model,
            "seed": range(count),
            "gap": gaps,
            "mode_bias": bias,
            "lesson_gap": np.array(gaps) - bias,
            "ece": ece + 0.001 * np.arange(count),
            "brier": 0.2,
            "test_loss": 0.4,
            "val_accuracy": 0.88,
            "test_accuracy": 0.87,
            "whole_test_accuracy": 0.86,
        }
    )


def evaluated(**changes: Any) -> dict[int, claims.Claim]:
    """The claims about two models, by number; all of them hold unless `changes` say otherwise."""
    data: dict[str, Any] = {
        "gaps": [0.07, 0.08, 0.075],
        "other_gaps": [0.01, 0.02, 0.012],
        "bias": 0.05,
        "ece": (0.06, 0.02),
        "shares": [0.88, 0.885, 0.8825],
        "other_shares": [0.875, 0.88, 0.8775],
        "corrupted": (0.5, 0.6),
        "augmentation": AUGMENTED,
    } | changes
    evaluated_claims = claims.evaluate(
        pd.concat(
            [
                runs("baseline", data["gaps"], ece=data["ece"][0]),
                runs("regularized", data["other_gaps"], data["bias"], data["ece"][1]),
            ]
        ),
        {
            "baseline": predictions(data["shares"], data["corrupted"][0]),
            "regularized": predictions(data["other_shares"], data["corrupted"][1]),
        },
        {"baseline": PLAIN, "regularized": data["augmentation"]},
    )
    return {claim.number: claim for claim in evaluated_claims}


def verdict(claim: claims.Claim) -> str:
    [only_verdict] = [finding.verdict for finding in claim.findings if finding.verdict]
    return only_verdict


@pytest.mark.parametrize(
    ("low", "high", "n_seeds", "expected"),
    [
        (0.005, 0.02, 3, "holds"),
        (-0.005, 0.02, 3, "undecided at 3 seeds"),
        (-0.005, 0.009, 3, "does not hold"),
        (-0.05, -0.02, 3, "does not hold"),
        (0.005, 0.02, 1, "undecided at 1 seed"),
        (float("nan"), float("nan"), 1, "undecided at 1 seed"),
    ],
)
def test_a_verdict_follows_from_its_interval(
    low: float, high: float, n_seeds: int, expected: str
) -> None:
    assert claims.verdict(Interval((low + high) / 2, low, high), n_seeds) == expected


def test_every_claim_holds_on_data_that_agree_with_the_lesson() -> None:
    by_number = evaluated()
    assert list(by_number) == [1, 2, 3, 4, 7]
    assert {number: verdict(claim) for number, claim in by_number.items()} == dict.fromkeys(
        [1, 2, 3, 4, 7], "holds"
    )


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (1, {"gaps": [0.001, -0.001, 0.0]}),
        (2, {"other_gaps": [0.07, 0.08, 0.076]}),
        (3, {"other_shares": [0.78, 0.785, 0.7825]}),
        (4, {"corrupted": (0.5, 0.4)}),
        (7, {"ece": (0.05, 0.05)}),
    ],
)
def test_every_claim_can_be_contradicted(number: int, changes: dict[str, Any]) -> None:
    by_number = evaluated(**changes)
    assert verdict(by_number[number]) == "does not hold"
    assert {
        verdict(claim) for other, claim in by_number.items() if other not in (1, 2, number)
    } == {"holds"}


@pytest.mark.parametrize("number", [1, 2, 3, 4, 7])
def test_one_seed_decides_nothing(number: int) -> None:
    one = evaluated(gaps=[0.07], other_gaps=[0.01], shares=[0.88], other_shares=[0.875])
    assert verdict(one[number]) == "undecided at 1 seed"


def test_the_reduction_of_the_lessons_gap_is_the_sum_of_its_parts() -> None:
    lesson_gap, mode_bias, gap = [finding.interval.estimate for finding in evaluated()[2].findings]
    assert lesson_gap == pytest.approx(mode_bias + gap)
    assert mode_bias == pytest.approx(0.05)
    assert gap == pytest.approx(0.225 / 3 - 0.042 / 3)


def test_the_accuracy_loss_is_paired_by_image() -> None:
    [loss] = evaluated()[3].findings
    assert loss.interval.estimate == pytest.approx(0.005)
    assert loss.interval.high < 0.02  # unpaired, the interval would be wider than 4 points
    [note] = evaluated()[3].notes
    assert "p = 0.5" in note  # two images on which only one network is correct: 2 · (1/2)² = 0.5


def test_corruptions_that_match_the_augmentation_are_not_held_out() -> None:
    measures = [finding.measure for finding in evaluated()[4].findings]
    assert any("matched" in measure for measure in measures)
    without = [finding.measure for finding in evaluated(augmentation=PLAIN)[4].findings]
    assert not any("matched" in measure for measure in without)
    both = predictions([0.9, 0.9], 0.5)
    better = both.correct_corrupted.copy()
    better[:, list(CORRUPTIONS).index("translation")] = True  # matched by AUGMENTED
    claim = claims.evaluate(
        pd.concat([runs("baseline", [0.07, 0.08]), runs("regularized", [0.01, 0.02])]),
        {
            "baseline": both,
            "regularized": Predictions(
                both.probabilities, both.labels, both.correct_shifted, better
            ),
        },
        {"baseline": PLAIN, "regularized": AUGMENTED},
    )[3]
    held_out, _, matched, _ = claim.findings
    assert held_out.interval == Interval(0.0, 0.0, 0.0)
    assert matched.interval.estimate == pytest.approx(
        0.25
    )  # half of the images, one of two corruptions


def test_without_corrupted_images_robustness_is_not_measured() -> None:
    both = predictions([0.9, 0.9], 0.5)
    empty = Predictions(
        both.probabilities,
        both.labels,
        both.correct_shifted[..., :0],
        both.correct_corrupted[..., :0],
    )
    claim = claims.evaluate(
        pd.concat([runs("baseline", [0.07, 0.08]), runs("regularized", [0.01, 0.02])]),
        {"baseline": empty, "regularized": empty},
        {"baseline": PLAIN, "regularized": AUGMENTED},
    )[3]
    assert claim.findings == []
    assert "`robustness.test_size` is 0" in claim.notes[0]


def test_with_one_model_nothing_is_compared() -> None:
    evaluated_claims = claims.evaluate(
        runs("baseline", [0.07, 0.08]),
        {"baseline": predictions([0.9, 0.9], 0.5)},
        {"baseline": PLAIN},
    )
    assert [len(claim.findings) for claim in evaluated_claims] == [1, 0, 0, 0, 0]
    assert claims.table(evaluated_claims)["model"].tolist() == ["baseline"]


def test_other_claims_name_what_is_missing() -> None:
    rows = {row[0]: row[2] for row in tables.other_claims(["baseline", "regularized"]).rows}
    assert list(rows) == ["5", "6", "8", "9", "10", "11", "12", "13"]
    assert rows["5"] == "add `dropout_only`, `augmentation_only` to `compare`"
    assert rows["6"].startswith("copies of both with")
    compare = ["baseline", "regularized", "dropout_only", "augmentation_only"]
    rows = {row[0]: row[2] for row in tables.other_claims(compare).rows}
    assert rows["5"] == "nothing: all are compared"


def test_the_answer_follows_from_the_claims() -> None:
    gaps = pd.DataFrame(
        {
            "model": ["baseline", "regularized"],
            "seeds": 3,
            "gap": [0.075, 0.014],
            "lesson_gap": [0.075, -0.036],
            "mode_bias": [0.0, 0.05],
        }
    )
    first, second, third = tables.answer(list(evaluated().values()), gaps)
    assert "+7.5 percentage points" in first
    assert "the claim that it overfits holds" in first
    assert "Compared with baseline, it changes by \N{MINUS SIGN}6.1 points" in second
    assert "only a hair lower holds" in third
    [_, _, third] = tables.answer(list(evaluated(corrupted=(0.5, 0.4)).values()), gaps)
    assert "degrades more gracefully does not hold" in third
