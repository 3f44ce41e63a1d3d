"""The report is computed correctly and deterministically from the results of the runs."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.fake_results import MODELS, N_CORRUPTED, checkout, write_run

import report
from overfitting.analysis import predictions, results
from overfitting.common import datasets
from overfitting.common.errors import UserError
from overfitting.common.files import read_record, write_record
from overfitting.common.yaml_files import load_yaml
from overfitting.evaluation.corruptions import CORRUPTIONS
from overfitting.report import formatting

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


# Tables


def test_gap_table_by_hand() -> None:
    rows = results.gap_table(results.runs_table(RUNS)).to_dict("records")
    assert [row["model"] for row in rows] == ["baseline", "stacked"]
    baseline, stacked = rows
    assert baseline["gap"] == pytest.approx(0.07)
    assert baseline["gap_sd"] == pytest.approx(math.sqrt(0.0002))
    assert baseline["lesson_gap"] == pytest.approx(0.06)
    assert baseline["mode_bias"] == pytest.approx(0.01)
    assert baseline["reported_gap"] == 0.066
    assert stacked["gap"] == pytest.approx(0.0)
    assert stacked["lesson_gap"] == pytest.approx(-0.06)  # signed
    assert math.isnan(stacked["reported_gap"])


def test_metrics_are_rounded_and_never_nan() -> None:
    metrics = results.metrics(results.gap_table(results.runs_table(RUNS)))
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
    one_seed = results.metrics(
        results.gap_table(results.runs_table([RUNS[0] | {"robustness": None}]))
    )
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


def test_the_validation_loss_is_averaged_over_the_seeds() -> None:
    by_seed = {0: [1.0, 0.5, 0.9], 1: [1.0, 0.8, 0.3]}
    runs = [
        RUNS[seed] | {"history": dict.fromkeys(results.CURVES, loss) | {"best_epoch": 3}}
        for seed, loss in by_seed.items()
    ]
    losses = results.mean_val_loss(results.curves_table(runs))["baseline"]
    assert losses.to_dict() == pytest.approx({1: 1.0, 2: 0.65, 3: 0.6})
    runs[1]["history"] = dict.fromkeys(results.CURVES, by_seed[1][:2]) | {"best_epoch": 2}
    losses = results.mean_val_loss(results.curves_table(runs))["baseline"]
    assert losses.to_dict() == pytest.approx({1: 1.0, 2: 0.65})  # which all seeds reached


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
    names = ("probabilities", "labels", "shifted", "corrupted")
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


@pytest.mark.parametrize(("models", "seeds"), [(1, 1), (2, 3), (8, 20)])
def test_any_number_of_models_and_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: int, seeds: int
) -> None:
    checkout(tmp_path, MODELS[:models], list(range(seeds)))
    markdown, html = make_report(tmp_path, monkeypatch)
    outs = load_yaml(Path("dvc.yaml"))["stages"]["report"]
    declared = {path for entry in outs["outs"] + outs["metrics"] for path in entry}
    written = {str(path) for path in Path("reports").rglob("*") if path.is_file()}
    assert written == declared
    assert html.count("<svg ") == len(list(Path("reports/figures").iterdir()))
    for page in (markdown, html):
        assert ("One seed." in page) == (seeds == 1)
        assert ("no verdict is passed" in page) == (seeds == 1)
        assert (f"undecided at {seeds} seed" in page) or seeds > 1
        assert ("Add a second one" in page) == (models == 1)
        listed = ", ".join(map(str, range(seeds)))
        assert f"{seeds} seed{'s' * (seeds > 1)} ({listed})" in page
    compared = "regularized" in MODELS[:models]
    assert ('<th scope="row">regularized' in html) == compared
    assert ("0.848 / 0.872" in html) == compared  # what the lesson reports for this model
    for page in (markdown, html):
        for model in MODELS[:models]:
            assert model in page
        words = re.sub(r"data:image/png;base64,[^\"]+", "", page).lower()
        assert "nan" not in words.replace("finance", "")
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
    assert "degrades more gracefully" not in markdown


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


def test_verdicts_follow_from_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the results of two models are swapped, the verdicts are reversed."""
    checkout(tmp_path, MODELS[:2], [0, 1, 2])
    for seed in range(3):
        for model, train in (("baseline", 0.99), ("regularized", 0.5)):
            path = tmp_path / "results" / model / str(seed) / "evaluation.json"
            evaluation = read_record(path)
            evaluation["train"]["accuracy"] = train
            evaluation["test"]["accuracy"] = 0.8 + seed / 1000
            write_record(path, evaluation)
    markdown, _ = make_report(tmp_path, monkeypatch)
    assert "the claim that it overfits holds" in markdown
    assert "the claim that it is smaller holds" in markdown
    for seed in range(3):
        folders = [tmp_path / "results" / model / str(seed) for model in MODELS[:2]]
        first, second = (folder / "evaluation.json" for folder in folders)
        swapped = second.read_text(), first.read_text()
        first.write_text(swapped[0])
        second.write_text(swapped[1])
    shutil.rmtree(tmp_path / "reports")
    markdown, _ = make_report(tmp_path, monkeypatch)
    assert "that it overfits does not hold" in markdown
    assert "that it is smaller does not hold" in markdown


# Predictions as tables


def test_corruptions_as_a_table_by_hand(tmp_path: Path) -> None:
    for model in MODELS[:2]:
        write_run(tmp_path, model, 4)
    predicted = predictions.load(tmp_path, MODELS[:2], [4])
    plain, augmented = {"flip": None, "translation": 0.0}, {"flip": "horizontal"}
    table = predictions.corruption_table(
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

    errors = predictions.corruption_errors(table).set_index(["model", "corruption"])["error"]
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

    def model(*label_probabilities: float) -> predictions.Predictions:
        probabilities = np.zeros((1, 3, 10), dtype=np.float32)
        probabilities[0, :, 3] = label_probabilities
        probabilities[0, :, 5] = 1 - np.array(label_probabilities)
        none = np.zeros((1, 9, 9, N_CORRUPTED), dtype=bool)
        return predictions.Predictions(probabilities, labels, none, none)

    predicted = {"a": model(0.9, 0.6, 0.1), "b": model(0.8, 0.1, 0.1)}
    images = np.arange(3 * 28 * 28, dtype=np.uint32).reshape(3, 28, 28).astype(np.uint8)
    shown = predictions.largest_disagreements(predicted, images, 2)
    assert [case.index for case in shown] == [1, 0]
    assert shown[0].label == "Dress"
    assert shown[0].predicted == {"a": ["Dress"], "b": ["Sandal"]}
    assert np.array_equal(shown[0].image, images[1])


def test_class_changes_and_confusion_matrices_by_hand() -> None:
    labels = np.array([0, 0, 1])

    def model(*predicted: int) -> predictions.Predictions:
        none = np.zeros((1, 9, 9, 0), dtype=bool)
        return predictions.Predictions(
            np.eye(10, dtype=np.float32)[list(predicted)][np.newaxis], labels, none, none
        )

    predicted = {"a": model(0, 1, 1), "b": model(0, 0, 5)}
    changes = predictions.class_changes(predicted, [7])
    assert changes[changes["model"] == "b"]["change"].tolist() == [0.5, -1.0]  # two classes only
    assert set(changes["seed"]) == {7}
    counts = predictions.confusion_matrices(predicted)
    assert counts["a"][0, 1] == counts["a"][0, 0] == counts["a"][1, 1] == 1
    table = predictions.confusion_table(counts)
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
