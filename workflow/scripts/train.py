"""Stage train: one model, one seed; its weights and the history of its training."""

import argparse
from pathlib import Path

from overfitting import datasets, params
from overfitting.console import native_messages_in_log, run_script, start_log
from overfitting.files import sha256, write_record, written_whole


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a model of params.yaml")
    parser.add_argument("seed", type=params.seed, help="0 to 4294967295")
    parser.add_argument("examples", type=Path, help="training subset (.npz)")
    parser.add_argument("weights", type=Path, help="weights to write (.weights.h5)")
    parser.add_argument("history", type=Path, help="history to write (.json)")
    arguments = parser.parse_args(argv)
    declared = params.declared_by("train", {"model": arguments.model})
    log = start_log("train", f"{arguments.model}-{arguments.seed}")
    model = declared[f"models.{arguments.model}"]
    trained_as = params.effective_training(declared["training"], model)
    images, labels = datasets.load_examples(arguments.examples, "images", "labels")

    log.info("starting TensorFlow")  # takes seconds: not before the arguments are known good
    with native_messages_in_log(log):
        from overfitting import determinism, training

    determinism.be_deterministic(arguments.seed)
    network, history = training.train(model, trained_as, images, labels, log)
    room = 16 * network.count_params()  # float32, and Adam's two means beside each
    with written_whole(arguments.weights, room) as partial:  # HDF5 crashes on a full disk
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
