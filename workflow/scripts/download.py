"""Stage download: get the four raw files of Fashion-MNIST, decompressed and verified."""

import overfitting.common.environment  # noqa: F401

# isort: split
from overfitting.common import params
from overfitting.common.arguments import ScriptArgumentParser
from overfitting.common.console import run_script, start_log
from overfitting.data import checksums, sources


def main(argv: list[str]) -> None:
    parser = ScriptArgumentParser(__doc__)
    parser.add_input("checksums", "SHA-256 of each decompressed file")
    parser.add_output("folder", "folder for the files")
    arguments = parser.parse(argv)
    declared = params.stage_params("download")
    sources.fetch_all(
        declared["data.sources"],
        checksums.read_checksums(arguments.checksums),
        arguments.folder,
        start_log("download"),
    )


if __name__ == "__main__":
    run_script(main)
