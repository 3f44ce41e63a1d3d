"""From `results.csv` to `results.md`, by the template `results.md.j2`."""

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from alone import gflop_per_epoch
from overfitting.common.files import write_text
from overfitting.report.pages import render
from overfitting.report.tables import Table

HERE = Path(__file__).parent


class Results:
    """What was measured, by section, case and figure."""

    def __init__(self, path: Path):
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        about = rows["case"] == "machine"
        self.machine, self.rows = rows[about], rows[~about]
        self.rows = self.rows.assign(round=self.rows["round"].astype(int))
        complete = self.rows["section"].map(self.rounds)  # the rest of an interrupted round
        self.rows = self.rows[self.rows["round"] < complete]  # has nothing to be compared with

    def rounds(self, section: str) -> int:
        """Return how many rounds were measured to their end: by every case."""
        rows = self.rows[self.rows["section"] == section]
        return int(rows.groupby("case")["round"].nunique().min()) if len(rows) else 0

    def found(self, section: str, case: str, figure: str) -> pd.Series:
        """Return what was found as text, by round."""
        names = {"section": section, "case": case, "figure": figure}
        rows = self.rows[(self.rows[list(names)] == pd.Series(names)).all(axis=1)]
        return rows.set_index("round")["value"]

    def of(self, section: str, case: str, figure: str = "wall") -> pd.Series:
        """Return a number per round, the mean where it was measured twice; none if unmeasured.

        Arithmetic with two of these compares them within each round.
        """
        return self.found(section, case, figure).astype(float).groupby(level=0).mean()

    def cell(self, section: str, case: str, figure: str) -> str:
        """Format a figure: numbers by their spread; of words, each finding once."""
        try:
            return spread(self.of(section, case, figure))
        except ValueError:
            return "; ".join(self.found(section, case, figure).unique())

    def table(
        self, section: str, cases: dict[str, str], columns: dict[str, str], base: str = ""
    ) -> Table:
        """Format a table, a row per case.

        Args:
            cases: for each case, what the first column calls it.
            columns: for each header, a figure.
            base: a case; if given, the last column compares the first figure with that case's.
        """
        rows = []
        for case, name in cases.items():
            cells = [self.cell(section, case, figure) for figure in columns.values()]
            if base:
                first = next(iter(columns.values()))
                cells.append(spread(self.of(section, case, first) / self.of(section, base, first)))
            rows.append([name, *cells])
        return Table(["", *columns, *([f"to {cases[base]}"] if base else [])], rows)

    def machines(self) -> Table:
        """Format what each section was measured on."""
        facts = list(self.machine["figure"].unique())
        rows = []
        for section, about in self.machine.groupby("section", sort=False):
            by_fact = dict(zip(about["figure"], about["value"], strict=True))
            by_fact["rounds"] = str(self.rounds(str(section)))  # fewer if it was interrupted
            rows.append([str(section), *(by_fact.get(fact, "") for fact in facts)])
        return Table(["section", *facts], rows)

    def targets(self) -> Iterator[tuple[str, pd.Series, str, float]]:
        """Give what is aimed at: its name, values per round, and how their median is to compare."""
        of = self.of
        job, edit = of("whole", "pipeline"), of("edited", "snakemake --cores 4")
        yield "the default job against the lesson's script", job / of("whole", "lesson"), "≤", 1
        yield (
            "parallel efficiency of the default job",
            of("whole", "alone", "ideal") / job,
            "≥",
            0.8,
        )
        for model in ("baseline", "regularized"):
            ours, theirs = (
                of("training", f"{way}, {model}", "cpu") for way in ("pipeline", "PyTorch")
            )
            yield f"CPU time of an epoch against PyTorch, {model}", ours / theirs, "≤", 1
        speed = gflop_per_epoch() / of("training", "pipeline, baseline", "cpu")
        share = speed / of("training", "sgemm", "gflops")
        yield "share of one core's sgemm speed, baseline", share, "≥", 0.6
        eight = of("seeds", "8") / 8
        yield "8 seeds against 1 seed, per seed", eight / of("seeds", "1"), "≤", 1
        idle, status = of("idle", "snakemake --cores 4"), of("idle", "dvc status")
        yield "nothing to do, `snakemake --cores 4` against `dvc status`", idle / status, "≤", 2
        overhead = edit / of("edited", "snakemake --cores 4", "training") - 1
        yield "a param edited, overhead beyond the retraining", overhead, "≤", 0.15
        reading = of("idle", "make verify") / job.median()
        yield "reading every file, `make verify`, against the default job", reading, "≤", 0.05
        peak = of("whole", "pipeline", "peak")
        yield "largest process of the default job, MiB", peak, "≤", 900

    def verdicts(self) -> Table:
        """Format the targets that were measured, each with its verdict."""
        rows = []
        for what, values, sign, limit in self.targets():
            if len(values.dropna()):
                met = values.median() >= limit if sign == "≥" else values.median() <= limit
                verdict = "met" if met else "**missed**"
                rows.append([what, spread(values), f"{sign} {limit:g}", verdict])
        return Table(["what", "measured", "target", ""], rows)


def write(results: Path, folder: Path) -> None:
    """Make `results.md` in `folder` from the figures in `results`."""
    found = Results(results)
    names = {"results": found, "spread": spread, "gflop": gflop_per_epoch()}
    write_text(folder / "results.md", render(HERE / "results.md.j2", **names))


def spread(values: pd.Series) -> str:
    """Format the median with three digits, and of several rounds the least and largest value."""
    values = values.dropna()
    if values.empty:
        return "–"
    middle, least, most = map(rounded, (values.median(), values.min(), values.max()))
    return f"{middle} ({least}–{most})" if len(values) > 1 else middle


def rounded(value: float) -> str:
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{digits}f}"
