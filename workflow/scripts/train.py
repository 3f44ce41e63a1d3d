"""Stage train: train one model with one seed; write its weights and its training history."""

import overfitting.common.environment  # noqa: F401

# isort: split
from dataclasses import asdict

from overfitting.common import datasets, params
from overfitting.common.arguments import ScriptArgumentParser
from overfitting.common.console import native_messages_in_log, run_script, start_log
from overfitting.common.files import atomic_write, sha256, write_record


def main(argv: list[str]) -> None:
    parser = ScriptArgumentParser(__doc__)
    parser.add_argument("model", help="a model of params.yaml")
    parser.add_argument("seed", type=params.seed, help="0 to 4294967295")
    parser.add_input("examples", "training subset (.npz)")
    parser.add_output("weights", "the trained weights", ".weights.h5")
    parser.add_output("history", "the training history", ".json")
    arguments = parser.parse(argv)
    declared = params.stage_params("train", {"model": arguments.model})
    log = start_log("train", f"{arguments.model}-{arguments.seed}")
    model = declared[f"models.{arguments.model}"]
    training = params.effective_training(declared["training"], model)
    images, labels = datasets.load_examples(arguments.examples, "images", "labels")
    taken = slice(model.training.train_size)  # all images, unless the model has its own number
    images, labels = images[taken], labels[taken]

    log.info("starting TensorFlow")  # takes seconds, so only once all arguments have been checked
    with native_messages_in_log(log):
        from overfitting.training import determinism, fitting

    determinism.enable_determinism(arguments.seed)
    network, history = fitting.train(model, training, images, labels, log)
    # HDF5 crashes on a full disk, so `atomic_write` first makes sure that there is enough space.
    # The file holds each parameter and Adam's two moments of it, 4 bytes each; the rest is margin.
    required_bytes = 16 * network.count_params()
    with atomic_write(arguments.weights, required_bytes) as partial:
        network.save_weights(partial)
    record = {
        "model_settings": model.model_dump(exclude={"training"}),
        "training": {"train_size": len(images)} | training.model_dump(),
        "versions": determinism.versions(),
        "weights_sha256": sha256(arguments.weights),
        "history": asdict(history),
    }
    write_record(arguments.history, record)


if __name__ == "__main__":
    run_script(main)
