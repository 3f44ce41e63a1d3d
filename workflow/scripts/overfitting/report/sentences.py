"""Sentences of the report that say what came out."""

from typing import Any

import pandas as pd

from overfitting.analysis.findings import Claim
from overfitting.analysis.robustness_claim import DEPENDS
from overfitting.analysis.statistics import Interval

from .formatting import bounds, points

MANY_SEEDS = 5
"""With more seeds than these, ranges are given instead of a value for each."""


def summary(claims: list[Claim], gaps: pd.DataFrame) -> list[str]:
    """Return the summary at the top of the report: up to three sentences.

    They say how much the reference overfits, and how the first model that the lesson's claims are
    about changes the gap, the test accuracy and the robustness. Without such a model, only the
    first sentence is returned, and without a reference none.

    Args:
        claims: as `claims.evaluate` returns them.
        gaps: as `results.gap_table` returns it.
    """
    by_claim = {claim.number: claim.findings for claim in claims}
    if not by_claim["1"]:
        return []
    [gap] = by_claim["1"]
    seeds = int(gaps["seeds"].iloc[0])
    sentences = [
        f"**{gap.model}** has a generalization gap of {points(gap.interval.estimate)} percentage "
        "points: so much higher is its accuracy on the images that it was trained on than on new "
        f"ones ({_interval(gap.interval)}; {seeds} seed{'' if seeds == 1 else 's'}). The claim "
        f"that it overfits is {gap.verdict}."
    ]
    judged = {
        number: [finding for finding in findings if finding.verdict]
        for number, findings in by_claim.items()
    }
    if not judged["2"]:
        return sentences
    reduction = judged["2"][0]
    model = reduction.model
    row = {row["model"]: row for row in gaps.to_dict("records")}[model]
    sentences.append(
        f"The gap of **{model}** is {points(row['gap'])} points, a reduction of "
        f"{points(reduction.interval.estimate)} points ({_interval(reduction.interval)}). "
        f"The claim that dropout and augmentation shrink the gap is {reduction.verdict}. With "
        "the training accuracy that Keras prints, which the lesson takes, the gap would be "
        f"{points(row['lesson_gap'])} points."
    )
    change = next(finding for finding in by_claim["3"] if finding.model == model)
    sentence = (
        f"Its test accuracy changes by {points(change.interval.estimate)} points "
        f"({_interval(change.interval)}). The claim that it is only a hair lower is "
        f"{judged['3'][0].verdict}."
    )
    if judged["4"]:
        gain = judged["4"][0]
        sentence += (
            " Its accuracy on corruptions that it did not meet in training changes by "
            f"{points(gain.interval.estimate)} points ({_interval(gain.interval)}). The claim that "
            f"it degrades gracefully {_verdict(gain.verdict)}."
        )
    return [*sentences, sentence]


def validation_loss(table: pd.DataFrame) -> list[str]:
    """Describe the validation loss of each model: a sentence for each.

    Args:
        table: as `results.lowest_val_loss` returns it.
    """
    sentences = []
    for model, of_model in table.groupby("model", sort=False):
        if len(of_model) > MANY_SEEDS:
            lowest = (
                f"between epochs {of_model['lowest'].min()} and {of_model['lowest'].max()} "
                f"(median {of_model['lowest'].median():g})"
            )
            rise = (
                f"{of_model['rise'].min():.3f} to {of_model['rise'].max():.3f} (mean "
                f"{of_model['rise'].mean():.3f})"
            )
        else:
            epochs = _listed([str(epoch) for epoch in of_model["lowest"]])
            lowest = f"in epoch{'s' * (len(of_model) > 1)} {epochs}"
            rise = _listed([f"{rise:.3f}" for rise in of_model["rise"]])
        seeds = _listed([str(seed) for seed in of_model["seed"]])
        of_seeds = f"seed{'s' * (len(of_model) > 1)} {seeds}"
        last = of_model["epochs"]
        if last.nunique() == 1:
            epochs_run = f"{last.iloc[0]}"
        elif len(last) > MANY_SEEDS:
            epochs_run = f"{last.min()} to {last.max()}"
        else:
            epochs_run = _listed([str(epoch) for epoch in last])
        sentences.append(
            f"{model}: the validation loss is lowest {lowest} ({of_seeds}). In the last epoch "
            f"({epochs_run}), it is {rise} nats higher."
        )
    return sentences


def training_differences(runs: list[dict[str, Any]], reference: str | None) -> str:
    """Return a sentence on models that are not trained as the reference is; "" without such models.

    Args:
        runs: as `results.load_runs` returns them.
        reference: the model that the others are compared with; None if there is none.
    """
    if reference is None:
        return ""
    trainings = {run["model"]: run["training"] for run in runs}
    described = []
    for model, training in trainings.items():
        differences = [
            f"{name.replace('_', ' ')} {value} instead of {trainings[reference][name]}"
            for name, value in training.items()
            if value != trainings[reference][name]
        ]
        if differences:
            described.append(f"{model} ({', '.join(differences)})")
    if not described:
        return ""
    return (
        f"Also trained differently from {reference}: {', '.join(described)}; not every difference "
        "from it is due to regularizers."
    )


def _verdict(verdict: str) -> str:
    return verdict if verdict == DEPENDS else f"is {verdict}"


def _interval(interval: Interval) -> str:
    text = bounds(interval)
    return "no interval" if text == "–" else f"95% interval {text}"


def _listed(words: list[str]) -> str:
    """Return "1, 2 and 3"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
