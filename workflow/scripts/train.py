"""Stage train: one model, one seed; its weights and the history of its training."""

import overfitting.common.check_environment  # noqa: F401

# isort: split
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
    parser.add_output("history", "the history of the training", ".json")
    arguments = parser.parse(argv)
    declared = params.stage_params("train", {"model": arguments.model})
    log = start_log("train", f"{arguments.model}-{arguments.seed}")
    model = declared[f"models.{arguments.model}"]
    trained_as = params.effective_training(declared["training"], model)
    images, labels = datasets.load_examples(arguments.examples, "images", "labels")

    log.info("starting TensorFlow")  # takes seconds: not before the arguments are known good
    with native_messages_in_log(log):
        from overfitting.training import determinism, fitting

    determinism.be_deterministic(arguments.seed)
    network, history = fitting.train(model, trained_as, images, labels, log)
    required_bytes = 16 * network.count_params()  # float32, and Adam's two means beside each
    with atomic_write(arguments.weights, required_bytes) as partial:  # HDF5 crashes on a full disk
        network.save_weights(partial)
    record = {
        "model_settings": model.model_dump(exclude={"training"}),
        "training": trained_as.model_dump(),
        "versions": determinism.versions(),
        "weights_sha256": sha256(arguments.weights),
        "history": history.as_dict(),
    }
    write_record(arguments.history, record)


if __name__ == "__main__":
    run_script(main)
