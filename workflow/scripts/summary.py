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
    # A model may be called nan, NA or 1, which pandas would not take for names.
    gaps = pd.read_csv(
        arguments.reports / "tables" / "gap.csv",
        dtype={"model": str},
        keep_default_na=False,
        na_values=[""],
    )
    table = tables.gap_table(gaps)
    print(pd.DataFrame(table.rows, columns=table.header).T.to_string(header=False))
    print(f"\nThe report: {(arguments.reports / 'report.html').resolve()}")


if __name__ == "__main__":
    run_script(main)
