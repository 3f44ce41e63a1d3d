"""The computations of the benchmark, its results page and how it runs rounds."""

import csv
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from support.project import ROOT

import alone
import checkout
import machine
import page
import run
from overfitting.common.errors import UserError

RESULTS = ROOT / "benchmarks" / "results.csv"
Figures = dict[tuple[str, str, str], list[float]]


def write_results(path: Path, figures: Figures) -> Path:
    """Write results: a value per round for each section, case and figure; return the path."""
    rows = [
        [*names, number, value]
        for names, values in figures.items()
        for number, value in enumerate(values)
    ]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["section", "case", "figure", "round", "value"])
        writer.writerows(rows)
    return path


def verdict(folder: Path, what: str, figures: Figures) -> list[str]:
    """Return the row of a target as the page shows it, after its name."""
    results = page.Results(write_results(folder / "results.csv", figures))
    [row] = [cells for name, *cells in results.verdicts().rows if name == what]
    return row


def test_the_committed_page_matches_the_committed_results(tmp_path: Path) -> None:
    page.write(RESULTS, tmp_path)
    committed = ROOT / "benchmarks" / "results.md"
    assert (tmp_path / "results.md").read_bytes() == committed.read_bytes()


def test_every_target_is_evaluated_once_it_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    results = page.Results(RESULTS)
    measured = pd.Series([2.0, 2.0, 2.0])
    monkeypatch.setattr(results, "of", lambda *names: measured)
    rows = results.verdicts().rows
    assert [row[0] for row in rows] == [name for name, *_ in results.targets()]
    assert {row[-1] for row in rows} == {"met", "**missed**"}
    monkeypatch.setattr(results, "of", lambda *names: measured[:0])
    assert not results.verdicts().rows


def test_a_section_is_shown_once_it_is_measured(tmp_path: Path) -> None:
    figures: Figures = {("seeds", "machine", "rounds"): [1]}
    page.write(write_results(tmp_path / "results.csv", figures), tmp_path)
    assert "## Growth with the seeds" not in (tmp_path / "results.md").read_text()
    figures[("seeds", "2", "wall")] = [3.0, 4.0, 5.5]
    page.write(write_results(tmp_path / "results.csv", figures), tmp_path)
    text = (tmp_path / "results.md").read_text()
    assert "## Growth with the seeds" in text
    assert "\n| 2 seeds | 4.00 (3.00–5.50) | – | – | – |\n" in text


def test_an_incomplete_round_does_not_count(tmp_path: Path) -> None:
    path = write_results(
        tmp_path / "results.csv",
        {
            ("seeds", "machine", "rounds"): [5],
            ("seeds", "1", "wall"): [10.0, 11.0, 12.0],
            ("seeds", "2", "wall"): [20.0, 21.0],
        },
    )
    results = page.Results(path)
    assert results.rounds("seeds") == 2
    assert results.of("seeds", "1").tolist() == [10.0, 11.0]
    assert dict(zip(results.machines().header, *results.machines().rows, strict=True)) == {
        "section": "seeds",
        "rounds": "2",
    }


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ([90.0, 180.0, 95.0], ["0.950 (0.900–1.80)", "≤ 1", "met"]),
        ([101.0, 90.0, 180.0], ["1.01 (0.900–1.80)", "≤ 1", "**missed**"]),
    ],
)
def test_a_target_is_evaluated_by_the_median_of_the_ratios(
    tmp_path: Path, ours: list[float], expected: list[str]
) -> None:
    figures: Figures = {
        ("whole", "pipeline", "wall"): ours,
        ("whole", "lesson", "wall"): [100.0, 100.0, 100.0],
    }
    assert verdict(tmp_path, "the default job against the lesson's script", figures) == expected


def test_parallel_efficiency_is_ideal_time_per_wall_time(tmp_path: Path) -> None:
    figures: Figures = {
        ("whole", "pipeline", "wall"): [250.0],
        ("whole", "alone", "ideal"): [200.0],
    }
    what = "parallel efficiency of the default job"
    assert verdict(tmp_path, what, figures) == ["0.800", "≥ 0.8", "met"]
    figures[("whole", "pipeline", "wall")] = [251.0]
    assert verdict(tmp_path, what, figures)[-1] == "**missed**"


def test_a_higher_share_of_sgemm_is_better(tmp_path: Path) -> None:
    figures: Figures = {
        ("training", "pipeline, baseline", "cpu"): [alone.gflop_per_epoch() / 100],
        ("training", "sgemm", "gflops"): [160.0],
    }
    what = "share of one core's sgemm speed, baseline"
    assert verdict(tmp_path, what, figures) == ["0.625", "≥ 0.6", "met"]


def test_gflop_per_epoch() -> None:
    """As counted by hand: 4.86 MFLOP per image in validation, 14.2 in training."""
    in_validation = 2 * (194_688 + 2_230_272 + 204_800 + 1_280)
    in_training = 3 * in_validation - 2 * 194_688
    counted = (12_000 * in_training + 3_000 * in_validation) / 1e9
    assert alone.gflop_per_epoch() == pytest.approx(counted)


def one_case(case: str, value: float = 0) -> checkout.Measured:
    yield case, {"wall": value}


def test_cases_take_turns_in_starting_a_round() -> None:
    measures: list[checkout.Measure] = [partial(one_case, case) for case in "abc"]
    orders = ["".join(case for case, _ in run.in_turn(number, measures)) for number in range(3)]
    assert orders == ["abc", "bca", "cab"]


def test_a_section_measured_again_replaces_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = write_results(
        tmp_path / "results.csv",
        {("idle", "make", "wall"): [1.0, 2.0, 3.0], ("seeds", "1", "wall"): [4.0]},
    )

    def measures(scratch: Path, number: int) -> list[checkout.Measure]:
        return [partial(one_case, "make", 10.0 + number), partial(one_case, "dvc status", 1.0)]

    monkeypatch.setattr(run, "RESULTS", results)
    monkeypatch.setattr(run, "HERE", tmp_path)
    monkeypatch.setitem(run.SECTIONS, "idle", (measures, 2))

    run.main(["--only", "idle"])

    measured = page.Results(results)
    assert measured.of("idle", "make").tolist() == [10.0, 11.0]
    assert measured.of("seeds", "1").tolist() == [4.0]
    assert (
        "| `make` | 10.5 (10.0–11.0) | 10.5 (10.0–11.0) |" in (tmp_path / "results.md").read_text()
    )
    assert measured.machine.set_index("figure").loc["rounds", "value"] == "2"


def test_the_facts_name_the_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PACKAGES", ["pandas", "no-such-package"])
    facts = machine.facts(3)
    assert facts["pandas"] == pd.__version__
    assert facts["no-such-package"] == "not installed"
    assert facts["rounds"] == 3


def test_a_timed_command_also_keeps_its_output(tmp_path: Path) -> None:
    folder = checkout.Checkout(tmp_path)
    figures = folder.timed("python", "-c", "x = b'x' * (400 * 2**20); print('a'); print('b')")
    assert folder.printed == "a\nb"
    assert figures["peak"] > 400
    assert 0 < figures["cpu"] <= figures["wall"] * 1.5
    with pytest.raises(UserError, match=r"python -c 1/0 failed:[\s\S]*ZeroDivisionError"):
        folder.timed("python", "-c", "1/0")


def test_params_are_edited_by_their_keys(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("a: {b: {c: 1, d: 2}}\ne: [3] # why\n")
    checkout.Checkout(tmp_path).edit({"a.b.c": 5, "e": [6, 7]})
    text = (tmp_path / "params.yaml").read_text()
    assert text.startswith("a: {b: {c: 5, d: 2}}\ne:")
    assert "6" in text
