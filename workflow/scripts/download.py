"""Stage download: the four raw files of Fashion-MNIST, unzipped, their contents verified."""

import argparse
from pathlib import Path

from overfitting import checksums, params, sources
from overfitting.console import run_script, start_log


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checksums", type=Path, help="SHA-256 of each unzipped file")
    parser.add_argument("folder", type=Path, help="where the files belong")
    arguments = parser.parse_args(argv)
    declared = params.declared_by("download")
    sources.fetch_all(
        declared["data.sources"],
        checksums.read_checksums(arguments.checksums),
        arguments.folder,
        start_log("download"),
    )


if __name__ == "__main__":
    run_script(main)
