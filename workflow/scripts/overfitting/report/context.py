"""The values that the templates of the report and of its cards use."""

from typing import Any

import numpy as np

from overfitting.analysis import findings, lesson, results

from . import cards, claim_tables, reasons, sentences, tables
from .contents import Contents
from .figures import catalogue, claims

SECTIONS = {  # by the number of a claim: link text and anchor of the section with its figure
    "1": ("the gap", "the-gap"),
    "2": ("the parts of the gap", "the-gap"),
    "3": ("errors by class", "errors"),
    "4": ("accuracy under shift", "shift"),
    "7a": ("reliability", "calibration"),
    "7b": ("the estimates of the accuracy", "calibration"),
    "7c": ("the scores", "calibration"),
}


def template_context(
    contents: Contents, train_labels: np.ndarray, data: dict[str, str]
) -> dict[str, Any]:
    """Return the values that the templates of the report and the cards use.

    Args:
        contents: what is reported.
        train_labels: integers, the classes of the training subset.
        data: by the name of each raw file, its SHA-256.
    """
    return {
        "data_name": contents.data_name,
        "models": contents.models,
        "seeds": contents.seeds,
        "reference": contents.reference,
        "compared_with": contents.compared_with,
        "images": tables.image_counts(contents.runs),
        "robustness_images": next(iter(contents.predictions.values())).correct_shifted.shape[-1],
        "summary": sentences.summary(contents.claims, contents.gaps),
        "claims": contents.claims,
        "sections": SECTIONS,
        "figure_sources": catalogue.SOURCES,
        "claim_figures": {number: each.caption for number, each in claims.FIGURES.items()},
        "why": reasons.why,
        "exercises": contents.exercises,
        "exercise": claim_tables.exercise,
        "answers": contents.answers,
        "findings": claim_tables.findings,
        "details": claim_tables.details,
        "details_not_shown": claim_tables.details_not_shown,
        "not_shown": claim_tables.not_shown,
        "margin": f"{100 * findings.MARGIN:g} percentage point",
        "validation_loss": sentences.validation_loss(results.lowest_val_loss(contents.curves)),
        "stops_early": [
            run["model"]
            for run in contents.runs[:: len(contents.seeds)]
            if run["model_settings"]["early_stopping"]
        ],
        "training_differences": sentences.training_differences(contents.runs, contents.reference),
        "published": tables.published(contents.predictions, contents.data_name, contents.runs),
        "published_source": lesson.PUBLISHER,
        "lesson_reports": contents.gaps["reported_gap"].notna().any(),
        "tables": {
            "gap": tables.gap_table(contents.gaps),
            "corruptions": tables.corruptions(
                contents.corruptions, contents.corruption_errors, contents.compared_with
            ),
            "verdicts": claim_tables.verdicts(contents.claims),
            "calibration": tables.calibration(contents.gaps),
            "settings": tables.settings(contents.runs),
            "versions": tables.versions(contents.runs),
            "data": tables.pairs(("raw file", "SHA-256"), data),
            "classes": cards.class_counts(
                contents.classes,
                {
                    "training subset": train_labels,
                    "test subset": next(iter(contents.predictions.values())).labels,
                },
            ),
            "scores": cards.scores(contents.gaps),
        },
    }
