"""Stage evaluate: one trained model, one seed, measured in inference mode."""

import argparse
import json
from pathlib import Path

from overfitting import datasets, measures, params
from overfitting.console import native_messages_in_log, run_script, start_log
from overfitting.errors import UserError
from overfitting.files import sha256, write_text

DRAWS = 8  # random draws shown of what training sees of an image
SHOWN = 6  # images they are shown for


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a model of params.yaml")
    parser.add_argument("seed", type=int)
    parser.add_argument("train", type=Path, help="training subset (.npz)")
    parser.add_argument("test", type=Path, help="test subset (.npz)")
    parser.add_argument("weights", type=Path, help="the trained weights (.weights.h5)")
    parser.add_argument("history", type=Path, help="the history of the training (.json)")
    parser.add_argument("evaluation", type=Path, help="measurements to write (.json)")
    parser.add_argument("seen", type=Path, help="images as training sees them, to write (.npz)")
    arguments = parser.parse_args(argv)
    log = start_log("evaluate", f"{arguments.model}-{arguments.seed}")
    declared = params.declared_by("evaluate", {"model": arguments.model})
    model = declared[f"models.{arguments.model}"]
    refuse_other_weights(arguments.weights, arguments.history)
    images, labels = datasets.load_examples(arguments.train, "images", "labels")
    test_images, test_labels = datasets.load_examples(arguments.test, "images", "labels")
    share = model.training.validation_split or declared["training.validation_split"]
    split = params.split_at(len(images), share)

    log.info("starting TensorFlow")
    with native_messages_in_log(log):
        from overfitting import determinism, inference

    determinism.be_deterministic(arguments.seed)
    network = inference.load(model, arguments.weights)
    measured: dict[str, object] = {"augmentation": model.augmentation.model_dump()}
    for name, part_images, part_labels in [
        ("train", images[:split], labels[:split]),
        ("validation", images[split:], labels[split:]),
        ("test", test_images, test_labels),
    ]:
        probabilities = inference.predict(network, part_images)
        measured[name] = {
            "images": len(part_labels),
            "accuracy": measures.accuracy(probabilities, part_labels),
            "cross_entropy": measures.cross_entropy(probabilities, part_labels),
        }
        log.info("%s: %s", name, measured[name])
    seen = inference.seen_in_training(model, images[:SHOWN], DRAWS)
    datasets.save_examples(arguments.seen, images=images[:SHOWN], draws=seen)
    write_text(arguments.evaluation, json.dumps(measured, indent=1, allow_nan=False) + "\n")


def refuse_other_weights(weights: Path, history: Path) -> None:
    """Raise a UserError unless `weights` are those that the training in `history` saved."""
    expected = json.loads(history.read_text(encoding="utf-8"))["weights_sha256"]
    if sha256(weights) != expected:
        raise UserError(
            f"{weights} is damaged, or not what the training saved; remove it and run the same "
            f"command again (expected SHA-256 {expected[:12]}…)"
        )


if __name__ == "__main__":
    run_script(main)
