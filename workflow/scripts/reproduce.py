"""Bring one stage up to date, as `dvc repro --single-item STAGE` would; a job of Snakemake."""

import argparse
import sys

from overfitting import one_stage
from overfitting.console import run_script


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", help="its name, such as train@baseline-0")
    sys.exit(one_stage.reproduce(parser.parse_args(argv).stage))


if __name__ == "__main__":
    run_script(main)
