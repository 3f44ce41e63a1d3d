"""Stage subset: the first images of the training and of the test set, a file each."""

import argparse
from pathlib import Path

from overfitting import checksums, datasets, params
from overfitting.console import run_script, start_log
from overfitting.idx import read_idx


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checksums", type=Path, help="SHA-256 of each raw file")
    parser.add_argument("raw", type=Path, help="folder with the four raw files")
    parser.add_argument("train", type=Path, help="training subset to write (.npz)")
    parser.add_argument("test", type=Path, help="test subset to write (.npz)")
    arguments = parser.parse_args(argv)
    declared = params.declared_by("subset")
    log = start_log("subset")
    checksums.refuse_other_contents(arguments.raw, checksums.read_checksums(arguments.checksums))
    for prefix, key, target in [
        ("train", "data.train_size", arguments.train),
        ("t10k", "data.test_size", arguments.test),
    ]:
        images, labels = datasets.first(
            read_idx(arguments.raw / f"{prefix}-images-idx3-ubyte", dimensions=3),
            read_idx(arguments.raw / f"{prefix}-labels-idx1-ubyte", dimensions=1),
            declared[key],
            key,
        )
        datasets.save_examples(target, images=images, labels=labels)
        log.info("%s: the first %d images", target, len(images))


if __name__ == "__main__":
    run_script(main)
