"""Stage subset: select the first training and test images, and keep the whole test set too."""

import overfitting.common.environment  # noqa: F401

# isort: split
from pathlib import Path

import numpy as np

from overfitting.common import datasets, params
from overfitting.common.arguments import ScriptArgumentParser
from overfitting.common.console import run_script, start_log
from overfitting.data import checksums
from overfitting.data.idx import read_idx


def main(argv: list[str]) -> None:
    parser = ScriptArgumentParser(__doc__)
    parser.add_input("checksums", "SHA-256 of each raw file")
    parser.add_input("raw", "folder with the four raw files")
    parser.add_output("train", "training subset", ".npz")
    parser.add_output("test", "test subset", ".npz")
    parser.add_output("whole_test", "whole test set", ".npz")
    arguments = parser.parse(argv)
    declared = params.stage_params("subset")
    log = start_log("subset")
    checksums.verify_checksums(arguments.raw, checksums.read_checksums(arguments.checksums))
    train = raw_examples(arguments.raw, "train")
    test = raw_examples(arguments.raw, "t10k")
    for target, (images, labels) in {
        arguments.train: datasets.first(*train, declared["data.train_size"], "data.train_size"),
        arguments.test: datasets.first(*test, declared["data.test_size"], "data.test_size"),
        arguments.whole_test: test,
    }.items():
        datasets.save_examples(target, images=images, labels=labels)
        log.info("%s: %d images", target, len(images))


def raw_examples(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the raw files whose names begin with `prefix`.

    Returns:
        The images (uint8, N×28×28) and the labels (uint8, N).
    """
    return (
        read_idx(folder / f"{prefix}-images-idx3-ubyte", dimensions=3),
        read_idx(folder / f"{prefix}-labels-idx1-ubyte", dimensions=1),
    )


if __name__ == "__main__":
    run_script(main)
