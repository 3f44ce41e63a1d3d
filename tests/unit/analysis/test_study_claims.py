"""The claims that need more models than two: each is measured, and can come out either way."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from overfitting.analysis import findings, models, prediction_claim
from overfitting.analysis.findings import Claim, Finding, combined
from overfitting.analysis.measures import mean_of, over_seeds, weighted
from overfitting.analysis.models import ModelResults
from overfitting.analysis.prediction_claim import gap_predicts
from overfitting.analysis.predictions import Predictions
from overfitting.analysis.technique_claims import (
    cause_of_robustness,
    less_data,
    lighter_dropout,
    vertical_flips,
)
from overfitting.analysis.training_claims import batch_normalization, early_stopping, headroom
from overfitting.evaluation.corruptions import CORRUPTIONS
from overfitting.report import claim_tables

IMAGES = 1000
SEEDS = 3
TRAINING = {"train_size": 1000, "epochs": 15, "batch_size": 64}
PLAIN: dict[str, Any] = {
    "augmentation": {"flip": None, "translation": 0.0},
    "dropout": {"conv": 0.0, "dense": 0.0},
    "batch_norm": False,
    "early_stopping": None,
}
AUGMENTATION = {"augmentation": {"flip": "horizontal", "translation": 0.1}}
DROPOUT = {"dropout": {"conv": 0.25, "dense": 0.5}}
BOTH = AUGMENTATION | DROPOUT
SUPPORTED, NOT = findings.SUPPORTED, findings.NOT_SUPPORTED


def around(mean: float, spread: float = 0.002) -> list[float]:
    return [mean - spread, mean, mean + spread]


def right(shares: Iterable[float]) -> np.ndarray:
    return np.stack([np.arange(IMAGES) < round(share * IMAGES) for share in shares])


def model(
    name: str,
    settings: dict[str, Any] | None = None,
    gap: float = 0.05,
    test: float = 0.88,
    robust: float = 0.6,
    curve: list[float] | None = None,
    epochs_run: Iterable[float] = (15, 15, 15),
    **training: Any,
) -> ModelResults:
    """A model with three seeds around the given numbers."""
    accuracies = around(test)
    correct = right(accuracies)
    probabilities = np.stack([np.where(correct, 0.9, 0.1), np.where(correct, 0.1, 0.9)], axis=2)
    # The spreads differ from model to model, so that differences have one, too.
    spread = np.array([-1, 0, 1]) * (0.001 + 0.02 * gap)
    table = pd.DataFrame(
        {
            "seed": range(SEEDS),
            "train_accuracy": correct.mean(axis=1) + gap + spread,
            "test_accuracy": correct.mean(axis=1),
            "gap": gap + spread,
            "epochs_run": list(epochs_run),
            "best_epoch": [epoch - 3 for epoch in epochs_run],
        }
    )
    corrupted = right(around(robust, 0.002 + 0.05 * abs(robust - 0.5)))[:, np.newaxis, np.newaxis]
    predicted = Predictions(
        probabilities,
        np.zeros(IMAGES, dtype=int),
        np.broadcast_to(correct[:, np.newaxis, np.newaxis], (SEEDS, 9, 9, IMAGES)),
        np.broadcast_to(corrupted, (SEEDS, len(CORRUPTIONS), 5, IMAGES)),
        correct,
        correct,
    )
    curves = [[value + offset for value in curve or []] for offset in spread]
    return ModelResults(
        name, PLAIN | (settings or {}), table, predicted, TRAINING | training, curves
    )


def value(claim: Claim, words: str) -> float:
    [found] = [each for each in claim.findings if words in each.measure]
    return found.interval.estimate


def decision(claim: Claim) -> str:
    judged = {each.model for each in claim.findings if each.verdict}
    assert len(judged) == 1
    return claim.verdict_on(judged.pop())


def test_all_findings_together_give_the_verdict() -> None:
    assert combined([]) == ""
    assert combined([SUPPORTED, SUPPORTED]) == SUPPORTED
    assert combined([SUPPORTED, "inconclusive at 3 seeds", NOT]) == NOT
    assert combined([SUPPORTED, "inconclusive at 3 seeds"]) == "inconclusive at 3 seeds"


def test_models_differ_in_named_settings() -> None:
    first, second = model("a", BOTH), model("b", AUGMENTATION, epochs=30)
    assert models.differing(first, second) == {
        ("dropout", "conv"),
        ("dropout", "dense"),
        ("training", "epochs"),
    }
    assert models.differing(first, first) == set()
    stops = model("c", {"early_stopping": {"patience": 3}})
    assert ("early_stopping", "patience") in models.differing(stops, model("a"))


def test_a_weighted_sum_is_paired_by_seed_and_image() -> None:
    correct = right([0.5, 0.6])
    same = weighted([mean_of(correct), mean_of(correct)], [1.0, -1.0])
    assert (same.value, same.images_error) == (0.0, 0.0)
    half = weighted([mean_of(correct), mean_of(right([0.4, 0.4]))], [0.5, 0.5])
    assert half.value == pytest.approx(0.475)
    with pytest.raises(ValueError, match="means over the images"):
        weighted([over_seeds(np.zeros(2), (0, 1))], [1.0])


# Claim 5


def square(dropout_gap: float, dropout_robust: float) -> list[ModelResults]:
    return [
        model("plain", gap=0.08, robust=0.60),
        model("dropout", DROPOUT, gap=dropout_gap, robust=dropout_robust),
        model("augmented", AUGMENTATION, gap=0.04, robust=0.65),
        model("both", BOTH, gap=0.01, robust=0.70),
    ]


def test_dropout_alone_must_shrink_the_gap_and_make_robust() -> None:
    claim = cause_of_robustness(square(0.05, 0.64))
    assert value(claim, "gap: reduction by dropout alone") == pytest.approx(0.03)
    assert value(claim, "gap: reduction by dropout, mean effect") == pytest.approx(0.03)
    assert value(claim, "gap: reduction by augmentation, mean effect") == pytest.approx(0.04)
    assert value(claim, "gap: reduction, interaction") == pytest.approx(0.0, abs=1e-9)
    assert value(claim, "held-out accuracy: gain by augmentation, mean") == pytest.approx(
        0.055, abs=0.001
    )
    assert value(claim, "held-out accuracy: gain, interaction") == pytest.approx(0.01, abs=0.001)
    assert decision(claim) == SUPPORTED
    assert decision(cause_of_robustness(square(0.05, 0.58))) == NOT
    assert decision(cause_of_robustness(square(0.10, 0.64))) == NOT


def test_without_robustness_there_is_no_verdict_on_its_cause() -> None:
    models_here = square(0.05, 0.64)
    empty = models_here[3].predictions.correct_shifted[..., :0]
    both = replace(models_here[3].predictions, correct_shifted=empty)
    claim = cause_of_robustness([*models_here[:3], replace(models_here[3], predictions=both)])
    assert claim.findings == []
    assert claim.notes == ["Not measured: `robustness.test_size` is 0."]


def test_the_four_models_must_share_their_rates_and_training() -> None:
    plain, dropout, augmented, both = square(0.05, 0.64)
    other_rate = model("other", {"dropout": {"conv": 0.25, "dense": 0.2}})
    longer = model("dropout", DROPOUT, epochs=30)
    for replaced in (other_rate, longer):
        assert cause_of_robustness([plain, replaced, augmented, both]).findings == []
    assert cause_of_robustness([dropout, augmented, both]).findings == []


# Claims 8, 11 and 13


def with_dropout(rate: float, gap: float) -> ModelResults:
    return model(f"rate {rate}", AUGMENTATION | {"dropout": {"conv": 0.25, "dense": rate}}, gap)


def test_the_gap_falls_with_dropout_by_a_slope() -> None:
    falling = [with_dropout(rate, 0.08 - 0.1 * rate) for rate in (0.0, 0.2, 0.5, 0.7)]
    claim = lighter_dropout(falling)
    assert value(claim, "for each 0.1 of dropout") == pytest.approx(0.01)
    assert decision(claim) == SUPPORTED
    rising = [with_dropout(rate, 0.01 + 0.1 * rate) for rate in (0.0, 0.2, 0.5, 0.7)]
    assert decision(lighter_dropout(rising)) == NOT
    assert lighter_dropout(falling[:2]).findings == []  # two rates make no slope
    assert lighter_dropout([*falling[:2], model("plain")]).findings == []


def test_the_gap_grows_as_images_are_halved() -> None:
    sizes = [(8000, 0.04), (4000, 0.06), (2000, 0.08)]
    claim = less_data([model(f"of {size}", gap=gap, train_size=size) for size, gap in sizes])
    assert value(claim, "for each halving") == pytest.approx(0.02)
    assert decision(claim) == SUPPORTED
    turned = [model(f"of {size}", gap=0.12 - gap, train_size=size) for size, gap in sizes]
    assert decision(less_data(turned)) == NOT
    assert less_data([model("a"), model("b", BOTH, train_size=500)]).findings == []


@pytest.mark.parametrize(("vertical", "expected"), [(0.80, SUPPORTED), (0.95, NOT)])
def test_flips_are_compared_alone(vertical: float, expected: str) -> None:
    flips = [
        model(flip, {"augmentation": {"flip": flip, "translation": 0.0}}, test=test)
        for flip, test in (("horizontal", 0.88), ("vertical", vertical))
    ]
    moved = flips[1].predictions.probabilities
    moved[0, :5] = [0.1, 0.9]  # so that the seeds do not all differ by the same
    claim = vertical_flips(flips)
    assert decision(claim) == expected
    assert claim.findings[0].model == "vertical"
    assert vertical_flips([flips[0], model("other")]).findings == []


# Claims 6, 9 and 10


def curve(at_15: float, at_60: float) -> list[float]:
    return [at_15] * 20 + [(at_15 + at_60) / 2] * 20 + [at_60] * 20


def spread_out(results: ModelResults) -> ModelResults:
    """Let the gain differ between the seeds."""
    for seed, run in enumerate(results.val_accuracy):
        run[-1] += 0.001 * seed
        run[29] += 0.001 * seed
    return results


@pytest.mark.parametrize(
    ("plain", "both", "expected"),
    [(0.880, 0.90, SUPPORTED), (0.880, 0.82, NOT), (0.95, 0.90, NOT)],
)
def test_more_epochs_must_help_one_and_not_the_other(
    plain: float, both: float, expected: str
) -> None:
    compared = [
        spread_out(model("plain", curve=curve(0.88, plain), epochs=60)),
        spread_out(model("both", BOTH, curve=curve(0.84, both), epochs=60)),
        model("short", curve=[0.8] * 15),
    ]
    claim = headroom(compared)
    assert value(claim, "gain of both by epoch 60") == pytest.approx(both - 0.84 + 0.001)
    assert value(claim, "gain of both by epoch 30") == pytest.approx((both - 0.84) / 2 + 0.001)
    assert decision(claim) == expected
    assert headroom(compared[1:]).findings == []
    assert headroom([compared[0], model("both", BOTH, curve=curve(0.8, 0.9))]).findings == []


@pytest.mark.parametrize(("epochs", "expected"), [((26, 27, 28), SUPPORTED), ((9, 12, 14), NOT)])
def test_epochs_until_training_stops(epochs: tuple[float, ...], expected: str) -> None:
    stops = BOTH | {"early_stopping": {"patience": 3}}
    claim = early_stopping([model("stops", stops, epochs_run=epochs, epochs=30), model("plain")])
    assert value(claim, "beyond 20") == pytest.approx(np.mean(epochs) - 20)
    assert decision(claim) == expected
    assert f"in the median for {np.median(epochs):g}" in claim.notes[0]
    assert early_stopping([model("stops", stops, epochs=15)]).findings == []
    shown = claim_tables.findings(claim).rows[0]
    assert shown[1:3] == ["best epoch", f"{np.mean(epochs) - 3:.1f}"]


def test_no_interval_holds_more_epochs_than_there_are() -> None:
    stops = BOTH | {"early_stopping": {"patience": 3}}
    claim = early_stopping([model("stops", stops, epochs_run=(4, 30, 30), epochs=30)])
    best, beyond = claim.findings
    assert (best.interval.low, best.interval.high) == (1, 30)
    assert (beyond.interval.low, beyond.interval.high) == (1 - 20, 30 - 20)


def test_most_epochs_need_the_median_above_them() -> None:
    stops = BOTH | {"early_stopping": {"patience": 3}}
    few, many = [20.0] * 16, [30.0] * 14
    results = model("stops", stops, epochs=30)
    table = pd.DataFrame({"epochs_run": few + many})
    table = table.assign(best_epoch=table["epochs_run"], seed=range(30))
    claim = early_stopping([replace(results, table=table)])
    assert claim.findings[1].interval.low > 0
    assert decision(claim) == "inconclusive: the median is not above 20"


@pytest.mark.parametrize(
    ("start", "gap", "expected"), [(3, 0.02, SUPPORTED), (12, 0.02, NOT), (3, 0.09, NOT)]
)
def test_batch_normalization_must_be_faster_and_shrink_the_gap(
    start: int, gap: float, expected: str
) -> None:
    def reaches(epoch: int) -> list[float]:
        return [0.80] * (epoch - 1) + [0.86] * (16 - epoch)

    plain, normalized = (
        model("plain", gap=0.05, curve=reaches(8)),
        model("normalized", {"batch_norm": True}, gap=gap, curve=reaches(start)),
    )
    normalized.val_accuracy[0] = reaches(start + 1)
    claim = batch_normalization([plain, normalized])
    assert value(claim, "validation accuracy of 0.85") == pytest.approx(8 - start - 1 / 3)
    assert decision(claim) == expected
    normalized.val_accuracy[0] = [0.8] * 15  # never: one more than all epochs
    assert value(
        batch_normalization([plain, normalized]), "validation accuracy of 0.85"
    ) == pytest.approx(8 - (16 + 2 * start) / 3)
    assert batch_normalization([normalized]).findings == []


# Claim 12


def zoo(robust_by_gap: bool) -> list[ModelResults]:
    """Eight models whose robustness follows the gap, or else the test accuracy."""
    made = []
    for number, accuracy_rank in enumerate((3, 0, 6, 1, 7, 2, 5, 4)):
        rank = 7 - number if robust_by_gap else accuracy_rank
        made.append(
            model(
                f"model {number}",
                gap=0.01 + 0.01 * number,
                test=0.80 + 0.01 * accuracy_rank,
                robust=0.5 + 0.02 * rank,
            )
        )
    return made


def test_the_gap_must_predict_better_than_the_accuracy() -> None:
    def correlation(claim: Claim, predictor: str) -> float:
        found = {each.measure: each.interval.estimate for each in claim.findings}
        return found[f"correlation of {predictor}"]

    claim = gap_predicts(zoo(robust_by_gap=True))
    assert correlation(claim, "a small gap") > 0.95
    assert decision(claim) == SUPPORTED
    claim = gap_predicts(zoo(robust_by_gap=False))
    assert correlation(claim, "the test accuracy") > 0.95
    assert decision(claim) == NOT
    assert gap_predicts(zoo(robust_by_gap=True)[:4]).findings == []


def test_correlations_are_spearmans() -> None:
    random = np.random.default_rng(1)
    runs = pd.DataFrame(random.random((12, 3)), columns=["gap", "test accuracy", "held out"])
    runs.insert(0, "model", np.repeat(np.arange(6), 2))
    of_gap, of_accuracy, difference = prediction_claim.correlations(runs)
    expected = runs.corr(method="spearman")["held out"]
    assert of_gap.estimate == pytest.approx(expected["gap"])
    assert of_accuracy.estimate == pytest.approx(expected["test accuracy"])
    assert difference.estimate == pytest.approx(expected["gap"] - expected["test accuracy"])
    assert of_gap.low <= of_gap.estimate <= of_gap.high


def test_the_table_of_verdicts_names_what_is_not_measured() -> None:
    measured = Claim("1", "It overfits.", "?", ".")
    measured.findings.append(
        Finding("plain", "gap", findings.Interval(0.1, 0.05, 0.15), verdict=SUPPORTED)
    )
    missing = Claim("9", "It stops.", "?", ".", missing="add `early_stopping` to `compare`")
    off = Claim("4", "It holds.", "?", ".", notes=["Not measured: it is off."])
    rows = claim_tables.verdicts([measured, missing, off]).rows
    assert rows == [
        ["1", "It overfits.", "plain", "gap: +10.0 points (+5.0 to +15.0)", SUPPORTED],
        [
            "9",
            "It stops.",
            "–",
            "To measure it, add `early_stopping` to `compare`.",
            "not measured",
        ],
        ["4", "It holds.", "–", "Not measured: it is off.", "not measured"],
    ]


def test_with_many_models_only_those_with_a_verdict_are_shown() -> None:
    interval = findings.Interval(0.1, 0.05, 0.15)
    claim = Claim("2", "", "", "")
    for number in range(6):
        verdict = SUPPORTED if number == 3 else ""
        claim.findings.append(Finding(f"m{number}", "gap", interval, verdict=verdict))
        claim.details.extend([Finding(f"m{number}", "gain on x", interval)] * 2)
    assert [row[0] for row in claim_tables.findings(claim).rows] == ["m3"]
    assert claim_tables.not_shown(claim) == 5
    assert [row[0] for row in claim_tables.details(claim).rows] == ["m0"]
    assert claim_tables.details_not_shown(claim) == ["m1", "m2", "m3", "m4", "m5"]
    few = replace(claim, findings=claim.findings[:4], details=claim.details[:8])
    assert len(claim_tables.findings(few).rows) == len(claim_tables.details(few).rows) == 4
    assert claim_tables.not_shown(few) == 0
    assert claim_tables.details_not_shown(few) == []
    without_verdicts = replace(claim, findings=claim.findings[:3] + claim.findings[4:])
    assert len(claim_tables.findings(without_verdicts).rows) == 5
