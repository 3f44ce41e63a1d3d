"""The claims: verdicts come from intervals, and each could come out against the lesson."""

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


def predictions(shares: list[float], corrupted: float) -> Predictions:
    """A model that recognises a share of the images, by seed, and of the corrupted ones."""
    labels = np.zeros(IMAGES, dtype=np.uint8)
    probabilities = np.zeros((len(shares), IMAGES, 10), dtype=np.float32)
    for seed, share in enumerate(shares):
        recognised = np.arange(IMAGES) < round(share * IMAGES)
        probabilities[seed, :, 0] = recognised
        probabilities[seed, :, 1] = ~recognised
    first = np.arange(IMAGES) < round(corrupted * IMAGES)
    return Predictions(
        probabilities,
        labels,
        shifted=np.broadcast_to(first, (len(shares), 9, 9, IMAGES)),
        corrupted=np.broadcast_to(first, (len(shares), len(CORRUPTIONS), 5, IMAGES)),
    )


def runs(model: str, gaps: list[float], bias: float = 0.0, ece: float = 0.05) -> pd.DataFrame:
    """A row per seed with what the claims read of it; seeds differ a little."""
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


def judged(**changes: Any) -> dict[int, claims.Claim]:
    """The claims about two models: in all of them the lesson is right, but for `changes`."""
    said: dict[str, Any] = {
        "gaps": [0.07, 0.08, 0.075],
        "other_gaps": [0.01, 0.02, 0.012],
        "bias": 0.05,
        "ece": (0.06, 0.02),
        "shares": [0.88, 0.885, 0.8825],
        "other_shares": [0.875, 0.88, 0.8775],
        "corrupted": (0.5, 0.6),
        "augmentation": AUGMENTED,
    } | changes
    found = claims.judge(
        pd.concat(
            [
                runs("baseline", said["gaps"], ece=said["ece"][0]),
                runs("regularized", said["other_gaps"], said["bias"], said["ece"][1]),
            ]
        ),
        {
            "baseline": predictions(said["shares"], said["corrupted"][0]),
            "regularized": predictions(said["other_shares"], said["corrupted"][1]),
        },
        {"baseline": PLAIN, "regularized": said["augmentation"]},
    )
    return {claim.number: claim for claim in found}


def verdict(claim: claims.Claim) -> str:
    [judged] = [one.verdict for one in claim.findings if one.verdict]
    return judged


@pytest.mark.parametrize(
    ("low", "high", "seeds", "expected"),
    [
        (0.005, 0.02, 3, "holds"),
        (-0.005, 0.02, 3, "undecided at 3 seeds"),
        (-0.005, 0.009, 3, "does not hold"),
        (-0.05, -0.02, 3, "does not hold"),
        (0.005, 0.02, 1, "undecided at 1 seed"),
        (float("nan"), float("nan"), 1, "undecided at 1 seed"),
    ],
)
def test_a_verdict_is_its_interval(low: float, high: float, seeds: int, expected: str) -> None:
    assert claims.verdict(Interval((low + high) / 2, low, high), seeds) == expected


def test_every_claim_holds_where_the_lesson_is_right() -> None:
    found = judged()
    assert list(found) == [1, 2, 3, 4, 7]
    assert {number: verdict(claim) for number, claim in found.items()} == dict.fromkeys(
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
def test_every_claim_can_come_out_against_the_lesson(number: int, changes: dict[str, Any]) -> None:
    found = judged(**changes)
    assert verdict(found[number]) == "does not hold"
    assert {verdict(claim) for other, claim in found.items() if other not in (1, 2, number)} == {
        "holds"
    }


@pytest.mark.parametrize("number", [1, 2, 3, 4, 7])
def test_one_seed_decides_nothing(number: int) -> None:
    one = judged(gaps=[0.07], other_gaps=[0.01], shares=[0.88], other_shares=[0.875])
    assert verdict(one[number]) == "undecided at 1 seed"


def test_the_shrinking_of_the_lessons_gap_is_split() -> None:
    lesson, bias, true = [one.interval.estimate for one in judged()[2].findings]
    assert lesson == pytest.approx(bias + true)
    assert bias == pytest.approx(0.05)
    assert true == pytest.approx(0.225 / 3 - 0.042 / 3)


def test_a_loss_is_paired_by_image() -> None:
    [loss] = judged()[3].findings
    assert loss.interval.estimate == pytest.approx(0.005)
    assert loss.interval.high < 0.02  # unpaired, 400 images would leave it wider than 4 points
    [note] = judged()[3].notes
    assert "p = 0.5" in note  # two images on which only one network is right: 2 · (1/2)² = 0.5


def test_what_augmentation_showed_is_not_held_out() -> None:
    measures = [one.measure for one in judged()[4].findings]
    assert any("matched" in measure for measure in measures)
    without = [one.measure for one in judged(augmentation=PLAIN)[4].findings]
    assert not any("matched" in measure for measure in without)
    found = predictions([0.9, 0.9], 0.5)
    better = found.corrupted.copy()
    better[:, list(CORRUPTIONS).index("translation")] = True  # only where it was trained for
    claim = claims.judge(
        pd.concat([runs("baseline", [0.07, 0.08]), runs("regularized", [0.01, 0.02])]),
        {
            "baseline": found,
            "regularized": Predictions(found.probabilities, found.labels, found.shifted, better),
        },
        {"baseline": PLAIN, "regularized": AUGMENTED},
    )[3]
    held_out, _, matched, _ = claim.findings
    assert held_out.interval == Interval(0.0, 0.0, 0.0)
    assert matched.interval.estimate == pytest.approx(0.25)  # half of the images, one of two kinds


def test_without_robustness_it_is_not_measured() -> None:
    found = predictions([0.9, 0.9], 0.5)
    empty = Predictions(
        found.probabilities, found.labels, found.shifted[..., :0], found.corrupted[..., :0]
    )
    claim = claims.judge(
        pd.concat([runs("baseline", [0.07, 0.08]), runs("regularized", [0.01, 0.02])]),
        {"baseline": empty, "regularized": empty},
        {"baseline": PLAIN, "regularized": AUGMENTED},
    )[3]
    assert claim.findings == []
    assert "`robustness.test_size` is 0" in claim.notes[0]


def test_one_model_is_compared_with_none() -> None:
    found = claims.judge(
        runs("baseline", [0.07, 0.08]),
        {"baseline": predictions([0.9, 0.9], 0.5)},
        {"baseline": PLAIN},
    )
    assert [len(claim.findings) for claim in found] == [1, 0, 0, 0, 0]
    assert claims.table(found)["model"].tolist() == ["baseline"]


def test_other_claims_name_what_is_missing() -> None:
    rows = {row[0]: row[2] for row in tables.other_claims(["baseline", "regularized"]).rows}
    assert list(rows) == ["5", "6", "8", "9", "10", "11", "12", "13"]
    assert rows["5"] == "add `dropout_only`, `augmentation_only` to `compare`"
    assert rows["6"].startswith("copies of both with")
    all_there = ["baseline", "regularized", "dropout_only", "augmentation_only"]
    rows = {row[0]: row[2] for row in tables.other_claims(all_there).rows}
    assert rows["5"] == "nothing: all are compared"


def test_the_answer_is_computed() -> None:
    gaps = pd.DataFrame(
        {
            "model": ["baseline", "regularized"],
            "seeds": 3,
            "gap": [0.075, 0.014],
            "lesson_gap": [0.075, -0.036],
            "mode_bias": [0.0, 0.05],
        }
    )
    first, second, third = tables.answer(list(judged().values()), gaps)
    assert "+7.5 percentage points" in first
    assert "that it overfits holds" in first
    assert "\N{MINUS SIGN}6.1 against baseline" in second
    assert "only a hair lower holds" in third
    [_, _, third] = tables.answer(list(judged(corrupted=(0.5, 0.4)).values()), gaps)
    assert "degrades more gracefully does not hold" in third
