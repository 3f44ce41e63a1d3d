"""Measure the pipeline against the lesson's script and PyTorch, and dvc_bridge against others.

    make bench                             everything: about three hours on two cores
    make bench BENCH="--only idle edited"  some sections; the others' figures are kept
    make bench BENCH="--rounds 2"          another number of rounds for each of them

Every section goes round by round, each case once per round and in changing order, so that a
machine that slows down slows all of them. Each figure is added to `benchmarks/results.csv` when it
is known; a section that is measured again replaces its old figures. At the end
`benchmarks/results.md` is made from that file.
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import machine
import page
import pipeline
from checkout import Measure, Measured
from overfitting.common.console import run_script
from overfitting.common.files import atomic_write

HERE = Path(__file__).parent
RESULTS = HERE / "results.csv"
COLUMNS = ["section", "case", "round", "figure", "value"]

SECTIONS: dict[str, tuple[Callable[[Path, int], list[Measure]], int]] = {
    "whole": (pipeline.whole, 5),
    "training": (pipeline.training, 5),
    "seeds": (pipeline.growth, 5),
    "idle": (pipeline.idle, 5),
    "edited": (pipeline.edited, 5),
}
"""How to measure each section, and in how many rounds."""


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        for section in arguments.only:
            measures, usual = SECTIONS[section]
            rounds = arguments.rounds or usual
            others = [row for row in read() if row["section"] != section]
            write([*others, *rows(section, "machine", "", machine.facts(rounds))])
            for number in range(rounds):
                for case, figures in in_turn(number, measures(Path(scratch), number)):
                    found = "  ".join(f"{name} {value}" for name, value in figures.items())
                    say(f"{section} {number + 1}/{rounds}  {case}  {found}")
                    write([*read(), *rows(section, case, number, figures)])
    page.write(RESULTS, HERE)
    say(f"written to {HERE / 'results.md'}")


def in_turn(number: int, measures: list[Measure]) -> Measured:
    """Run each of `measures` once; where they begin changes from round to round."""
    for position in range(len(measures)):
        yield from measures[(position + number) % len(measures)]()


def rows(
    section: str, case: str, number: int | str, figures: Mapping[str, object]
) -> list[dict[str, object]]:
    """Return the figures of a case in a round as rows of the results."""
    return [
        dict(zip(COLUMNS, (section, case, number, *figure), strict=True))
        for figure in figures.items()
    ]


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def read() -> list[dict[str, str]]:
    if not RESULTS.exists():
        return []
    with RESULTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(rows: Iterable[Mapping[str, object]]) -> None:
    with atomic_write(RESULTS) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    run_script(main)
