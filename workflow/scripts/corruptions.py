"""Stage corruptions: the first test images, damaged in twelve ways, the same for every model."""

import argparse
from pathlib import Path

from overfitting import corruptions, datasets, params
from overfitting.console import run_script, start_log


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("test", type=Path, help="test subset (.npz)")
    parser.add_argument("corrupted", type=Path, help="damaged images to write (.npz)")
    arguments = parser.parse_args(argv)
    size = params.declared_by("corruptions")["robustness.test_size"]
    log = start_log("corruptions")
    [images] = datasets.load_examples(arguments.test, "images")
    damaged = corruptions.all_severities(images[:size], log=log)
    datasets.save_examples(arguments.corrupted, **damaged)
    log.info("%s: the first %d images", arguments.corrupted, len(images[:size]))


if __name__ == "__main__":
    run_script(main)
