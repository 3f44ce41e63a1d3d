"""Stage evaluate: one trained model, one seed, measured in inference mode."""

import overfitting.common.check_environment  # noqa: F401

# isort: split
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from overfitting.common import datasets, params
from overfitting.common.arguments import ScriptArgumentParser
from overfitting.common.console import native_messages_in_log, run_script, start_log
from overfitting.common.errors import UserError
from overfitting.common.files import read_record, sha256, write_record
from overfitting.evaluation import metrics, robustness
from overfitting.evaluation.corruptions import CORRUPTIONS

DRAWS = 8  # random draws shown of what training sees of an image
SHOWN = 6  # images they are shown for


def main(argv: list[str]) -> None:
    parser = ScriptArgumentParser(__doc__)
    parser.add_argument("model", help="a model of params.yaml")
    parser.add_argument("seed", type=params.seed, help="0 to 4294967295")
    parser.add_input("train", "training subset (.npz)")
    parser.add_input("test", "test subset (.npz)")
    parser.add_input("whole_test", "whole test set (.npz)")
    parser.add_input("corrupted", "the first test images, corrupted (.npz)")
    parser.add_input("weights", "the trained weights (.weights.h5)")
    parser.add_input("history", "the history of the training (.json)")
    parser.add_output("evaluation", "measurements", ".json")
    parser.add_output("predictions", "what was predicted", ".npz")
    parser.add_output("seen", "images as training sees them", ".npz")
    arguments = parser.parse(argv)
    declared = params.stage_params("evaluate", {"model": arguments.model})
    log = start_log("evaluate", f"{arguments.model}-{arguments.seed}")
    model = declared[f"models.{arguments.model}"]
    refuse_other_weights(arguments.weights, arguments.history)
    images, labels = datasets.load_examples(arguments.train, "images", "labels")
    test_images, test_labels = datasets.load_examples(arguments.test, "images", "labels")
    whole_images, whole_labels = datasets.load_examples(arguments.whole_test, "images", "labels")
    corrupted = dict(
        zip(CORRUPTIONS, datasets.load_examples(arguments.corrupted, *CORRUPTIONS), strict=True)
    )
    share = model.training.validation_split or declared["training.validation_split"]
    split = params.split_at(len(images), share)

    log.info("starting TensorFlow")
    with native_messages_in_log(log):
        from overfitting.evaluation import inference
        from overfitting.training import determinism

    determinism.be_deterministic(arguments.seed)
    predict = partial(inference.predict, inference.load(model, arguments.weights))
    measured: dict[str, Any] = {"augmentation": model.augmentation.model_dump()}
    parts: dict[str, tuple[np.ndarray, np.ndarray]] = {
        "train": (images[:split], labels[:split]),
        "validation": (images[split:], labels[split:]),
        "whole_test": (whole_images, whole_labels),
        "test": (test_images, test_labels),
    }
    for name, (part_images, part_labels) in parts.items():
        probabilities = predict(part_images)
        measured[name] = quality(probabilities, part_labels)
        log.info("%s: accuracy %.4f", name, measured[name]["accuracy"])
    measured["calibration"] = {
        "ece": metrics.expected_calibration_error(probabilities, test_labels),
        "brier": metrics.brier(probabilities, test_labels),
    }

    robustness_images = next(iter(corrupted.values())).shape[1]
    first, their_labels = test_images[:robustness_images], test_labels[:robustness_images]
    log.info("robustness: %d images, shifted", robustness_images)
    when_shifted = robustness.correct_when_shifted(predict, first, their_labels)
    log.info("robustness: %d images, corrupted", robustness_images)
    when_corrupted = robustness.correct_when_corrupted(predict, corrupted, their_labels)
    measured["robustness"] = robustness.summary(when_shifted, when_corrupted)

    datasets.save_examples(
        arguments.predictions,
        probabilities=probabilities,
        labels=test_labels,
        shifted=when_shifted,
        corrupted=when_corrupted,
    )
    seen = inference.augmented_images(model, images[:SHOWN], DRAWS)
    datasets.save_examples(arguments.seen, images=images[:SHOWN], draws=seen)
    write_record(arguments.evaluation, measured)


def quality(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return accuracy, cross-entropy and the accuracy of each class (None: it has no image)."""
    of_classes = metrics.per_class_accuracy(probabilities, labels)
    return {
        "images": len(labels),
        "accuracy": metrics.accuracy(probabilities, labels),
        "cross_entropy": metrics.cross_entropy(probabilities, labels),
        "per_class_accuracy": [None if np.isnan(value) else float(value) for value in of_classes],
    }


def refuse_other_weights(weights: Path, history: Path) -> None:
    """Raise a UserError unless `weights` are those that the training in `history` saved."""
    expected = read_record(history)["weights_sha256"]
    if sha256(weights) != expected:
        raise UserError(
            f"{weights} is corrupt, or not what the training saved (SHA-256 {expected[:12]}…); "
            "`make verify` says what to do"
        )


if __name__ == "__main__":
    run_script(main)
