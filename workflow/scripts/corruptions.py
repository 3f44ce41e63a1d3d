"""Stage corruptions: the first test images, damaged in twelve ways, the same for every model."""

import overfitting.check_environment  # noqa: F401

# isort: split
from overfitting import corruptions, datasets, params
from overfitting.arguments import Arguments
from overfitting.console import run_script, start_log


def main(argv: list[str]) -> None:
    parser = Arguments(__doc__)
    parser.reads("test", "test subset (.npz)")
    parser.writes("corrupted", "damaged images", ".npz")
    arguments = parser.parsed(argv)
    size = params.declared_by("corruptions")["robustness.test_size"]
    log = start_log("corruptions")
    [images] = datasets.load_examples(arguments.test, "images")
    damaged = corruptions.all_severities(images[:size], log=log)
    datasets.save_examples(arguments.corrupted, **damaged)
    log.info("%s: the first %d images", arguments.corrupted, len(images[:size]))


if __name__ == "__main__":
    run_script(main)
