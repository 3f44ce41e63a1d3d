"""Print the gap table and the path of the report; the last step of `make`."""

import overfitting.common.environment  # noqa: F401

# isort: split
import argparse
from pathlib import Path

import pandas as pd

from overfitting.common.console import run_script
from overfitting.report import tables


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", type=Path, help="folder of the report")
    arguments = parser.parse_args(argv)
    table = tables.gap_table(pd.read_csv(arguments.reports / "tables" / "gap.csv"))
    print(pd.DataFrame(table.rows, columns=table.header).T.to_string(header=False))
    print(f"\nThe report: {(arguments.reports / 'report.html').resolve()}")


if __name__ == "__main__":
    run_script(main)
