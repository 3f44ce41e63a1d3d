"""Stage corruptions: corrupt the first test images in twelve ways, the same for every model."""

import overfitting.common.environment  # noqa: F401

# isort: split
from overfitting.common import datasets, params
from overfitting.common.arguments import ScriptArgumentParser
from overfitting.common.console import run_script, start_log
from overfitting.evaluation import corruptions


def main(argv: list[str]) -> None:
    parser = ScriptArgumentParser(__doc__)
    parser.add_input("test", "test subset (.npz)")
    parser.add_output("corrupted", "corrupted images", ".npz")
    arguments = parser.parse(argv)
    size = params.stage_params("corruptions")["robustness.test_size"]
    log = start_log("corruptions")
    [images] = datasets.load_examples(arguments.test, "images")
    corrupted = corruptions.all_severities(images[:size], log=log)
    datasets.save_examples(arguments.corrupted, **corrupted)
    log.info("%s: the first %d images", arguments.corrupted, len(images[:size]))


if __name__ == "__main__":
    run_script(main)
