"""The claims that need more models than two: their figures, reasons and exercises."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from support.fake_results import checkout
from support.figures import assert_readable
from support.project import ROOT

from overfitting.analysis import findings, lesson, statistics
from overfitting.analysis.findings import Claim, Finding, Interval
from overfitting.common import datasets, params
from overfitting.report import claim_tables, reasons, tables
from overfitting.report.contents import Contents, compare
from overfitting.report.figures import catalogue, claims, style
from overfitting.report.figures.style import plt

PARAMS_FILE = ROOT / "studies" / "claims" / "params.yaml"
SEEDS = 3


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """What the report of the study `claims` says, from random results."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "RESAMPLES", 20)  # of bootstraps, which take long
        return report_of(tmp_path_factory.mktemp("claims"), params.read(PARAMS_FILE).compare)


def report_of(folder: Path, models: list[str]) -> Contents:
    declared = params.read(PARAMS_FILE)
    checkout(folder, models, list(range(SEEDS)), params_file=PARAMS_FILE)
    [labels] = datasets.load_examples(folder / "data" / "subset" / "train.npz", "labels")
    [images] = datasets.load_examples(folder / "data" / "subset" / "test.npz", "images")
    of_stage = {
        "compare": models,
        "seeds": list(range(SEEDS)),
        "data.name": declared.data.name,
        "data.classes": declared.data.classes,
    }
    return compare(folder / "results", of_stage, labels, images)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close every figure after its test, as pyplot would keep it open."""
    yield
    plt.close("all")


def draw(contents: Contents, number: str) -> Figure:
    return catalogue.figures_of_claims(contents)[f"claim_{number}"]()


def judged(contents: Contents, number: str) -> Claim:
    return next(claim for claim in contents.claims if claim.number == number)


def mean(contents: Contents, model: str, column: str) -> float:
    return float(contents.by_run[contents.by_run["model"] == model][column].mean())


def test_the_study_measures_all_claims(contents: Contents) -> None:
    verdicts = [row[-1] for row in claim_tables.verdicts(contents.claims).rows]
    assert len(verdicts) == 15  # thirteen claims, one of them in three parts
    assert "not measured" not in verdicts
    drawn = {claim.number for claim in contents.claims if claim.points}
    assert drawn == set(claims.FIGURES)


@pytest.mark.parametrize("number", claims.FIGURES)
def test_the_figure_of_a_claim_says_what_was_found(contents: Contents, number: str) -> None:
    figure, claim = draw(contents, number), judged(contents, number)
    title = " ".join(figure.get_suptitle().split())
    assert title.startswith(f"Claim {number}: {claim.claim}")
    for finding in claim.findings:
        if finding.verdict:
            assert finding.verdict in title
            assert claim_tables.shown_as(finding)(finding.interval.estimate) in title
    assert all(axis.get_xlabel() or axis.get_xticklabels() for axis in figure.axes)
    assert all(axis.get_ylabel() for axis in figure.axes)
    assert_readable(figure, number)


def test_figures_stay_readable_with_long_names_and_many_seeds(contents: Contents) -> None:
    long = {model: f"{model}_{'o' * 24}"[:24] for model in contents.models}
    long |= {"baseline_60_epochs": "b" * 24, "regularized_60_epochs": "r" * 24}

    def renamed(claim: Claim) -> Claim:
        points = pd.concat(claim.points)
        seeds = [points.assign(seed=points["seed"] + SEEDS * copy) for copy in range(7)]
        many = pd.concat(seeds)
        many = many[many["seed"] < 20]
        if claim.number == "9":
            many["x"] = many["seed"]
        for column in ("model", "judged"):
            many[column] = many[column].map(lambda name: long.get(name, name))
        return replace(claim, points=[many])

    styles = style.model_styles(pd.DataFrame({"model": list(long.values())}))
    for number, figure in claims.FIGURES.items():
        assert_readable(figure.draw(renamed(judged(contents, number)), styles), number)
        plt.close("all")


def test_points_are_what_the_figures_show(contents: Contents) -> None:
    points = findings.points_table(contents.claims)
    assert list(points.columns) == ["claim", *findings.POINTS]
    epochs = points[(points["claim"] == "6") & (points["model"] == "baseline_60_epochs")]
    run = next(
        run for run in contents.runs if (run["model"], run["seed"]) == ("baseline_60_epochs", 1)
    )
    assert epochs[epochs["seed"] == 1]["y"].tolist() == run["history"]["val_accuracy"]
    gaps = contents.by_run.set_index(["model", "seed"])["gap"].to_dict()
    for number in ("5", "8", "10", "11"):
        shown = points[(points["claim"] == number) & (points["panel"] == "gap")]
        assert not shown.empty
        for point in shown.to_dict("records"):
            assert point["y"] == pytest.approx(gaps[(point["model"], point["seed"])])


def test_the_ring_is_where_effects_add_up(contents: Contents) -> None:
    axis: Any = draw(contents, "5").axes[0]
    lines = {line.get_label(): line for line in axis.lines}
    square = ("baseline", "dropout_only", "augmentation_only", "regularized")
    neither, dropout, augmentation, both = (100 * mean(contents, each, "gap") for each in square)
    ring = lines["if the effects added up"]
    assert list(ring.get_ydata()) == pytest.approx([dropout + augmentation - neither])
    assert list(lines["regularized"].get_ydata()) == pytest.approx([both])
    without = lines["without dropout"]
    assert list(without.get_ydata()) == pytest.approx([neither, augmentation])


def test_the_fitted_line_has_the_slope_of_the_finding(contents: Contents) -> None:
    axis: Any = draw(contents, "8").axes[0]
    [line] = [line for line in axis.lines if line.get_label() == "fitted line"]
    x, y = line.get_xdata(), line.get_ydata()
    [finding] = judged(contents, "8").findings
    slope = (y[-1] - y[0]) / (x[-1] - x[0])
    assert -0.1 * slope == pytest.approx(100 * finding.interval.estimate)
    assert x.tolist() == [0.0, 0.2, 0.5, 0.7]


def test_the_bars_are_the_epochs_of_each_seed(contents: Contents) -> None:
    axis: Any = draw(contents, "9").axes[0]
    runs = contents.by_run[contents.by_run["model"] == "early_stopping"]
    assert [bar.get_width() for bar in axis.patches] == runs["epochs_run"].tolist()
    assert [label.get_text() for label in axis.get_yticklabels()] == ["0", "1", "2"]


def test_epochs_to_the_goal_have_whole_ticks(contents: Contents) -> None:
    axis: Any = draw(contents, "10").axes[0]
    assert axis.get_ylabel().startswith("epochs to")
    assert all(tick == round(tick) for tick in axis.get_yticks())


def test_without_the_models_there_are_placeholders_and_no_points(tmp_path: Path) -> None:
    contents = report_of(tmp_path, ["baseline", "regularized"])
    assert findings.points_table(contents.claims).empty
    for name, drawn in catalogue.figures_of_claims(contents).items():
        [axis] = drawn().axes
        assert axis.texts[0].get_text() == (
            f"In params.yaml, `compare` lacks the models of claim {name.removeprefix('claim_')}."
        )
    one, two, three = contents.exercises
    assert len(one.measured) == 4
    assert not (two.measured or three.measured)
    assert two.missing == "add `regularized` and `light_dropout` to `compare`"


# Reasons


def claim_with(*verdicts: str, number: str = "4") -> Claim:
    found = [Finding("m", "gain", Interval(0, -1, 1), verdict=verdict) for verdict in verdicts]
    return Claim(number, "", "", "", findings=found)


def test_reasons_follow_the_verdict() -> None:
    reason = reasons.REASONS["4"]
    assert reasons.why(claim_with("supported")) == f"Why it may be so: {reason.supported}"
    for other in ("not supported", "depends on the corruptions"):
        assert reasons.why(claim_with(other)) == f"Why it may be so: {reason.otherwise}"
    both = reasons.why(claim_with("supported", "inconclusive at 3 seeds"))
    assert both == f"Why it may hold: {reason.supported} Why it may not: {reason.otherwise}"
    assert reasons.why(claim_with("")) == ""


def test_every_claim_has_two_reasons_each_a_sentence_with_a_source(contents: Contents) -> None:
    assert set(reasons.REASONS) == {claim.number for claim in contents.claims}
    for reason in reasons.REASONS.values():
        for sentence in (reason.supported, reason.otherwise):
            assert "](https://" in sentence
            assert sentence.endswith(".")
            assert ". " not in sentence.replace(" et al. ", " ")


# Exercises


def test_exercises_show_the_hints_beside_what_was_measured(contents: Contents) -> None:
    one, two, three = contents.exercises
    assert one.title == "Exercise 1: Measure the Baseline Gap"
    [printed, test, gap, alike] = claim_tables.exercise(one).rows
    assert printed[2:4] == ["0.949", f"{mean(contents, 'baseline', 'printed_train_accuracy'):.3f}"]
    assert test[2:4] == ["0.883", f"{mean(contents, 'baseline', 'test_accuracy'):.3f}"]
    assert gap[2] == "+6.6"
    assert alike[1] == "gap, measured alike (points)"
    growth = [finding for finding, _ in two.measured if finding.measure == "growth of the gap"]
    expected = mean(contents, "light_dropout", "gap") - mean(contents, "regularized", "gap")
    assert growth[0].interval.estimate == pytest.approx(expected)
    assert "the gap to widen" in two.hint
    runs = contents.by_run[contents.by_run["model"] == "early_stopping"]["epochs_run"]
    assert three.measured[0][0].interval.estimate == pytest.approx(runs.mean())
    assert three.answer[0].endswith(f"epochs: {', '.join(map(str, runs))}.")
    for exercise in (one, two):  # these results have fewer images than the lesson
        assert exercise.answer[-1] == (
            "These are not the lesson's settings, so its hint need not hold."
        )


# Published accuracies


def test_published_accuracies_stand_beside_those_on_all_images(contents: Contents) -> None:
    assert tables.published(contents.predictions, "Fashion-MNIST", contents.runs) is None
    all_images = {
        "train": {"images": 48_000},
        "validation": {"images": 12_000},
        "test": {"images": 10_000},
    }
    runs = [run | all_images for run in contents.runs if run["model"] == "baseline"]
    table = tables.published(contents.predictions, lesson.DATA, runs)
    assert table is not None
    assert [row[1] for row in table.rows] == [
        f"{mean(contents, 'baseline', 'test_accuracy'):.3f}",
        *("0.876", "0.916", "0.919", "0.926"),
    ]
    assert [row[-1] for row in table.rows] == ["3", "1", "1", "1", "1"]
    assert tables.published(contents.predictions, "other data", runs) is None


def test_one_seed_has_figures_but_no_verdicts(contents: Contents) -> None:
    for number, figure in claims.FIGURES.items():
        claim = judged(contents, number)
        points = pd.concat(claim.points)
        single = replace(claim, points=[points[points["seed"] == 0]])
        styles = style.model_styles(contents.by_run)
        drawn = figure.draw(single, styles)
        assert np.isfinite(drawn.axes[0].get_ylim()).all()
        plt.close("all")
