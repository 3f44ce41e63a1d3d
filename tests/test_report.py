"""From results to tables, figures and pages; the same bytes for the same results."""

import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from overfitting import datasets, figures, measures, pages, results
from overfitting.errors import UserError
from overfitting.statistics import t_interval


def run(model: str, seed: int, train: float, test: float, printed: float) -> dict[str, Any]:
    """One run's results, two epochs long."""

    def part(accuracy: float) -> dict[str, float]:
        return {"images": 100, "accuracy": accuracy, "cross_entropy": 1 - accuracy}

    return {
        "model": model,
        "seed": seed,
        "augmentation": {"flip": None, "translation": 0.0},
        "train": part(train),
        "validation": part(0.7),
        "test": part(test),
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


def test_measures_on_cases_worked_by_hand() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.25, 0.5, 0.25]])
    labels = np.array([0, 2, 0])
    assert measures.accuracy(probabilities, labels) == pytest.approx(2 / 3)
    by_hand = -(math.log(0.5) + math.log(0.7) + math.log(0.25)) / 3
    assert measures.cross_entropy(probabilities, labels) == pytest.approx(by_hand)
    certain = np.array([[0.0, 1.0]])
    assert math.isfinite(measures.cross_entropy(certain, np.array([0])))


def test_t_interval_on_a_published_case() -> None:
    # Student's own first sample (1908): additional hours of sleep by hyoscyamine, ten patients.
    sleep = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    low, high = t_interval(sleep)
    assert (low, high) == pytest.approx((-0.5297804, 2.0297804), abs=1e-6)  # t.test of R
    assert all(math.isnan(bound) for bound in t_interval(np.array([0.5])))


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


def test_metrics_are_few_rounded_and_never_nan() -> None:
    metrics = results.metrics(results.gap_table(results.runs_table(RUNS)))
    assert metrics["baseline"] == {
        "train_accuracy": 0.95,
        "val_accuracy": 0.7,
        "test_accuracy": 0.88,
        "gap": 0.07,
        "lesson_gap": 0.06,
        "gap_sd": 0.0141,
        "epochs_run": 2.0,
    }
    one_seed = results.metrics(results.gap_table(results.runs_table(RUNS[:1])))
    assert one_seed["baseline"]["gap_sd"] is None
    json.dumps(one_seed, allow_nan=False)


def test_curves_keep_every_epoch_and_their_means() -> None:
    curves = results.curves_table(RUNS)
    assert len(curves) == 8
    assert curves["gap"].tolist()[:2] == pytest.approx([0.1, 0.25])
    means = results.mean_curves(curves)
    last = means[(means["model"] == "baseline") & (means["epoch"] == 2)].set_index("set")
    assert last.loc["training", "accuracy"] == pytest.approx(0.94)
    assert last.loc["validation", "loss"] == pytest.approx(0.6)


def test_a_missing_or_damaged_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a/0/training\.json is missing or damaged"):
        results.load_runs(tmp_path, ["a"], [0])
    (tmp_path / "a" / "0").mkdir(parents=True)
    (tmp_path / "a" / "0" / "training.json").write_text("{")
    with pytest.raises(UserError, match=r"a/0/training\.json is missing or damaged"):
        results.load_runs(tmp_path, ["a"], [0])


def test_only_runs_that_are_asked_for_stay(tmp_path: Path) -> None:
    for run_folder in ("a/0", "a/1", "b/0"):
        (tmp_path / run_folder).mkdir(parents=True)
        (tmp_path / run_folder / "training.json").write_text("{}")
    removed = results.remove_other_runs(tmp_path, ["a"], [0])
    assert removed == [tmp_path / "a" / "1", tmp_path / "b" / "0"]
    assert sorted(tmp_path.rglob("*")) == sorted(
        tmp_path / name for name in ("a", "a/0", "a/0/training.json")
    )


def draw_all() -> dict[str, Any]:
    images = np.arange(20 * 28 * 28, dtype=np.uint32).reshape(20, 28, 28).astype(np.uint8)
    curves = results.curves_table(RUNS)
    return {
        "curves": figures.curves(curves),
        "gap": figures.gap_per_epoch(curves),
        "augmentation": figures.augmentation_grid(
            {"stacked": (images[:3], np.stack([images[:3]] * 4, axis=1))}
        ),
        "samples": figures.samples(images, np.arange(20) % 10),
    }


def test_figures_are_the_same_bytes_and_have_titles_and_labels(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        for name, figure in draw_all().items():
            for axis in figure.axes:
                assert axis.get_title() or name == "augmentation"
                assert axis.get_ylabel()
            figures.save(figure, tmp_path / folder / f"{name}.svg")
    for path in sorted((tmp_path / "first").iterdir()):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
        ElementTree.parse(path)


def test_curves_show_every_seed_faint_and_the_mean_strong() -> None:
    axis = figures.curves(results.curves_table(RUNS)).axes[0]
    faint = [line for line in axis.lines if line.get_alpha() == figures.FAINT]
    assert len(faint) == 2 * 2  # seeds × (training, validation)
    strong = [line for line in axis.lines if np.size(line.get_xdata()) > 1 and line not in faint]
    assert len(strong) == 2
    assert {line.get_linestyle() for line in strong} == {"-", "--"}  # readable without colour


@pytest.mark.parametrize(("models", "seeds"), [(1, 1), (2, 3), (8, 20)])
def test_pages_for_any_number_of_models_and_seeds(tmp_path: Path, models: int, seeds: int) -> None:
    runs = [run(f"m{m}", s, 0.9, 0.8, 0.85) for m in range(models) for s in range(seeds)]
    gaps = results.gap_table(results.runs_table(runs))
    figures_of_page = {}
    for name in ("curves", "gap", "augmentation", "samples"):
        figures_of_page[name] = tmp_path / f"{name}.svg"
    drawn = draw_all() | {"curves": figures.curves(results.curves_table(runs))}
    for name, figure in drawn.items():
        figures.save(figure, figures_of_page[name])
    context = {
        "gap_table": pages.gap_table(gaps),
        "seeds": list(range(seeds)),
        "parts": {"train": 80, "validation": 20, "test": 50},
        "figures": figures_of_page,
    }
    templates = Path(__file__).parents[1] / "workflow" / "templates"
    markdown = pages.render(templates / "report.md.j2", **context)
    html = pages.render(templates / "report.html.j2", **context)
    for page in (markdown, html):
        assert page.count("+0.100") == (models if seeds == 1 else 3 * models)
        assert ("one seed cannot give" in page) == (seeds == 1)
    assert markdown.count("\n| m") == models + 1  # and the header
    assert html.count("<svg") == 4
    assert html.count('id="') == len({part.split('"')[0] for part in html.split('id="')[1:]})
    for outside in ("src=", "<link", "@import", "<script"):
        assert outside not in html


def test_words_of_numbers() -> None:
    assert pages.signed(-0.024) == "\N{MINUS SIGN}0.024"
    assert pages.signed(0.066) == "+0.066"
    assert pages.signed(-0.0) == "+0.000"
    assert pages.share(float("nan")) == "–"
    assert pages.share(None) == "–"


def test_examples_are_refused_when_damaged(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    datasets.save_examples(path, images=np.zeros((3, 28, 28), np.uint8), labels=np.arange(3))
    first = path.read_bytes()
    datasets.save_examples(path, images=np.zeros((3, 28, 28), np.uint8), labels=np.arange(3))
    assert path.read_bytes() == first  # no date in it
    for position in (len(first) // 2, 35):
        damaged = bytearray(first)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"train\.npz is damaged"):
            datasets.load_examples(path, "images", "labels")
    path.write_bytes(first[:1000])
    with pytest.raises(UserError, match=r"train\.npz is damaged"):
        datasets.load_examples(path, "images", "labels")


def test_arrays_that_could_run_code_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    np.savez(path, images=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(UserError, match="allow_pickle"):
        datasets.load_examples(path, "images")


def test_first_images_and_what_does_not_fit() -> None:
    images, labels = np.zeros((5, 28, 28), np.uint8), np.arange(5, dtype=np.uint8)
    few, their_labels = datasets.first(images, labels, 3, "data.train_size")
    assert len(few) == len(their_labels) == 3
    with pytest.raises(UserError, match=r"data\.train_size = 6: the data have only 5 images"):
        datasets.first(images, labels, 6, "data.train_size")
    with pytest.raises(UserError, match="do not fit"):
        datasets.first(images, labels[:4], 3, "data.train_size")
    with pytest.raises(UserError, match="labels go up to 14"):
        datasets.first(images, labels + 10, 3, "data.train_size")
    scaled = datasets.to_network_input(np.full((1, 28, 28), 255, np.uint8))
    assert scaled.shape == (1, 28, 28, 1)
    assert scaled.dtype == np.float32
    assert scaled.max() == 1.0


def test_seeds_that_stop_early_end_the_mean_line() -> None:
    table = results.curves_table(RUNS)
    shorter = table[~((table["seed"] == 1) & (table["epoch"] == 2))]
    axis = figures.gap_per_epoch(pd.DataFrame(shorter)).axes[0]
    means = [line for line in axis.lines if line.get_linewidth() == 2.5]
    assert all(np.size(line.get_xdata()) == 1 for line in means)
