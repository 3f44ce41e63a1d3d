"""Measure the pipeline against the lesson's script and PyTorch, and dvc_bridge beside other tools.

    make bench                             everything: about three hours on two cores
    make bench BENCH="--only idle edited"  some sections; the others' figures are kept
    make bench BENCH="--rounds 2"          another number of rounds for each of them

Every section goes round by round, each case once per round and in changing order, so that a
machine that slows down slows all of them. Each figure is added to `results.csv` when it is known;
a section that is measured again replaces its old ones. At the end `results.md` is made from it.
"""

import argparse
import csv
import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import distributions
from pathlib import Path

import psutil

import page
import pipeline
import tools
from checkout import Measure, Measured
from overfitting.common.console import run_script

RESULTS = Path(__file__).with_name("results.csv")
PACKAGES = ["tensorflow", "keras", "numpy", "dvc", "snakemake", "torch"]

SECTIONS: dict[str, tuple[Callable[[Path, int], list[Measure]], int]] = {
    "whole": (pipeline.whole, 5),
    "training": (pipeline.training, 5),
    "seeds": (pipeline.growth, 5),
    "idle": (pipeline.idle, 5),
    "edited": (pipeline.edited, 5),
    "tools": (partial(tools.compared, tools.SMALL), 3),
    "larger": (partial(tools.compared, tools.LARGE), 1),
    "killed": (tools.killed, 1),
    "engines": (tools.engines, 3),
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
            forget(section)
            add(section, "machine", "", facts(rounds))
            for number in range(rounds):
                for case, figures in in_turn(number, measures(Path(scratch), number)):
                    add(section, case, number, figures)
    page.write(RESULTS, RESULTS.parent)


def facts(rounds: int) -> dict[str, object]:
    """Return what the figures are measured on and with, by name."""
    installed = {distribution.name: distribution.version for distribution in distributions()}
    cpuinfo = Path("/proc/cpuinfo")
    cpu = cpuinfo.read_text() if cpuinfo.exists() else ""
    model = re.search(r"model name\s*: (.*)", cpu)
    vectors = next((name for name in ("avx512f", "avx2", "avx") if f" {name} " in cpu), "no AVX")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "rounds": rounds,
        "processor": f"{model[1] if model else platform.machine()} ({vectors})",
        "cores": os.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    } | {package: installed.get(package, "not installed") for package in PACKAGES}


def in_turn(number: int, measures: list[Measure]) -> Measured:
    """Run each of `measures` once; where they begin changes from round to round."""
    for position in range(len(measures)):
        yield from measures[(position + number) % len(measures)]()


def forget(section: str) -> None:
    """Remove a section from the results."""
    with RESULTS.open(encoding="utf-8", newline="") as file:
        kept = [row for row in csv.reader(file) if row[0] != section]
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(kept)


def add(section: str, case: str, number: int | str, figures: Mapping[str, object]) -> None:
    """Print the figures of a case in a round, and add them to the results."""
    found = "  ".join(f"{name} {value}" for name, value in figures.items())
    print(f"{time.strftime('%H:%M:%S')}  {section} {number}  {case}  {found}", flush=True)
    with RESULTS.open("a", encoding="utf-8", newline="") as file:
        rows = [[section, case, number, *figure] for figure in figures.items()]
        csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    run_script(main)
