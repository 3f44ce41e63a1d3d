"""Stage evaluate: measure one model, trained with one seed, in inference mode."""

import overfitting.common.environment  # noqa: F401

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

AUGMENTED_IMAGES = 6  # training images whose augmented versions are saved, for a figure
DRAWS = 8  # augmented versions of each of them


def main(argv: list[str]) -> None:
    parser = ScriptArgumentParser(__doc__)
    parser.add_argument("model", help="a model of params.yaml")
    parser.add_argument("seed", type=params.seed, help="0 to 4294967295")
    parser.add_input("train", "training subset (.npz)")
    parser.add_input("test", "test subset (.npz)")
    parser.add_input("whole_test", "whole test set (.npz)")
    parser.add_input("corrupted", "the first test images, corrupted (.npz)")
    parser.add_input("weights", "the trained weights (.weights.h5)")
    parser.add_input("history", "the training history (.json)")
    parser.add_output("evaluation", "measurements", ".json")
    parser.add_output("predictions", "predictions for the test images", ".npz")
    parser.add_output("augmented", "some training images, augmented", ".npz")
    arguments = parser.parse(argv)
    declared = params.stage_params("evaluate", {"model": arguments.model})
    log = start_log("evaluate", f"{arguments.model}-{arguments.seed}")
    model = declared[f"models.{arguments.model}"]
    check_weights(arguments.weights, arguments.history)
    images, labels = datasets.load_examples(arguments.train, "images", "labels")
    taken = slice(model.training.train_size)  # as in training
    images, labels = images[taken], labels[taken]
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

    determinism.enable_determinism(arguments.seed)
    network = inference.load(model, arguments.weights)
    predict = partial(inference.predict, network)
    measurements: dict[str, Any] = {"augmentation": model.augmentation.model_dump()}
    parts: dict[str, tuple[np.ndarray, np.ndarray]] = {
        "train": (images[:split], labels[:split]),
        "validation": (images[split:], labels[split:]),
        "whole_test": (whole_images, whole_labels),
        "test": (test_images, test_labels),
    }
    correct = {}
    for name, (part_images, part_labels) in parts.items():
        probabilities = predict(part_images)
        measurements[name] = scores(probabilities, part_labels)
        correct[name] = probabilities.argmax(axis=1) == part_labels
        log.info("%s: accuracy %.4f", name, measurements[name]["accuracy"])
    measurements["calibration"] = {
        "ece": metrics.expected_calibration_error(probabilities, test_labels),
        "brier": metrics.brier(probabilities, test_labels),
    }

    n_corrupted = next(iter(corrupted.values())).shape[1]
    first_images, first_labels = test_images[:n_corrupted], test_labels[:n_corrupted]
    log.info("robustness: %d images, shifted", n_corrupted)
    when_shifted = robustness.correct_when_shifted(predict, first_images, first_labels)
    log.info("robustness: %d images, corrupted", n_corrupted)
    when_corrupted = robustness.correct_when_corrupted(predict, corrupted, first_labels)
    measurements["robustness"] = robustness.summary(when_corrupted)

    datasets.save_examples(
        arguments.predictions,
        probabilities=probabilities,
        labels=test_labels,
        shifted=when_shifted,
        corrupted=when_corrupted,
        validation=correct["validation"],
        whole_test=correct["whole_test"],
    )
    originals = images[:AUGMENTED_IMAGES]
    augmented = inference.augmented_images(model, originals, DRAWS)
    datasets.save_examples(arguments.augmented, images=originals, draws=augmented)
    # Last, as it changes the moving averages of batch normalization.
    batch_size = read_record(arguments.history)["training"]["batch_size"]
    measurements["train_mode"] = {
        "accuracy": inference.train_mode_accuracy(
            network, images[:split], labels[:split], batch_size
        )
    }
    log.info("train, in train mode: accuracy %.4f", measurements["train_mode"]["accuracy"])
    write_record(arguments.evaluation, measurements)


def scores(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the number of images, the accuracy, the cross-entropy and the accuracy of each class.

    The accuracy of a class without images is None.

    Args:
        probabilities: N×classes.
        labels: N integers, 0 to classes - 1.
    """
    per_class = metrics.per_class_accuracy(probabilities, labels)
    return {
        "images": len(labels),
        "accuracy": metrics.accuracy(probabilities, labels),
        "cross_entropy": metrics.cross_entropy(probabilities, labels),
        "per_class_accuracy": [None if np.isnan(value) else float(value) for value in per_class],
    }


def check_weights(weights: Path, history: Path) -> None:
    """Check that the file `weights` has the SHA-256 that the training recorded in `history`.

    Raises:
        UserError: it has another.
    """
    expected = read_record(history)["weights_sha256"]
    if sha256(weights) != expected:
        raise UserError(
            f"{weights} is corrupt, or not what the training saved (expected SHA-256 "
            f"{expected[:12]}…); `make verify` says what to do"
        )


if __name__ == "__main__":
    run_script(main)
