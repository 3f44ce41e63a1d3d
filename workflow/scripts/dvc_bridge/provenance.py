"""What Snakemake's report may say of a run."""

import csv
import shutil
import subprocess
from pathlib import Path
from typing import Any

BENCHMARKS = Path("logs", "benchmarks")


def of_checkout() -> dict[str, Any]:
    """Return what is known of the last run in the current folder.

    Returns:
        `commit`: the current commit, shortened, or an empty text without Git.
        `benchmarks`: a dict for each stage that Snakemake ran last: its name, and the columns of
        Snakemake's benchmark files.
    """
    return {
        "commit": _commit(),
        "benchmarks": [
            {"stage": path.relative_to(BENCHMARKS).with_suffix("").as_posix(), **row}
            for path in sorted(BENCHMARKS.rglob("*.tsv"))
            for row in csv.DictReader(path.open(encoding="utf-8"), delimiter="\t")
        ],
    }


def _commit() -> str:
    if not (git := shutil.which("git")):
        return ""
    command = [git, "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()
