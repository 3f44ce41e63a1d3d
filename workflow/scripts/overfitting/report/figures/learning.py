"""Figures of the learning curves and of the gap between training and test accuracy."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..formatting import signed
from .style import (
    MAX_MODELS_WITH_SEEDS,
    SEED_ALPHA,
    WIDTH,
    dodged_heights,
    label_rows,
    legend_below,
    model_styles,
    plt,
    seeds_and_mean,
    seeds_note,
)

SETS: dict[str, dict[str, Any]] = {  # told apart by line style and marker, not by colour alone
    "training": {"linestyle": "-", "marker": "o"},
    "validation": {"linestyle": "--", "marker": "s"},
}
GAP_PARTS = {
    "lesson_gap": "lesson's gap: printed training accuracy − test accuracy",
    "running_average_part": "running-average part: training accuracy in train mode − printed",
    "train_mode_part": "train-mode part: training accuracy in inference mode − in train mode",
    "gap": "gap, their sum: training − test accuracy, both in inference mode",
}


def curves(table: pd.DataFrame) -> Figure:
    """Draw accuracy and loss per epoch, training against validation; a row per model.

    A star marks the lowest validation loss of each seed.

    Args:
        table: as `results.curves_table` returns it.
    """
    models = list(table["model"].unique())
    figure, axes = plt.subplots(
        len(models),
        2,
        figsize=(WIDTH, 3.2 * len(models) + 0.6),
        sharex=True,
        sharey="col",
        squeeze=False,
    )
    for row, (model, style) in zip(axes, model_styles(table).items(), strict=True):
        of_model = table[table["model"] == model]
        for axis, name in zip(row, ("accuracy", "loss"), strict=True):
            for part, column in zip(SETS, (name, f"val_{name}"), strict=True):
                plot_kwargs = SETS[part] | {"color": style["color"], "markevery": [-1]}
                seeds_and_mean(axis, of_model, "epoch", column, part, **plot_kwargs)
            axis.set_title(f"{model}\n{name}")
            axis.set_xlabel("epoch")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.tick_params(labelbottom=True)
        accuracy, loss = row
        accuracy.set_ylabel("accuracy (share of images)")
        accuracy.legend()
        loss.set_ylabel("loss (cross-entropy, nats)")
        lowest = of_model.loc[of_model.groupby("seed")["val_loss"].idxmin()]
        [stars] = loss.plot(
            lowest["epoch"], lowest["val_loss"], linestyle="", marker="*", color="0.2", markersize=9
        )
        loss.legend([stars], ["lowest validation\nloss of each seed"])
    figure.suptitle(
        "Learning curves, as Keras prints them (training: dropout, augmentation on)\n"
        f"{seeds_note(table)}"
    )
    return figure


def gap_per_epoch(table: pd.DataFrame) -> Figure:
    """Draw training minus validation accuracy per epoch; a line style per model.

    Args:
        table: as `results.curves_table` returns it.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 5))
    axis.axhline(0, color="0.3", linewidth=1)
    points = table.assign(gap=100 * table["gap"])
    styles = model_styles(table)
    with_seeds = len(styles) <= MAX_MODELS_WITH_SEEDS
    for model, style in styles.items():
        of_model = points[points["model"] == model]
        plot_kwargs = style | {"markevery": [-1], "with_seeds": with_seeds}
        seeds_and_mean(axis, of_model, "epoch", "gap", label=model, **plot_kwargs)
    axis.set_title("Gap per epoch, as Keras prints it: training minus validation accuracy")
    axis.set_xlabel("epoch")
    axis.set_ylabel("gap (percentage points)")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, axis, seeds_note(table, with_seeds=with_seeds))
    return figure


def gap_split(table: pd.DataFrame) -> Figure:
    """Draw each model's gap and the three parts that add up to it, in percentage points.

    Args:
        table: a row per run with `model`, `seed` and the columns `GAP_PARTS` (signed shares), as
            `results.runs_table` returns it.
    """
    models = list(table["model"].unique())
    figure, axis = plt.subplots(figsize=(WIDTH, 1.1 * len(models) + 2.0))
    # The gap has the colour of the model; its parts are told apart by their hatches and greys.
    colours = [style["color"] for style in model_styles(table).values()]
    greys_and_hatches = [("0.85", "//"), ("0.7", ".."), ("0.55", "xx"), (colours, "")]
    for number, (part, label) in enumerate(GAP_PARTS.items()):
        colour, hatch = greys_and_hatches[number]
        seeds = 100 * table.pivot(index="model", columns="seed", values=part).loc[models]
        heights = dodged_heights(len(models), number, len(GAP_PARTS))
        means = seeds.mean(axis="columns")
        axis.barh(
            heights, means, height=0.18, color=colour, edgecolor="0.2", hatch=hatch, label=label
        )
        axis.plot(seeds, heights, color="black", linestyle="", marker="o", alpha=SEED_ALPHA)
        for height, mean in zip(heights, means, strict=True):
            axis.text(
                1.01, height, signed(mean, 1), transform=axis.get_yaxis_transform(), va="center"
            )
    axis.axvline(0, color="0.2", linewidth=1.5)
    label_rows(axis, models)
    axis.set_title("The gap is the lesson's gap plus two parts")
    axis.set_xlabel("percentage points of accuracy (mean at the right)")
    axis.set_ylabel("model")
    legend_below(figure, axis, seeds_note(table), columns=1)
    return figure
