"""Verdicts on claims follow from intervals, and the data can contradict each claim."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from overfitting.analysis import claims, findings, measures, models, statistics
from overfitting.analysis.findings import Claim, Finding
from overfitting.analysis.predictions import Predictions
from overfitting.analysis.robustness_claim import DEPENDS, verdict_over_corruptions
from overfitting.analysis.statistics import Estimate
from overfitting.evaluation.corruptions import CORRUPTIONS
from overfitting.report import claim_tables, sentences

PLAIN = {
    "augmentation": {"flip": None, "translation": 0.0},
    "dropout": {"conv": 0.0, "dense": 0.0},
    "batch_norm": False,
    "early_stopping": None,
}
DROPOUT = PLAIN | {"dropout": {"conv": 0.25, "dense": 0.5}}
REGULARIZED = DROPOUT | {"augmentation": {"flip": "horizontal", "translation": 0.1}}
BATCH_NORM = PLAIN | {"batch_norm": True}
TRAINING = {"epochs": 15, "batch_size": 64, "validation_split": 0.2, "learning_rate": 0.001}
IMAGES = 1000
RANKS = np.random.default_rng(0).permutation(IMAGES)
NUMBERS = ["1", "2", "3", "4", "7a", "7b", "7c"]
"""The claims that two models can answer."""


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a bootstrap is not what these tests are about."""
    monkeypatch.setattr(statistics, "RESAMPLES", 30)


def right(share: float) -> np.ndarray:
    """Booleans: a share of the images, always the same ones first, is classified correctly."""
    return round(share * IMAGES) > RANKS


def predictions(
    accuracies: list[float],
    confidence: float = 0.9,
    corrupted: list[float] | float = 0.5,
    validation: float = 0.88,
    spread: float = 0.01,
    more_tested: int = IMAGES,
) -> Predictions:
    """Predictions that are right on a share of the images.

    Args:
        accuracies: by seed.
        confidence: the probability of the predicted class of every image.
        corrupted: the accuracy under each corruption, mean over the seeds.
        validation: the accuracy on the validation images, mean over the seeds.
        spread: how much these two differ from seed to seed.
        more_tested: how many images of the whole test set are not among the test images.
    """
    labels = np.zeros(IMAGES, dtype=np.uint8)
    probabilities = np.zeros((len(accuracies), IMAGES, 10), dtype=np.float32)
    for seed, accuracy in enumerate(accuracies):
        probabilities[seed, :, 0] = np.where(right(accuracy), confidence, 1 - confidence)
        probabilities[seed, :, 1] = np.where(right(accuracy), 1 - confidence, confidence)
    shares = np.broadcast_to(corrupted, len(CORRUPTIONS))
    offsets = spread * (np.arange(len(accuracies)) - (len(accuracies) - 1) / 2)
    correct_corrupted = np.stack(
        [[[right(share + offset)] * 5 for share in shares] for offset in offsets]
    )
    correct = probabilities.argmax(axis=2) == labels
    return Predictions(
        probabilities,
        labels,
        correct_shifted=np.broadcast_to(
            correct[:, np.newaxis, np.newaxis], (len(accuracies), 9, 9, IMAGES)
        ),
        correct_corrupted=correct_corrupted,
        correct_validation=np.stack([right(validation + offset / 5) for offset in offsets]),
        correct_whole_test=np.concatenate(
            [correct, np.stack([right(0.88 + offset / 5)[:more_tested] for offset in offsets])],
            axis=1,
        ),
    )


def runs(model: str, settings: dict[str, Any], count: int, **training: Any) -> list[dict[str, Any]]:
    """What the claims use of `results.load_runs`, for each seed."""
    run = {
        "model": model,
        "model_settings": settings,
        "training": TRAINING | training,
        "history": {"val_accuracy": [0.5]},
    }
    return [run | {"seed": seed} for seed in range(count)]


def table(model: str, gaps: list[float], of_model: Predictions, parts: float) -> pd.DataFrame:
    """A row per seed with the columns that the claims use."""
    train = of_model.correct.mean(axis=1) + gaps
    varied = parts + 0.001 * np.arange(len(gaps))
    return pd.DataFrame(
        {
            "model": model,
            "seed": range(len(gaps)),
            "gap": gaps,
            "train_accuracy": train,
            "printed_train_accuracy": train - 2 * varied,
            "lesson_gap": np.array(gaps) - 2 * varied,
            "running_average_part": varied,
            "train_mode_part": varied,
        }
    )


def evaluate(
    of_runs: list[dict[str, Any]], by_run: pd.DataFrame, predicted: dict[str, Predictions]
) -> list[Claim]:
    compared = models.by_name(of_runs, by_run, predicted)
    return claims.evaluate(compared, models.reference(of_runs))


def evaluated(order: tuple[str, ...] = ("plain", "both"), **changes: Any) -> dict[str, Claim]:
    """The claims about some models, by number; all are supported unless `changes` say otherwise.

    Args:
        order: the names of the models in the order of `compare`.
        changes: other values for the data below; for `plain` and `both` a tuple each.
    """
    data: dict[str, Any] = {
        "gaps": ([0.07, 0.08, 0.075], [0.01, 0.02, 0.012]),
        "accuracies": ([0.88, 0.885, 0.8825], [0.875, 0.885, 0.88]),
        "confidence": (0.99, 0.88),
        "corrupted": (0.5, 0.6),
        "validation": (0.88, 0.88),
        "parts": (0.01, 0.03),
        "settings": (PLAIN, REGULARIZED),
        "more_tested": IMAGES,
    } | changes
    by_model = {}
    for number, model in enumerate(("plain", "both")):
        of_model = predictions(
            data["accuracies"][number],
            data["confidence"][number],
            data["corrupted"][number],
            data["validation"][number],
            spread=(0.01, 0.015)[number],
            more_tested=data["more_tested"],
        )
        gaps = data["gaps"][number]
        by_model[model] = (
            runs(model, data["settings"][number], len(gaps)),
            table(model, gaps, of_model, data["parts"][number]),
            of_model,
        )
    chosen = [by_model[model] for model in order]
    result = evaluate(
        [run for of_model in chosen for run in of_model[0]],
        pd.concat([of_model[1] for of_model in chosen]),
        {model: by_model[model][2] for model in order},
    )
    return {claim.number: claim for claim in result}


def verdicts(claim: Claim) -> list[str]:
    return [finding.verdict for finding in claim.findings if finding.verdict]


def finding(claim: Claim, words: str) -> Finding:
    [found] = [each for each in claim.findings if words in each.measure]
    return found


# Verdicts


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.005, 0.02, "supported"),
        (-0.005, 0.02, "inconclusive at 3 seeds"),
        (-0.005, 0.009, "not supported"),
        (-0.05, -0.02, "not supported"),
    ],
)
def test_a_verdict_follows_from_its_interval(low: float, high: float, expected: str) -> None:
    t = 4.302653  # of 2 degrees of freedom
    estimate = Estimate((low + high) / 2, (high - low) / 2 / t, 2)
    assert findings.verdict(estimate) == expected


def test_one_seed_and_seeds_that_agree_decide_nothing() -> None:
    assert findings.verdict(Estimate(0.5, math.nan, 0, 0.01)) == "inconclusive at 1 seed"
    assert (
        findings.verdict(Estimate(0.5, 0.0, 2, 0.01))
        == "inconclusive: all seeds give the same value"
    )
    assert findings.verdict(Estimate(0.0, 0.0, 2)) == "inconclusive: all seeds give the same value"


def test_every_claim_is_supported_by_data_that_agree_with_the_lesson() -> None:
    by_number = evaluated()
    general = [number for number in by_number if "with dropout and" in by_number[number].missing]
    assert general == NUMBERS
    for number in NUMBERS:
        assert set(verdicts(by_number[number])) == {"supported"}, number


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (
            "1",
            {
                "gaps": ([0.001, -0.001, 0.0], [-0.01, -0.02, -0.03]),
                "accuracies": ([0.995] * 3,) * 2,
            },
        ),
        ("2", {"gaps": ([0.07, 0.08, 0.075], [0.17, 0.18, 0.176])}),
        ("3", {"accuracies": ([0.98, 0.985, 0.9825], [0.78, 0.79, 0.7825])}),
        ("4", {"corrupted": (0.6, 0.4)}),
        ("7a", {"confidence": (0.88, 0.995)}),
        ("7b", {"validation": (0.88, 0.6)}),
        ("7c", {"confidence": (0.88, 0.999)}),
    ],
)
def test_every_claim_can_be_contradicted(number: str, changes: dict[str, Any]) -> None:
    assert "not supported" in verdicts(evaluated(**changes)[number])


@pytest.mark.parametrize("number", NUMBERS)
def test_no_verdict_from_one_seed(number: str) -> None:
    one = evaluated(gaps=([0.07], [0.01]), accuracies=([0.88], [0.875]))
    assert set(verdicts(one[number])) == {"inconclusive at 1 seed"}


def test_when_all_images_are_tested_validation_and_test_decide() -> None:
    [estimates, all_tested] = (evaluated(more_tested=count)["7b"] for count in (IMAGES, 0))
    measured = [each.measure.partition(":")[0] for each in estimates.findings]
    assert measured == ["validation and test"] * 2 + ["first and all test images"] * 2
    assert all_tested.findings == estimates.findings[:2]
    assert verdicts(all_tested) == ["supported"]
    [note] = all_tested.notes
    assert "tested on the whole test set" in note


# Which models a claim is about


def test_the_order_of_compare_changes_no_verdict() -> None:
    forwards, backwards = evaluated(), evaluated(order=("both", "plain"))
    assert forwards == backwards


def test_the_lessons_model_is_judged_first() -> None:
    """Before models with other rates, and those before models that are trained in another way."""
    light = REGULARIZED | {"dropout": {"conv": 0.25, "dense": 0.2}}
    of_model = predictions([0.88, 0.885])
    listed = [
        models.ModelResults(name, settings, pd.DataFrame(), of_model, TRAINING | training)
        for name, settings, training in (
            ("long", REGULARIZED, {"epochs": 60}),
            ("light", light, {}),
            ("lessons", REGULARIZED, {}),
            ("long_plain", PLAIN, {"epochs": 60}),
            ("plain", PLAIN, {}),
        )
    ]
    found = models.pairs(listed[-1], listed)
    assert [(reference.name, model.name) for reference, model in found] == [
        ("plain", "lessons"),
        ("plain", "light"),
        ("long_plain", "long"),
        ("plain", "long_plain"),
    ]
    assert [model.is_judged for _, model in found] == [True, True, True, False]


def test_without_a_model_without_regularizers_nothing_is_judged() -> None:
    alone = evaluated(order=("both",))
    assert set(alone) > set(NUMBERS)
    assert not any(claim.findings or claim.notes for claim in alone.values())


def test_with_the_reference_alone_only_its_gap_is_judged() -> None:
    alone = evaluated(order=("plain",))
    assert {number for number, claim in alone.items() if claim.findings} == {"1"}
    assert findings.table(list(alone.values()))["model"].tolist() == ["plain"]


@pytest.mark.parametrize("settings", [DROPOUT, BATCH_NORM, REGULARIZED | {"batch_norm": True}])
def test_a_model_that_the_lesson_does_not_speak_of_has_no_verdict(settings: dict[str, Any]) -> None:
    by_number = evaluated(settings=(PLAIN, settings))
    assert verdicts(by_number["1"]) == ["supported"]
    for number in NUMBERS[1:]:
        assert by_number[number].findings, number
        assert verdicts(by_number[number]) == [], number
        assert by_number[number].notes == []


def test_the_reference_is_trained_as_most_models_are() -> None:
    long = runs("long", PLAIN, 2, epochs=60)
    usual = runs("usual", PLAIN, 2) + runs("regularized", REGULARIZED, 2)
    assert models.reference(long + usual) == "usual"
    assert models.reference(long) == "long"
    assert models.reference(runs("regularized", REGULARIZED, 2)) is None


# Each claim


def test_the_reduction_of_the_lessons_gap_is_the_sum_of_its_parts() -> None:
    lesson_gap, average, train_mode, gap = [
        each.interval.estimate for each in evaluated()["2"].findings
    ]
    assert lesson_gap == pytest.approx(average + train_mode + gap)
    assert average == train_mode == pytest.approx(0.02)
    assert gap == pytest.approx(0.225 / 3 - 0.042 / 3)


def test_the_interval_of_the_gap_counts_the_test_images() -> None:
    [gap] = evaluated()["1"].findings
    of_model = predictions([0.88, 0.885, 0.8825])
    t = 4.302653 * 0.005 / math.sqrt(3)  # the standard deviation of 0.07, 0.08 and 0.075
    i = 1.959964 * of_model.correct.mean(axis=0).std(ddof=1) / math.sqrt(IMAGES)
    assert gap.interval.high - gap.interval.estimate == pytest.approx(math.hypot(t, i))


def test_the_accuracy_loss_is_paired_by_image() -> None:
    claim = evaluated()["3"]
    change = finding(claim, "change of test accuracy")
    assert change.interval.estimate == pytest.approx(-0.0025, abs=0.0005)
    assert change.interval.low > -0.02  # unpaired, the interval would be wider than 4 points
    left = finding(claim, "margin before the loss reaches 2 points")
    assert left.interval.estimate == pytest.approx(0.02 + change.interval.estimate)
    [note] = claim.notes
    # With the first seed, five images are classified correctly by one network only: 2 · (1/2)⁵.
    assert "p from 0.062 to 1" in note
    assert "differ at all" in note


def test_corruptions_that_augmentation_showed_are_not_held_out() -> None:
    with_augmentation = evaluated()["4"]
    assert finding(with_augmentation, "gain on the 10 held-out corruptions")
    assert finding(with_augmentation, "matched corruptions")
    without = evaluated(settings=(PLAIN, DROPOUT))["4"]
    assert finding(without, "the 12 held-out corruptions")
    assert not any("matched" in each.measure for each in without.findings)

    accuracies = [0.5] * len(CORRUPTIONS)
    accuracies[list(CORRUPTIONS).index("translation")] = 1.0
    matched_only = evaluated(corrupted=(0.5, accuracies))["4"]
    assert matched_only.findings[0].interval.estimate == 0
    gain = finding(matched_only, "matched corruptions").interval.estimate
    assert gain == pytest.approx(0.25, abs=0.01)  # half of the images, one of two corruptions


@pytest.mark.parametrize("left_out", [1, 2])
def test_a_result_that_hangs_on_one_or_two_corruptions_depends_on_them(left_out: int) -> None:
    names = list(CORRUPTIONS)
    for better, sign in ((0.9, 1), (0.1, -1)):
        accuracies = [0.5 - sign * 0.01] * len(names)
        for name in ("brightness", "contrast")[:left_out]:
            accuracies[names.index(name)] = better
        claim = evaluated(corrupted=(0.5, accuracies))["4"]
        assert math.copysign(1, claim.findings[0].interval.estimate) == sign
        assert verdicts(claim) == [DEPENDS]
        without = finding(claim, "without brightness and contrast")
        assert without.interval.estimate == pytest.approx(-sign * 0.01, abs=0.003)


@pytest.mark.parametrize("better", [0.7, 0.3])
def test_a_result_that_many_corruptions_carry_does_not_depend_on_two(better: float) -> None:
    accuracies = [better] * len(CORRUPTIONS)
    for name in ("brightness", "contrast"):
        accuracies[list(CORRUPTIONS).index(name)] = 0.5 + 2 * (better - 0.5)
    claim = evaluated(corrupted=(0.5, accuracies))["4"]
    assert verdicts(claim) == ["supported" if better > 0.5 else "not supported"]


def test_a_verdict_must_be_the_same_without_the_corruptions_that_carry_it() -> None:
    clear, unclear = Estimate(0.05, 0.005, 4), Estimate(0.05, 0.1, 4)
    worse = Estimate(-0.05, 0.005, 4)
    assert verdict_over_corruptions(clear, [clear, clear]) == "supported"
    assert verdict_over_corruptions(worse, [worse, worse]) == "not supported"
    for overall, reduced in ((clear, worse), (clear, unclear), (worse, clear), (worse, unclear)):
        assert verdict_over_corruptions(overall, [overall, reduced]) == DEPENDS
    assert verdict_over_corruptions(unclear, [clear, worse]) == "inconclusive at 5 seeds"


def test_the_two_corruptions_that_carry_most_are_left_out_once() -> None:
    accuracies = [0.5] * len(CORRUPTIONS)
    for name, accuracy in (("shear", 0.9), ("scale", 0.8), ("contrast", 0.1)):
        accuracies[list(CORRUPTIONS).index(name)] = accuracy
    claim = evaluated(corrupted=(0.5, accuracies))["4"]
    assert finding(claim, "the same without shear and scale").interval.estimate == pytest.approx(
        -0.4 / 8, abs=0.001
    )
    assert finding(claim, "the same without brightness and contrast")


def test_each_held_out_corruption_is_shown_with_the_mean_without_it() -> None:
    accuracies = [0.5] * len(CORRUPTIONS)
    accuracies[list(CORRUPTIONS).index("shear")] = 0.7
    claim = evaluated(corrupted=(0.5, accuracies))["4"]
    rows = {row[1]: row for row in claim_tables.details(claim).rows}
    assert len(rows) == 10
    assert rows["gain on shear"][2] == "+20.0"
    assert rows["gain on shear"][4] == "0.0"
    assert rows["gain on gaussian noise"][2] == "0.0"
    assert rows["gain on gaussian noise"][4] == "+2.2"  # 20 / 9


def test_without_corrupted_images_robustness_is_not_measured() -> None:
    both = predictions([0.9, 0.9])
    empty = Predictions(
        both.probabilities,
        both.labels,
        both.correct_shifted[..., :0],
        both.correct_corrupted[..., :0],
        both.correct_validation,
        both.correct_whole_test,
    )
    claim = evaluate(
        runs("plain", PLAIN, 2) + runs("both", REGULARIZED, 2),
        pd.concat(table(model, [0.07, 0.08], both, 0.01) for model in ("plain", "both")),
        {"plain": empty, "both": empty},
    )[3]
    assert claim.findings == []
    assert "`robustness.test_size` is 0" in claim.notes[0]


def test_one_image_of_each_kind_is_enough() -> None:
    """The smallest sizes that params.yaml allows."""
    both = {}
    for name, confidence in (("plain", 0.9), ("both", 0.8)):
        of_model = predictions([1.0, 1.0], confidence)
        both[name] = Predictions(
            of_model.probabilities[:, :1],
            of_model.labels[:1],
            of_model.correct_shifted[..., :1],
            of_model.correct_corrupted[..., :1],
            of_model.correct_validation[:, :1],
            of_model.correct_whole_test[:, :1],
        )
    evaluated_claims = evaluate(
        runs("plain", PLAIN, 2) + runs("both", REGULARIZED, 2),
        pd.concat(table(model, [0.0, 0.0], both[model], 0.0) for model in both),
        both,
    )
    assert all(
        math.isfinite(bound)
        for claim in evaluated_claims
        for each in claim.findings
        for bound in each.interval
    )


def test_overconfidence_has_a_sign() -> None:
    claim = evaluated(confidence=(0.99, 0.8))["7a"]
    over = finding(claim, "overconfidence of plain").interval.estimate
    under = finding(claim, "overconfidence of both").interval.estimate
    assert over == pytest.approx(0.99 - 0.8825, abs=1e-3)
    assert under == pytest.approx(0.8 - 0.88, abs=1e-3)


def test_a_better_calibration_error_does_not_stand_for_better_scores() -> None:
    """As in the first runs: the claim about calibration held, that about the scores did not."""
    by_number = evaluated(
        accuracies=([0.98, 0.985, 0.9825], [0.8, 0.81, 0.8025]), confidence=(0.9, 0.8)
    )
    assert verdicts(by_number["7a"]) == ["supported"]
    assert verdicts(by_number["7c"]) == ["not supported", "not supported"]


def test_the_distance_between_first_and_all_test_images_by_hand() -> None:
    correct = np.array([[1, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 1, 1, 1, 1]], dtype=bool)
    of_first_two = measures.distance_to_all(correct, 2)
    assert of_first_two.by_seed == pytest.approx([1 - 3 / 8, 5 / 8 - 1 / 2])


# Words


def test_what_is_missing_is_named_for_each_claim_that_two_models_cannot_answer() -> None:
    missing = {number: claim.missing for number, claim in evaluated().items() if not claim.findings}
    assert list(missing) == ["5", "6", "8", "9", "10", "11", "12", "13"]
    assert missing["5"].startswith("add `dropout_only` and `augmentation_only` to `compare`")


def test_the_summary_follows_from_the_claims() -> None:
    gaps = pd.DataFrame(
        {
            "model": ["plain", "both"],
            "seeds": 3,
            "gap": [0.075, 0.014],
            "lesson_gap": [0.055, -0.046],
        }
    )
    first, second, third = sentences.summary(list(evaluated().values()), gaps)
    assert "**plain** has a generalization gap of +7.5 percentage points" in first
    assert "The claim that it overfits is supported." in first
    assert "The gap of **both** is +1.4 points, a reduction of +6.1" in second
    assert "only a hair lower is supported" in third
    assert "degrades gracefully is supported" in third
    [_, _, third] = sentences.summary(list(evaluated(corrupted=(0.6, 0.4)).values()), gaps)
    assert "degrades gracefully is not supported" in third
    assert len(sentences.summary(list(evaluated(order=("plain",)).values()), gaps)) == 1
    assert sentences.summary(list(evaluated(order=("both",)).values()), gaps) == []


def test_a_model_that_is_trained_differently_is_named() -> None:
    both = runs("plain", PLAIN, 1) + runs("both", REGULARIZED, 1, epochs=60)
    sentence = sentences.training_differences(both, "plain")
    assert "trained differently from plain: both (epochs 60 instead of 15);" in sentence
    assert sentences.training_differences(both, None) == ""
    assert sentences.training_differences(both[:1], "plain") == ""


@pytest.mark.parametrize("seeds", [1, 3, 6])
def test_the_validation_loss_is_described_for_each_seed(seeds: int) -> None:
    lowest = pd.DataFrame(
        {
            "model": "plain",
            "seed": range(seeds),
            "lowest": [9, 12, 15, 8, 8, 8][:seeds],
            "epochs": 15,
            "rise": [0.02, 0.01, 0.0, 0.03, 0.03, 0.03][:seeds],
        }
    )
    expected = {
        1: "lowest in epoch 9 (seed 0). In the last epoch (15), it is 0.020 nats higher.",
        3: "lowest in epochs 9, 12 and 15 (seeds 0, 1 and 2). In the last epoch (15), it is 0.020, "
        "0.010 and 0.000 nats higher.",
        6: "lowest between epochs 8 and 15 (median 8.5) (seeds 0, 1, 2, 3, 4 and 5). In the last "
        "epoch (15), it is 0.000 to 0.030 (mean 0.020) nats higher.",
    }
    assert sentences.validation_loss(lowest) == [f"plain: the validation loss is {expected[seeds]}"]


@pytest.mark.parametrize(("seeds", "expected"), [(3, "(30, 26 and 30)"), (6, "(26 to 30)")])
def test_each_seed_may_have_another_last_epoch(seeds: int, expected: str) -> None:
    lowest = pd.DataFrame(
        {
            "model": "stops",
            "seed": range(seeds),
            "lowest": 20,
            "epochs": [30, 26, 30, 28, 30, 30][:seeds],
            "rise": 0.01,
        }
    )
    [sentence] = sentences.validation_loss(lowest)
    assert f"In the last epoch {expected}, it is" in sentence
