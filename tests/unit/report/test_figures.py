"""Figures are deterministic, readable and correct, for any number of models and seeds."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from support.fake_results import CLASSES, MODELS
from support.figures import assert_readable

from overfitting.analysis.predictions import Disagreement
from overfitting.evaluation import corruptions
from overfitting.report.figures import images as image_figures
from overfitting.report.figures import learning as learning_figures
from overfitting.report.figures import predictions as prediction_figures
from overfitting.report.figures import robustness as robustness_figures
from overfitting.report.figures import style
from overfitting.report.figures.style import plt

CORRUPTIONS = list(corruptions.CORRUPTIONS)


def curves_table(models: int, seeds: int, epochs: int = 15) -> pd.DataFrame:
    """Plausible learning curves; the first model overfits most."""
    random = np.random.default_rng(0)
    rows = []
    for number, model in enumerate(MODELS[:models]):
        for seed in range(seeds):
            for epoch in range(1, epochs + 1):
                worse = max(0, epoch - 7) * 0.03 / (1 + number)
                noise = 0.05 * random.random(2)
                loss = 0.9 / epoch**0.6 + 0.05 * number + noise[0]
                val_loss = 0.25 + 0.6 / epoch**0.8 + worse + noise[1]
                accuracy, val_accuracy = np.exp(-0.5 * loss), np.exp(-0.45 * val_loss)
                gap = accuracy - val_accuracy
                rows.append((model, seed, epoch, accuracy, loss, val_accuracy, val_loss, gap))
    columns = ["model", "seed", "epoch", "accuracy", "loss", "val_accuracy", "val_loss", "gap"]
    return pd.DataFrame(rows, columns=columns)


def runs_table(models: int, seeds: int) -> pd.DataFrame:
    random = np.random.default_rng(1)
    table = pd.MultiIndex.from_product(
        [MODELS[:models], range(seeds)], names=["model", "seed"]
    ).to_frame(index=False)
    table["lesson_gap"] = (
        0.066 - 0.1 * (table["model"] != "baseline") + 0.01 * random.random(len(table))
    )
    table["running_average_part"] = 0.01 + 0.01 * random.random(len(table))
    table["train_mode_part"] = 0.05 * (table["model"] != "baseline") + 0.01 * random.random(
        len(table)
    )
    parts = ["lesson_gap", "running_average_part", "train_mode_part"]
    table["gap"] = table[parts].sum(axis="columns")
    return table


def shift_grids(models: int) -> dict[str, np.ndarray]:
    distance = np.hypot(*np.mgrid[-4:5, -4:5])
    return {
        model: 0.88 * np.exp(-((distance / (3.5 + 0.7 * number)) ** 2))
        for number, model in enumerate(MODELS[:models])
    }


def corruptions_table(models: int, seeds: int) -> pd.DataFrame:
    random = np.random.default_rng(2)
    table = pd.MultiIndex.from_product(
        [MODELS[:models], range(seeds), CORRUPTIONS, range(6)],
        names=["model", "seed", "corruption", "severity"],
    ).to_frame(index=False)
    place = table["model"].map(MODELS.index)
    kind = table["corruption"].map(CORRUPTIONS.index)
    table["accuracy"] = 0.88 - table["severity"] * (0.02 + 0.01 * kind - 0.004 * place)
    table["accuracy"] += 0.03 * random.random(len(table))
    table["matched"] = (table["model"] == "regularized") & (kind >= 10)
    return table


def errors_table(models: int, seeds: int) -> pd.DataFrame:
    random = np.random.default_rng(3)
    table = pd.MultiIndex.from_product(
        [MODELS[:models], [*CORRUPTIONS, "mCE", "mCE, held out"], range(seeds)],
        names=["model", "corruption", "seed"],
    ).to_frame(index=False)
    other = table["model"] != "baseline"
    table["error"] = 1 + other * random.uniform(-0.5, 0.4, len(table))
    table["matched"] = (table["model"] == "regularized") & (
        table["corruption"].isin(CORRUPTIONS[10:])
    )
    return table


def reliability_table(models: int, seeds: int) -> pd.DataFrame:
    random = np.random.default_rng(4)
    tables = []
    for number, model in enumerate(MODELS[:models]):
        for seed in range(seeds):
            confidence = np.minimum(1, 0.42 + 0.6 * (np.arange(15) / 10) ** 0.5)
            confidence = np.sort(confidence - 0.02 * random.random(15))
            accuracy = np.clip(
                confidence ** (2 - 0.2 * number) + 0.05 * random.normal(size=15), 0, 1
            )
            tables.append(
                pd.DataFrame(
                    {"bin": range(15), "confidence": confidence, "accuracy": accuracy}
                ).assign(model=model, seed=seed, images=200)
            )
    return pd.concat(tables, ignore_index=True)


def confusion_counts(models: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    return {
        model: 250 * np.eye(10) + random.exponential(5, size=(10, 10)) for model in MODELS[:models]
    }


def changes_table(models: int, seeds: int) -> pd.DataFrame:
    random = np.random.default_rng(6)
    table = pd.MultiIndex.from_product(
        [MODELS[:models], range(seeds), CLASSES], names=["model", "seed", "class_name"]
    ).to_frame(index=False)
    table["change"] = random.normal(0, 0.05, len(table)) * (table["model"] != "baseline")
    return table


def pictures(count: int) -> np.ndarray:
    """`count` different grey images (uint8, count×28×28)."""
    return np.arange(count * 28 * 28, dtype=np.uint32).reshape(count, 28, 28).astype(np.uint8)


def cases(models: int, seeds: int) -> list[Disagreement]:
    predicted = {
        model: ["Ankle boot" if number % 2 else "T-shirt/top"] * seeds
        for number, model in enumerate(MODELS[:models])
    }
    return [
        Disagreement(image, 2990 + number, "Ankle boot", predicted)
        for number, image in enumerate(pictures(12))
    ]


def draw_all(models: int, seeds: int) -> dict[str, Figure]:
    """Every figure of the report, for the given number of models and seeds."""
    images = pictures(20)
    augmented = MODELS[1:models] or MODELS[:1]
    curves = curves_table(models, seeds)
    drawn = {
        "curves": learning_figures.curves(curves),
        "gap": learning_figures.gap_per_epoch(curves),
        "gap_split": learning_figures.gap_split(runs_table(models, seeds)),
        "placeholder": style.placeholder(
            "Accuracy on shifted test images",
            "Not measured: robustness.test_size is 0. Set it in params.yaml and run again.",
        ),
        "shift_maps": robustness_figures.shift_maps(shift_grids(models), MODELS[0]),
        "corruption_curves": robustness_figures.corruption_curves(corruptions_table(models, seeds)),
        "corruption_errors": robustness_figures.corruption_errors(
            errors_table(models, seeds), MODELS[0]
        ),
        "reliability": prediction_figures.reliability_diagrams(
            reliability_table(models, seeds), dict.fromkeys(MODELS, 0.0512)
        ),
        "confusion": prediction_figures.confusion_matrices(confusion_counts(models), CLASSES),
        "augmentation": image_figures.augmentation_grid(
            {model: (images[:3], np.stack([images[:3]] * 8, axis=1)) for model in augmented}
        ),
        "samples": image_figures.samples(images, np.arange(20) % 10, CLASSES),
        "corrupted": image_figures.corrupted_pictures(dict.fromkeys(CORRUPTIONS, images[:6])),
        "disagreements": image_figures.disagreements(cases(models, seeds)),
    }
    if models > 1:
        drawn["class_changes"] = prediction_figures.class_changes(
            changes_table(models, seeds), MODELS[0]
        )
    return drawn


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close every figure after its test, as pyplot would keep it open."""
    yield
    plt.close("all")


def texts(axis: plt.Axes) -> list[str]:
    """The texts inside a panel, in the order in which they were added."""
    return [text.get_text() for text in axis.texts]


def titles(figure: Figure) -> list[str]:
    return [axis.get_title() for axis in figure.axes]


def labelled(axis: plt.Axes) -> dict[str, Any]:
    """The lines in the legend, by their labels."""
    handles, labels = axis.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def xs(line: Any) -> list[float]:
    return np.asarray(line.get_xdata()).tolist()


def is_in_first_column(axis: plt.Axes) -> bool:
    position = axis.get_subplotspec()
    return position is not None and position.is_first_col()


def has_open_marker(line: Any) -> bool:
    return line.get_markerfacecolor() == "white"


def test_figures_are_deterministic_and_have_titles_and_labels(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        for name, figure in draw_all(2, 3).items():
            panels = [axis for axis in figure.axes if axis.axison]
            assert figure.get_suptitle() or all(axis.get_title() for axis in figure.axes)
            assert all(axis.get_xlabel() or name == "augmentation" for axis in panels)
            assert all(axis.get_ylabel() for axis in panels if is_in_first_column(axis))
            style.save(figure, tmp_path / folder / f"{name}.svg")
    for path in sorted((tmp_path / "first").iterdir()):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
        ElementTree.parse(path)


@pytest.mark.parametrize(("models", "seeds"), [(1, 1), (2, 20), (20, 3)])
def test_text_does_not_overlap_and_can_be_read_on_a_phone(
    monkeypatch: pytest.MonkeyPatch, models: int, seeds: int
) -> None:
    if models == 20:  # names as long as params.yaml allows
        long_names = [f"model_{number}_{'o' * 24}"[:24] for number in range(20)]
        monkeypatch.setattr(sys.modules[__name__], "MODELS", long_names)
    for name, figure in draw_all(models, seeds).items():
        assert_readable(figure, name)


def test_the_last_bits_of_the_layout_change_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The solver of the layout does not always return the same ones."""
    execute = ConstrainedLayoutEngine.execute

    def with_noise(engine: ConstrainedLayoutEngine, figure: Figure) -> None:
        execute(engine, figure)
        for axis in figure.axes:
            left, bottom, width, height = axis.get_position(original=True).bounds
            axis.set_position((left + 1e-13, bottom - 1e-13, width, height + 1e-13))

    def save(name: str) -> bytes:
        style.save(robustness_figures.shift_maps(shift_grids(2), MODELS[0]), tmp_path / name)
        return (tmp_path / name).read_bytes()

    usual = save("usual.svg")
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", with_noise)
    assert save("noisy.svg") == usual


def test_models_can_be_told_apart_without_colour() -> None:
    many = [f"model {number}" for number in range(20)]
    styles = style.model_styles(pd.DataFrame({"model": many}))
    assert list(styles) == many
    assert len({plot_kwargs["marker"] for plot_kwargs in styles.values()}) == 20
    lines = [str(plot_kwargs["linestyle"]) for plot_kwargs in styles.values()]
    assert len(set(lines[:8])) == 8


def test_curves_show_every_seed_faint_and_the_mean_strong() -> None:
    axis = learning_figures.curves(curves_table(2, 3)).axes[0]
    faint = [line for line in axis.lines if line.get_alpha() == style.SEED_ALPHA]
    assert len(faint) == 3 * 2  # seeds × (training, validation)
    strong = [line for line in axis.lines if line not in faint]
    assert {line.get_linestyle() for line in strong} == {
        "-",
        "--",
    }  # can be told apart without colour


def test_seeds_are_left_out_where_many_models_share_a_panel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "MODELS", [f"model_{n}" for n in range(9)])
    for models, lines in ((8, 8 * (3 + 1)), (9, 9)):
        gap = learning_figures.gap_per_epoch(curves_table(models, 3))
        accuracy = robustness_figures.corruption_curves(corruptions_table(models, 3))
        for figure in (gap, accuracy):
            drawn = [line for line in figure.axes[0].lines if np.size(line.get_xdata()) > 2]
            assert len(drawn) == lines
            [legend] = figure.legends
            assert ("each seed faint" in legend.get_title().get_text()) == (models == 8)


def test_curves_mark_the_lowest_validation_loss_of_each_seed() -> None:
    table = curves_table(1, 2, epochs=3).assign(val_loss=[0.9, 0.1, 0.5, 0.9, 0.8, 0.2])
    loss: Any = learning_figures.curves(table).axes[1]
    stars = loss.lines[-1]
    assert (xs(stars), list(stars.get_ydata())) == ([2, 3], [0.1, 0.2])
    assert loss.get_legend().get_texts()[0].get_text() == "lowest validation\nloss of each seed"


def test_the_mean_ends_where_the_first_seed_ends() -> None:
    table = curves_table(1, 2, epochs=2)
    shorter = table[~((table["seed"] == 1) & (table["epoch"] == 2))]
    axis = learning_figures.gap_per_epoch(shorter).axes[0]
    assert np.size(labelled(axis)["baseline"].get_xdata()) == 1


def test_gap_split_by_hand() -> None:
    rows = [
        ("baseline", 0, 0.060, 0.008, 0.002, 0.070),
        ("baseline", 1, 0.080, 0.010, 0.000, 0.090),
        ("regularized", 0, -0.04, 0.020, 0.025, 0.005),
        ("regularized", 1, -0.04, 0.020, 0.019, -0.001),
    ]
    columns = ["model", "seed", *learning_figures.GAP_PARTS]
    axis = learning_figures.gap_split(pd.DataFrame(rows, columns=columns)).axes[0]
    assert texts(axis) == ["+7.0", "−4.0", "+0.9", "+2.0", "+0.1", "+2.2", "+8.0", "+0.2"]
    bars: list[Any] = list(axis.patches)
    assert [bar.get_width() for bar in bars] == pytest.approx([7, -4, 0.9, 2, 0.1, 2.2, 8, 0.2])
    seeds = [line for line in axis.lines if line.get_alpha() == style.SEED_ALPHA]
    assert [xs(line) for line in seeds[:2]] == [[6, -4], [8, -4]]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["baseline", "regularized"]
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the first model on top


def test_a_placeholder_gives_the_reason() -> None:
    [axis] = style.placeholder("Shifts", "there are no test images").axes
    assert axis.get_title() == "Shifts"
    assert texts(axis) == ["there are no test images"]


def test_shift_maps_by_hand() -> None:
    flat = np.full((9, 9), 0.5)
    shifted = flat.copy()
    shifted[0, 8] = 0.25  # four up and four to the right
    figure = robustness_figures.shift_maps({"a": flat, "b": flat + 0.1, "c": shifted}, "a")
    assert titles(figure) == [
        "a\naccuracy (%)",
        "b\naccuracy (%)",
        "b\nminus a\n(percentage points)",
        "c\naccuracy (%)",
        "c\nminus a\n(percentage points)",
    ]
    assert [set(texts(axis)) for axis in figure.axes[:3]] == [{"50"}, {"60"}, {"+10"}]
    assert (texts(figure.axes[4])[8], texts(figure.axes[4])[7]) == ("−25", "0")
    across, down = figure.axes[4].get_xticklabels(), figure.axes[4].get_yticklabels()
    assert (across[8].get_text(), down[0].get_text()) == ("+4", "−4")
    assert all(axis.yaxis_inverted() for axis in figure.axes)  # the first row on top
    scales = [axis.collections[0].get_clim() for axis in figure.axes]
    assert scales == [(0, 100), (0, 100), (-25, 25), (0, 100), (-25, 25)]


def test_corruption_curves_by_hand() -> None:
    rows = [
        (model, seed, corruption, severity, accuracy, matched)
        for model, corruption, matched, low in (
            ("a", "scale", False, 0.6),
            ("a", "horizontal_flip", False, 0.4),
            ("b", "scale", False, 0.7),
            ("b", "horizontal_flip", True, 0.8),
        )
        for seed in (0, 1)
        for severity, accuracy in ((0, 0.9), (1, low + 0.02 * seed))
    ]
    columns = ["model", "seed", "corruption", "severity", "accuracy", "matched"]
    figure = robustness_figures.corruption_curves(pd.DataFrame(rows, columns=columns))
    panels = {axis.get_title(): labelled(axis) for axis in figure.axes if axis.axison}
    assert list(panels) == ["mean of all", "mean of held-out", "scale", "horizontal flip"]
    assert list(panels["scale"]["a"].get_ydata()) == pytest.approx([0.9, 0.61])
    assert list(panels["mean of all"]["a"].get_ydata()) == pytest.approx([0.9, 0.51])
    # Without horizontal_flip, which b has met.
    assert list(panels["mean of held-out"]["a"].get_ydata()) == pytest.approx([0.9, 0.61])
    opened = [
        (panel, m) for panel, lines in panels.items() for m in lines if has_open_marker(lines[m])
    ]
    assert opened == [("horizontal flip", "b")]


def test_corruption_errors_by_hand() -> None:
    means = [
        ("a", "scale", 1.0, False),
        ("a", "horizontal_flip", 1.0, False),
        ("b", "scale", 0.9, False),
        ("b", "horizontal_flip", 0.4, True),
        ("a", "mCE", 1.0, False),
        ("b", "mCE", 0.65, False),
    ]
    rows = [
        (model, name, seed, mean + spread, matched)
        for model, name, mean, matched in means
        for seed, spread in enumerate((-0.25, 0.25))
    ]
    table = pd.DataFrame(rows, columns=["model", "corruption", "seed", "error", "matched"])
    [axis] = robustness_figures.corruption_errors(table, "a").axes
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == ["scale", "horizontal flip", "mCE"]
    points = [line for line in axis.lines if line.get_marker() == labelled(axis)["b"].get_marker()]
    _in_legend, first_seed, second_seed, *of_means = points
    for line, spread in ((first_seed, -0.25), (second_seed, 0.25)):
        assert xs(line) == pytest.approx([0.9 + spread, 0.4 + spread, 0.65 + spread])
        assert line.get_alpha() == style.SEED_ALPHA
    assert [xs(point)[0] for point in of_means] == pytest.approx([0.9, 0.4, 0.65])
    assert [has_open_marker(point) for point in of_means] == [False, True, False]
    heights = [float(np.asarray(point.get_ydata())[0]) for point in of_means]
    assert heights == pytest.approx([0.2, 1.2, 2.2])


def test_reliability_by_hand() -> None:
    rows = [(0, 0, 0.5, 0.3), (0, 1, 0.9, 0.9), (1, 0, 0.7, 0.5), (1, 1, 1.0, 0.8)]
    table = pd.DataFrame(rows, columns=["seed", "bin", "confidence", "accuracy"]).assign(model="a")
    [axis] = prediction_figures.reliability_diagrams(table, {"a": 0.0375}).axes
    _diagonal, _first, second, mean = axis.lines
    assert axis.get_title() == "a\nexpected calibration error 0.037"
    assert xs(second) == [0.7, 1.0]
    assert xs(mean) == pytest.approx([0.6, 0.95])
    assert np.asarray(mean.get_ydata()).tolist() == pytest.approx([0.4, 0.85])
    assert axis.get_xlim() == axis.get_ylim() == (0.3, 1)


def test_confusion_in_percent_of_the_actual_class() -> None:
    counts = {"a": np.array([[399.0, 1.0], [30.0, 10.0]]), "b": np.array([[1.0, 1.0], [0.0, 0.0]])}
    first, second = prediction_figures.confusion_matrices(counts, ["bag", "coat"]).axes
    assert texts(first) == ["100", "75", "25"]  # below 1 %, a cell has no text
    assert texts(second) == ["50", "50"]  # a class without images stays empty
    assert [label.get_text() for label in first.get_yticklabels()] == ["bag", "coat"]


def test_class_changes_by_hand() -> None:
    rows = [
        (model, seed, name, change)
        for model, of_class in (
            ("a", {"bag": (0.0, 0.0), "coat": (0.0, 0.0)}),
            ("b", {"bag": (-0.02, -0.04), "coat": (0.05, 0.01)}),
            ("c", {"bag": (0.10, 0.10), "coat": (0.0, 0.02)}),
        )
        for name, changes in of_class.items()
        for seed, change in enumerate(changes)
    ]
    table = pd.DataFrame(rows, columns=["model", "seed", "class_name", "change"])
    [axis] = prediction_figures.class_changes(table, "a").axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["coat", "bag"]
    means = {name: xs(line) for name, line in labelled(axis).items()}
    assert means == {"b": pytest.approx([3, -3]), "c": pytest.approx([1, 10])}
    assert sum(line.get_alpha() == style.SEED_ALPHA for line in axis.lines) == 2 * 2
    assert "minus that of a " in axis.get_title()


def test_the_reference_may_be_listed_anywhere() -> None:
    table = changes_table(3, 2)
    [axis] = prediction_figures.class_changes(table, MODELS[1]).axes
    assert list(labelled(axis)) == [MODELS[0], MODELS[2]]
    grids = {model: np.full((9, 9), 0.5) for model in MODELS[:3]}
    drawn = titles(robustness_figures.shift_maps(grids, MODELS[1]))
    assert [title for title in drawn if "minus" in title] == [
        f"{model}\nminus {MODELS[1]}\n(percentage points)" for model in (MODELS[0], MODELS[2])
    ]


def test_names_may_contain_dollar_signs() -> None:
    counts = {"a": np.eye(2)}
    figure = prediction_figures.confusion_matrices(counts, ["5$", "10$ _{x"])
    figure.canvas.draw()  # as a formula, it would be an error


def test_images_are_placed_at_their_labels() -> None:
    image = np.zeros((6, 28, 28), np.uint8)
    image[5] = 77
    names = {"shot_noise": np.zeros((6, 28, 28), np.uint8), "gaussian_blur": image}
    [axis] = image_figures.corrupted_pictures(names).axes
    shown = np.asarray(axis.images[0].get_array())
    row = [label.get_text() for label in axis.get_yticklabels()].index("gaussian blur")
    column = [label.get_text() for label in axis.get_xticklabels()].index("5")
    y, x = axis.get_yticks()[row], axis.get_xticks()[column]
    assert shown[int(y), int(x)] == 77
    assert (shown == 77).sum() == 28 * 28


def test_missing_images_of_a_class_stay_white() -> None:
    [axis] = image_figures.samples(np.zeros((1, 28, 28), np.uint8), np.array([1]), CLASSES).axes
    shown = np.asarray(axis.images[0].get_array())
    assert (shown == 0).sum() == 28 * 28
    assert shown[29 + 14, 14] == 0  # the second class, its first image


def test_disagreements_say_what_most_seeds_predict() -> None:
    predicted = {"a": ["Coat", "Shirt", "Shirt"], "b": ["Coat"] * 3}
    case = Disagreement(pictures(1)[0], 17, "Coat", predicted)
    figure = image_figures.disagreements([case])
    assert texts(figure.axes[1]) == [
        "label: Coat (test image 17)\n✗ a: Shirt 2 of 3\n✓ b: Coat 3 of 3"
    ]
