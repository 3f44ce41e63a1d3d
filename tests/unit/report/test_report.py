"""The report is computed correctly and deterministically from the results of the runs."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import ruamel.yaml
from support.fake_results import CLASSES, MODELS, N_CORRUPTED, SETTINGS, checkout, write_run

import report
import summary
from overfitting.analysis import lesson, predictions, results, robustness_tables, statistics
from overfitting.analysis.predictions import Predictions
from overfitting.common import datasets
from overfitting.common.errors import UserError
from overfitting.common.files import read_record, write_record
from overfitting.common.yaml_files import load_yaml
from overfitting.evaluation.corruptions import CORRUPTIONS
from overfitting.report import formatting
from overfitting.report.figures import catalogue

ARGUMENTS = [
    "results",
    "data/subset/train.npz",
    "data/subset/test.npz",
    "data/corrupted.npz",
    "data/SHA256SUMS",
    "workflow/templates",
    "reports",
]


def run(model: str, seed: int, train: float, test: float, printed: float) -> dict[str, Any]:
    """The results of one run with two epochs."""

    def part(accuracy: float) -> dict[str, float]:
        return {"images": 100, "accuracy": accuracy, "cross_entropy": 1 - accuracy}

    return {
        "model": model,
        "seed": seed,
        "augmentation": {"flip": None, "translation": 0.0},
        "train": part(train),
        "train_mode": {"accuracy": train - 0.02},
        "validation": part(0.7),
        "test": part(test),
        "whole_test": part(test - 0.01),
        "calibration": {"ece": 0.05, "brier": 0.2},
        "robustness": {"corruptions": {"rotation": [0.6, 0.5], "shear": [0.4, 0.3]}},
        "history": {
            "accuracy": [0.5, printed],
            "loss": [1.0, 0.5],
            "val_accuracy": [0.4, 0.7],
            "val_loss": [1.1, 0.6],
            "best_epoch": 2,
        },
    }


RUNS = [
    run("baseline", 0, 0.96, 0.88, 0.95),
    run("baseline", 1, 0.94, 0.88, 0.93),
    run("stacked", 0, 0.86, 0.85, 0.80),
    run("stacked", 1, 0.86, 0.87, 0.80),
]


IMAGES = 100


def gap_table(runs: list[dict[str, Any]]) -> pd.DataFrame:
    """The gap table of runs, whose first images are those classified correctly."""
    none = np.zeros((2, 0))
    predicted = {}
    for model in dict.fromkeys(run["model"] for run in runs):
        shares = [run["test"]["accuracy"] for run in runs if run["model"] == model]
        right = np.arange(IMAGES) < np.round(np.array(shares) * IMAGES)[:, np.newaxis]
        probabilities = np.where(right[..., np.newaxis], [0.9, 0.1], [0.1, 0.9])
        predicted[model] = Predictions(
            probabilities, np.zeros(IMAGES, dtype=int), none, none, none, none
        )
    reported = {"baseline": lesson.RESULTS[0][1], "stacked": {}}
    return results.gap_table(results.runs_table(runs), predicted, reported)


# Tables


def test_gap_table_by_hand() -> None:
    rows = gap_table(RUNS).to_dict("records")
    assert [row["model"] for row in rows] == ["baseline", "stacked"]
    baseline, stacked = rows
    assert baseline["gap"] == pytest.approx(0.07)
    assert baseline["gap_sd"] == pytest.approx(math.sqrt(0.0002))
    t = 12.706205 * 0.01  # of 1 degree of freedom; the standard error of 0.08 and 0.06
    i = 1.959964 * math.sqrt(0.88 * 0.12 / 99)
    assert baseline["gap_high"] - baseline["gap"] == pytest.approx(math.hypot(t, i))
    assert baseline["lesson_gap"] == pytest.approx(0.06)
    assert baseline["running_average_part"] == pytest.approx(-0.01)  # 0.93 - 0.94
    assert baseline["train_mode_part"] == pytest.approx(0.02)
    assert baseline["overconfidence"] == pytest.approx(0.9 - 0.88)
    assert baseline["reported_gap"] == 0.066
    assert stacked["gap"] == pytest.approx(0.0)
    assert stacked["lesson_gap"] == pytest.approx(-0.06)  # signed
    assert math.isnan(stacked["reported_gap"])


def test_what_the_lesson_reports_is_shown_beside_its_own_settings_only() -> None:
    images = {part: {"images": count} for part, count in lesson.IMAGES.items()}
    own: dict[str, Any] = {"training": dict(lesson.TRAINING), **images}
    for model, gap in (("baseline", 0.066), ("regularized", -0.024)):
        run = own | {"model": "any name", "model_settings": SETTINGS[model]}
        assert lesson.reported(run, "Fashion-MNIST")["gap"] == gap
        for other in (
            {"model_settings": SETTINGS["light_dropout"]},
            {"training": lesson.TRAINING | {"epochs": 30}},
            {"training": lesson.TRAINING | {"batch_size": 32}},
            {"train": {"images": 48_000}},
            {"test": {"images": 10_000}},
        ):
            assert lesson.reported(run | other, "Fashion-MNIST") == {}
        assert lesson.reported(run, "My shoes") == {}


def test_metrics_are_rounded_and_never_nan() -> None:
    metrics = results.metrics(gap_table(RUNS))
    assert metrics["baseline"] == {
        "train_accuracy": 0.95,
        "val_accuracy": 0.7,
        "test_accuracy": 0.88,
        "gap": 0.07,
        "gap_sd": 0.0141,
        "lesson_gap": 0.06,
        "test_loss": 0.12,
        "ece": 0.05,
        "corrupted_accuracy": 0.45,
        "epochs_run": 2.0,
    }
    one_seed = results.metrics(gap_table([RUNS[0] | {"robustness": None}]))
    assert one_seed["baseline"]["gap_sd"] is None
    assert one_seed["baseline"]["corrupted_accuracy"] is None
    json.dumps(one_seed, allow_nan=False)


def test_curves_have_every_epoch_and_are_averaged() -> None:
    curves = results.curves_table(RUNS)
    assert len(curves) == 8
    assert curves["gap"].tolist()[:2] == pytest.approx([0.1, 0.25])
    means = results.mean_curves(curves)
    last = means[(means["model"] == "baseline") & (means["epoch"] == 2)].set_index("set")
    assert last.loc["training", "accuracy"] == pytest.approx(0.94)
    assert last.loc["validation", "loss"] == pytest.approx(0.6)


def test_the_lowest_validation_loss_of_each_seed() -> None:
    by_seed = {0: [1.0, 0.5, 0.9], 1: [1.0, 0.3]}
    runs = [
        RUNS[seed] | {"history": dict.fromkeys(results.CURVES, loss) | {"best_epoch": 2}}
        for seed, loss in by_seed.items()
    ]
    table = results.lowest_val_loss(results.curves_table(runs))
    assert table.to_dict("list") == {
        "model": ["baseline", "baseline"],
        "seed": [0, 1],
        "lowest": [2, 2],
        "epochs": [3, 2],
        "rise": [pytest.approx(0.4), 0.0],
    }


def test_numbers_as_text() -> None:
    assert formatting.signed(-0.024) == "\N{MINUS SIGN}0.024"
    assert formatting.signed(0.066) == "+0.066"
    assert [formatting.signed(value, 0) for value in (3.6, -3.6, -0.4, 0.0)] == [
        "+4",
        "−4",
        "0",
        "0",
    ]
    assert formatting.signed(-0.04, 1) == "0.0"
    assert formatting.share(float("nan")) == "–"
    assert formatting.share(None) == "–"
    assert formatting.points(-0.0621) == "\N{MINUS SIGN}6.2"
    assert formatting.points(float("nan")) == "–"


def test_bounds_of_a_difference_keep_their_sign() -> None:
    """A verdict rests on it, and rounding must not hide it."""

    def text(low: float, high: float, formatted: Any = formatting.points) -> str:
        return formatting.bounds(statistics.Interval(0.0, low, high), formatted)

    assert text(-0.0003, 0.045) == "−0.0 to +4.5"
    assert text(0.0003, 0.0004) == "+0.0 to +0.0"
    assert text(0.0, 1e-17) == "0.0 to 0.0"
    assert text(0.0003, 0.5, formatting.number) == "0.000 to 0.500"  # shares have no sign
    assert text(float("nan"), float("nan")) == "–"


# Results as files


def test_the_error_names_a_missing_or_corrupt_result(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a/0/training\.json is missing"):
        results.load_runs(tmp_path, ["a"], [0])
    (tmp_path / "a" / "0").mkdir(parents=True)
    (tmp_path / "a" / "0" / "training.json").write_text("{")
    with pytest.raises(UserError, match=r"a/0/training\.json is corrupt"):
        results.load_runs(tmp_path, ["a"], [0])
    with pytest.raises(UserError, match=r"a/0/predictions\.npz is missing"):
        predictions.load(tmp_path, ["a"], [0])


def test_runs_on_different_images_are_not_compared(tmp_path: Path) -> None:
    for model in MODELS[:2]:
        write_run(tmp_path, model, 0)
    path = tmp_path / "regularized" / "0" / "predictions.npz"
    names = predictions.ARRAYS
    arrays = dict(zip(names, datasets.load_examples(path, *names), strict=True))
    datasets.save_examples(path, **(arrays | {"labels": arrays["labels"][::-1]}))
    with pytest.raises(UserError, match="regularized: not all runs were tested on the same images"):
        predictions.load(tmp_path, MODELS[:2], [0])


def test_results_of_other_runs_are_removed(tmp_path: Path) -> None:
    for run_folder in ("a/0", "a/1", "b/0"):
        (tmp_path / run_folder).mkdir(parents=True)
        (tmp_path / run_folder / "training.json").write_text("{}")
    removed = results.remove_other_runs(tmp_path, ["a"], [0])
    assert removed == [tmp_path / "a" / "1", tmp_path / "b" / "0"]
    assert sorted(tmp_path.rglob("*")) == sorted(
        tmp_path / name for name in ("a", "a/0", "a/0/training.json")
    )


def test_files_that_no_run_wrote_are_kept(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in ("notes/today/notes.md", "b/0/notes.md", "b/notes.md")]
    for path in (*kept, tmp_path / "b" / "0" / "training.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert results.remove_other_runs(tmp_path, ["a"], [0]) == [tmp_path / "b" / "0"]
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


# The whole report


def make_report(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Run the stage in a folder that `fake_results.checkout` prepared; return Markdown and HTML."""
    monkeypatch.chdir(folder)
    report.main(ARGUMENTS)
    pages = (folder / "reports" / name for name in ("report.md", "report.html"))
    markdown, html = (page.read_text(encoding="utf-8") for page in pages)
    return markdown, html


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use fewer resamples where a bootstrap gives the width of an interval."""
    monkeypatch.setattr(statistics, "RESAMPLES", 20)


@pytest.fixture
def text_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time: the figures, and the page that shows them."""
    for name in ("training", "robustness", "predictions", "training_images", "claims"):
        monkeypatch.setattr(catalogue, f"figures_of_{name}", lambda *_: {})
    monkeypatch.setattr(report.pages, "html_page", lambda *_: "")


def test_a_folder_without_results_is_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug that fuzzing found: given the path of another folder, the script emptied it."""
    checkout(tmp_path / "here", MODELS[:1], [0])
    monkeypatch.chdir(tmp_path / "here")
    unrelated = tmp_path / "all" / "of" / "mine"
    unrelated.mkdir(parents=True)
    (unrelated / "training.json").touch()
    with pytest.raises(UserError):
        report.main([str(tmp_path / "all"), *ARGUMENTS[1:]])
    assert (unrelated / "training.json").exists()


@pytest.mark.parametrize(("models", "seeds"), [(1, 1), (2, 3), (5, 2)])
def test_any_number_of_models_and_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: int, seeds: int
) -> None:
    checkout(tmp_path, MODELS[:models], list(range(seeds)))
    markdown, html = make_report(tmp_path, monkeypatch)
    outs = load_yaml(Path("dvc.yaml"))["stages"]["report"]
    declared = {path for entry in outs["outs"] + outs["metrics"] for path in entry}
    written = {str(path) for path in Path("reports").rglob("*") if path.is_file()}
    assert written == declared
    shown = re.findall(r"\]\(figures/(\w+)\.svg\)", markdown)
    assert html.count("<svg ") == len(shown)
    claims = {f"claim_{number}" for number in catalogue.claim_figures.FIGURES}
    figures = {path.stem for path in Path("reports/figures").iterdir()}
    measured = {"claim_5", "claim_12"} if models == 5 else set()
    assert figures - set(shown) == claims - measured
    for page in (markdown, html):
        assert ("One seed." in page) == (seeds == 1)
        assert ("there are no verdicts" in page) == (seeds == 1)
        assert ("inconclusive at 1 seed" in page) == (seeds == 1)
        needed = "To measure it, add a model with dropout and augmentation to"
        assert (needed in page) == (models == 1)
        listed = ", ".join(map(str, range(seeds)))
        assert f"{seeds} seed{'s' * (seeds > 1)} ({listed})" in page
    compared = "regularized" in MODELS[:models]
    assert ('<th scope="row">regularized' in html) == compared
    assert "0.848 / 0.872" not in html  # what the lesson reports, for other settings
    for page in (markdown, html):
        for model in MODELS[:models]:
            assert model in page
        words = re.sub(r"data:image/png;base64,[^\"]+", "", page).lower()
        assert not re.search(r"\bnan\b", words)
    for outside in ("src=", "<link", "@import", "<script"):
        assert outside not in html
    assert list(json.loads(Path("reports/metrics.json").read_text())) == MODELS[:models]


def test_without_robustness_the_rest_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout(tmp_path, MODELS[:2], [0, 1], n_corrupted=0)
    markdown, _ = make_report(tmp_path, monkeypatch)
    assert "Not measured: `robustness.test_size` in `params.yaml` is 0." in markdown
    assert "### Claim 3" in markdown
    assert "it degrades gracefully" not in markdown.partition("## The gap")[0]


@pytest.mark.usefixtures("text_only")  # test_figures.py shows it for the figures
def test_the_same_results_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = []
    for name in ("first", "a second folder"):
        (tmp_path / name).mkdir()
        checkout(tmp_path / name, MODELS[:2], [0, 1])
        make_report(tmp_path / name, monkeypatch)
        files = sorted(path for path in Path("reports").rglob("*") if path.is_file())
        contents.append({str(path): path.read_bytes() for path in files})
    assert contents[0] == contents[1]


@pytest.mark.usefixtures("text_only")
def test_verdicts_follow_from_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the training accuracies of two models are swapped, the verdicts are reversed."""
    seeds = list(range(5))
    for name, accuracies in (("first", (0.999, 0.5)), ("swapped", (0.5, 0.999))):
        folder = tmp_path / name
        checkout(folder, MODELS[:2], seeds)
        for model, train in zip(MODELS[:2], accuracies, strict=True):
            for seed in seeds:
                path = folder / "results" / model / str(seed) / "evaluation.json"
                evaluation = read_record(path)
                evaluation["train"]["accuracy"] = train
                write_record(path, evaluation)
    markdown, _ = make_report(tmp_path / "first", monkeypatch)
    assert "The claim that it overfits is supported." in markdown
    assert "The claim that dropout and augmentation shrink the gap is supported." in markdown
    markdown, _ = make_report(tmp_path / "swapped", monkeypatch)
    assert "The claim that it overfits is not supported." in markdown
    assert "The claim that dropout and augmentation shrink the gap is not supported." in markdown


@pytest.mark.usefixtures("text_only")
def test_the_order_of_compare_changes_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = []
    for name, order in (("first", [0, 1, 6]), ("second", [6, 1, 0])):
        checkout(tmp_path / name, [MODELS[number] for number in order], [0, 1])
        markdown, _ = make_report(tmp_path / name, monkeypatch)
        claims = pd.read_csv("reports/tables/claims.csv")
        tables.append(claims.sort_values(["claim", "model", "measure"]).to_csv(index=False))
        assert "compared with, is baseline, the model without" in markdown
    assert tables[0] == tables[1]


@pytest.mark.usefixtures("text_only")
def test_without_a_model_without_regularizers_the_report_says_what_to_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout(tmp_path, MODELS[1:3], [0, 1])
    markdown, _ = make_report(tmp_path, monkeypatch)
    assert "No model in `compare` is without regularizers" in markdown
    assert "add a model without regularizers to `compare`, such as `baseline`" in markdown
    assert "supported |" not in markdown


def test_the_data_are_called_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_classes = ["split", "curves", "gap", "shift", "corruptions", "corruption_errors"]
    placeholders = catalogue.placeholders([*without_classes, "corrupted"], "they name no class")
    monkeypatch.setattr(catalogue, "figures_of_training", lambda _: placeholders)
    monkeypatch.setattr(catalogue, "figures_of_robustness", lambda *_: {})
    checkout(tmp_path, MODELS[:2], [0, 1])
    yaml = ruamel.yaml.YAML()
    params = yaml.load(tmp_path / "params.yaml")
    names = [f"kind {number} at 5$" for number in range(10)]
    params["data"].update(name="Cups & <saucers>", classes=names)
    yaml.dump(params, tmp_path / "params.yaml")
    markdown, html = make_report(tmp_path, monkeypatch)
    assert markdown.startswith("# Overfitting on Cups & <saucers>, measured\n")
    assert "Overfitting on Cups &amp; &lt;saucers&gt;, measured</h1>" in html
    confusion = pd.read_csv("reports/tables/confusion.csv")
    assert confusion["actual"].unique().tolist() == names
    for outdated in ("Fashion-MNIST", *CLASSES):
        assert outdated not in html
    for figure in ("confusion", "classes", "disagreements", "samples"):
        assert "kind 3 at 5$" in Path(f"reports/figures/{figure}.svg").read_text()


@pytest.mark.usefixtures("text_only")
def test_what_differs_between_models_is_given_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout(tmp_path, MODELS[:2], [0, 1])
    for seed in (0, 1):
        folder = tmp_path / "results" / MODELS[1] / str(seed)
        training, evaluation = (
            read_record(folder / f"{name}.json") for name in ("training", "evaluation")
        )
        training["training"] |= {"epochs": 7, "validation_split": 0.4}
        training["versions"]["Keras"] = "4.0"
        evaluation["train"]["images"], evaluation["validation"]["images"] = 60, 40
        write_record(folder / "training.json", training)
        write_record(folder / "evaluation.json", evaluation)
    markdown, _ = make_report(tmp_path, monkeypatch)
    assert "Trained on 60 to 80 images, validated on 20 to 40, tested on 60." in markdown
    assert "| regularized | 60 | 40 | 60 |" in markdown
    assert "| baseline | 3.11 | 2.21 | 3.15 |" in markdown
    assert "| regularized | 3.11 | 2.21 | 4.0 |" in markdown
    assert "epochs 7 instead of 3, validation split 0.4 instead of 0.2" in markdown


@pytest.mark.usefixtures("text_only")
def test_a_model_may_be_called_what_pandas_takes_for_a_missing_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout(tmp_path, MODELS[:4], [0, 1])
    names = ["nan", "NA", "null", "007"]
    yaml = ruamel.yaml.YAML()
    params = yaml.load(tmp_path / "params.yaml")
    for old, new in zip(MODELS[:4], names, strict=True):
        (tmp_path / "results" / old).rename(tmp_path / "results" / new)
        params["models"][new] = params["models"].pop(old)
    params["compare"] = names
    yaml.dump(params, tmp_path / "params.yaml")
    make_report(tmp_path, monkeypatch)
    capsys.readouterr()
    summary.main(["reports"])
    assert capsys.readouterr().out.splitlines()[0].split() == ["model", *names]


# Predictions as tables


def test_corruptions_as_a_table_by_hand(tmp_path: Path) -> None:
    for model in MODELS[:2]:
        write_run(tmp_path, model, 4)
    predicted = predictions.load(tmp_path, MODELS[:2], [4])
    plain, augmented = {"flip": None, "translation": 0.0}, {"flip": "horizontal"}
    table = robustness_tables.corruption_table(
        predicted, [4], {"baseline": plain, "regularized": augmented}
    )
    assert len(table) == 2 * len(CORRUPTIONS) * 6
    assert set(table["seed"]) == {4}
    shear = table[(table["model"] == "regularized") & (table["corruption"] == "shear")]
    number = list(CORRUPTIONS).index("shear")
    expected = [
        predicted["regularized"].correct_shifted[0, 4, 4].mean(),
        *predicted["regularized"].correct_corrupted[0, number].mean(axis=-1),
    ]
    assert shear["accuracy"].tolist() == pytest.approx(expected)
    assert table[table["matched"]]["corruption"].unique().tolist() == ["horizontal_flip"]

    errors = robustness_tables.corruption_errors(table, "baseline").set_index(
        ["model", "corruption"]
    )["error"]
    assert (errors["baseline"] == 1).all()
    error_sums = [
        (~predicted[model].correct_corrupted[0, number]).mean(axis=-1).sum()
        for model in ("regularized", "baseline")
    ]
    assert errors["regularized", "shear"] == pytest.approx(error_sums[0] / error_sums[1])
    held_out = [name for name in CORRUPTIONS if name != "horizontal_flip"]
    assert errors["regularized", "mCE, held out"] == pytest.approx(
        errors["regularized"][held_out].mean()
    )
    assert errors["regularized", "mCE"] == pytest.approx(
        errors["regularized"][list(CORRUPTIONS)].mean()
    )


def test_the_largest_disagreement_comes_first() -> None:
    labels = np.array([3, 3, 3])

    def model(*label_probabilities: float) -> Predictions:
        probabilities = np.zeros((1, 3, 10), dtype=np.float32)
        probabilities[0, :, 3] = label_probabilities
        probabilities[0, :, 5] = 1 - np.array(label_probabilities)
        none = np.zeros((1, 9, 9, N_CORRUPTED), dtype=bool)
        return Predictions(probabilities, labels, none, none, none, none)

    predicted = {"a": model(0.9, 0.6, 0.1), "b": model(0.8, 0.1, 0.1)}
    images = np.arange(3 * 28 * 28, dtype=np.uint32).reshape(3, 28, 28).astype(np.uint8)
    shown = predictions.largest_disagreements(predicted, images, CLASSES, 2)
    assert [case.index for case in shown] == [1, 0]
    assert shown[0].label == "Dress"
    assert shown[0].predicted == {"a": ["Dress"], "b": ["Sandal"]}
    assert np.array_equal(shown[0].image, images[1])


def test_class_changes_and_confusion_matrices_by_hand() -> None:
    labels = np.array([0, 0, 1])

    def model(*predicted: int) -> Predictions:
        none = np.zeros((1, 9, 9, 0), dtype=bool)
        probabilities = np.eye(10, dtype=np.float32)[list(predicted)][np.newaxis]
        return Predictions(probabilities, labels, none, none, none, none)

    predicted = {"a": model(0, 1, 1), "b": model(0, 0, 5)}
    changes = predictions.class_changes(predicted, [7], CLASSES, "a")
    assert changes[changes["model"] == "b"]["change"].tolist() == [0.5, -1.0]  # two classes only
    assert set(changes["seed"]) == {7}
    counts = predictions.confusion_matrices(predicted)
    assert counts["a"][0, 1] == counts["a"][0, 0] == counts["a"][1, 1] == 1
    table = predictions.confusion_table(counts, CLASSES)
    assert table["images"].sum() == 6
    row = table[(table["model"] == "b") & (table["images"] > 0)].iloc[-1]
    assert (row["actual"], row["predicted"]) == ("Trouser", "Sandal")


# Files of examples


def test_corrupt_examples_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    datasets.save_examples(path, images=np.zeros((3, 28, 28), np.uint8), labels=np.arange(3))
    first = path.read_bytes()
    datasets.save_examples(path, images=np.zeros((3, 28, 28), np.uint8), labels=np.arange(3))
    assert path.read_bytes() == first  # contains no date
    for position in (len(first) // 2, 35):
        corrupt = bytearray(first)
        corrupt[position] ^= 0xFF
        path.write_bytes(corrupt)
        with pytest.raises(UserError, match=r"train\.npz is corrupt"):
            datasets.load_examples(path, "images", "labels")
    path.write_bytes(first[:1000])
    with pytest.raises(UserError, match=r"train\.npz is corrupt"):
        datasets.load_examples(path, "images", "labels")


def test_arrays_that_could_run_code_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    np.savez(path, images=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(UserError, match="allow_pickle"):
        datasets.load_examples(path, "images")


def test_the_first_images_and_sizes_that_do_not_fit() -> None:
    images, labels = np.zeros((5, 28, 28), np.uint8), np.arange(5, dtype=np.uint8)
    few, their_labels = datasets.first(images, labels, 3, "data.train_size")
    assert len(few) == len(their_labels) == 3
    with pytest.raises(UserError, match=r"data\.train_size = 6: the data set has only 5 images"):
        datasets.first(images, labels, 6, "data.train_size")
    with pytest.raises(UserError, match="do not match"):
        datasets.first(images, labels[:4], 3, "data.train_size")
    with pytest.raises(UserError, match="labels go up to 14"):
        datasets.first(images, labels + 10, 3, "data.train_size")
