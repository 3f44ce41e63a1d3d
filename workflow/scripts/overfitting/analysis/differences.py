"""Differences between accuracies that the report's answers to learners' questions rest on."""

import numpy as np

from . import measures, statistics
from .models import ModelResults
from .statistics import Estimate


def train_mode_part(model: ModelResults) -> Estimate:
    """Return the training accuracy in inference mode minus that in train mode, as a share."""
    values = model.table["train_mode_part"].to_numpy()
    return measures.over_seeds(values, measures.SIGNED_SHARE).estimate()


def accuracies(model: ModelResults, reference: ModelResults) -> tuple[Estimate, Estimate]:
    """Return the differences of the training and of the test accuracy to those of the reference.

    Both are shares, paired by seed, and those on the test images by image. The training images are
    part of what is measured, so the first interval is over seeds alone.
    """
    training = (
        measures.over_seeds(side.table["train_accuracy"].to_numpy(), measures.SHARE)
        for side in (model, reference)
    )
    test = (measures.mean_of(side.predictions.correct) for side in (model, reference))
    return measures.difference(*training), measures.difference(*test)


def validation_minus_test(model: ModelResults) -> Estimate:
    """Return the validation accuracy minus the test accuracy, as a share.

    The two are measured on different images, so their errors over the images add up.
    """
    validation = measures.mean_of(model.predictions.correct_validation)
    test = measures.mean_of(model.predictions.correct)
    return statistics.mean_over_seeds(
        validation.by_seed - test.by_seed,
        float(np.hypot(validation.images_error(), test.images_error())),
        measures.SIGNED_SHARE,
    )
