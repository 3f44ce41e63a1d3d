"""From `results.csv` to `results.md`: the template `results.md.j2` says what is compared."""

from pathlib import Path

import pandas as pd

from alone import GFLOP
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
        """Format a table: a row per case, a column per figure, each with its name or header.

        With the case `base`, a last column compares the first figure with that of this case.
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
        names = self.machine["figure"].unique()
        facts = self.machine.pivot(index="section", columns="figure", values="value")[names]
        facts = facts.fillna("–").reset_index()
        return Table(list(facts.columns), facts.to_numpy().tolist())


def verdicts(targets: list[tuple[str, pd.Series, str, float]]) -> Table:
    """Format the targets that were measured: the median against the limit (≤ or ≥)."""
    rows = []
    for what, values, sign, limit in targets:
        if len(values.dropna()):
            met = values.median() >= limit if sign == "≥" else values.median() <= limit
            verdict = "met" if met else "**missed**"
            rows.append([what, spread(values), f"{sign} {limit:g}", verdict])
    return Table(["what", "measured", "target", ""], rows)


def write(results: Path, folder: Path) -> None:
    """Make `results.md` in `folder` from the figures in `results`."""
    names = {"verdicts": verdicts, "spread": spread, "gflop": GFLOP}
    text = render(HERE / "results.md.j2", results=Results(results), **names)
    write_text(folder / "results.md", text)


def spread(values: pd.Series) -> str:
    """Format the median with three digits, and of several rounds the least and largest value."""
    values = values.dropna()
    if values.empty:
        return "–"
    middle, least, most = map(rounded, (values.median(), values.min(), values.max()))
    return f"{middle} ({least}–{most})" if len(values) > 1 else middle


def rounded(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")
