"""The computations of the benchmark, its results page and how it runs rounds."""

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from support.project import ROOT

import alone
import checkout
import graphs
import page
import pipeline
import run
import tools
from overfitting.common.errors import UserError

RESULTS = ROOT / "benchmarks" / "results.csv"
Figures = dict[tuple[str, str, str], Sequence[float | str]]


def write_results(path: Path, figures: Figures) -> Path:
    """Write results: a value per round for each section, case and figure; return the path."""
    rows = [
        [section, case, number, figure, value]
        for (section, case, figure), values in figures.items()
        for number, value in enumerate(values)
    ]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["section", "case", "round", "figure", "value"])
        writer.writerows(rows)
    return path


def made_page(folder: Path, figures: Figures) -> str:
    """Return the page that is made of results."""
    page.write(write_results(folder / "results.csv", figures), folder)
    return (folder / "results.md").read_text()


def verdict(folder: Path, what: str, figures: Figures) -> list[str]:
    """Return the cells of a target on the page, after its name."""
    [row] = [
        row for row in made_page(folder, figures).splitlines() if row.startswith(f"| {what} |")
    ]
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


def test_the_committed_page_matches_the_committed_results(tmp_path: Path) -> None:
    page.write(RESULTS, tmp_path)
    committed = ROOT / "benchmarks" / "results.md"
    assert (tmp_path / "results.md").read_bytes() == committed.read_bytes()


def test_every_target_is_evaluated_once_it_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = (ROOT / "benchmarks" / "results.md.j2").read_text().count('"≤", ')
    targets += (ROOT / "benchmarks" / "results.md.j2").read_text().count('"≥", ')
    for measured, expected in ([2.0, 3.0], targets), ([], 0):
        series = pd.Series(measured, dtype=float)
        monkeypatch.setattr(page.Results, "of", lambda *names, series=series: series)
        page.write(RESULTS, tmp_path)
        rows = (tmp_path / "results.md").read_text().splitlines()
        verdicts = [row for row in rows if row.endswith(("| met |", "| **missed** |"))]
        assert len(verdicts) == expected


def test_a_section_is_shown_once_it_is_measured(tmp_path: Path) -> None:
    figures: Figures = {("seeds", "machine", "rounds"): [1]}
    assert "## Growth with the seeds" not in made_page(tmp_path, figures)
    figures[("seeds", "2", "wall")] = [3.0, 4.0, 5.5]
    text = made_page(tmp_path, figures)
    assert "## Growth with the seeds" in text
    assert "\n| 2 seeds | 4.00 (3.00–5.50) | – | – | – |\n" in text


def test_findings_in_words_are_listed_once(tmp_path: Path) -> None:
    figures: Figures = {
        ("tools", "xargs, 2", "wall"): [1.0, 2.0, 3.0],
        ("tools", "xargs, 2", "result"): ["the same bytes", "`a` differs", "the same bytes"],
    }
    assert "| `xargs -P 2` | 2.00 (1.00–3.00) | – | the same bytes; `a` differs | – |" in (
        made_page(tmp_path, figures)
    )


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
    assert results.machines().rows == [["seeds", "5"]]


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
        ("training", "pipeline, baseline", "cpu"): [alone.GFLOP / 100],
        ("training", "sgemm", "gflops"): [160.0],
    }
    what = "share of one core's sgemm speed, baseline"
    assert verdict(tmp_path, what, figures) == ["0.625", "≥ 0.6", "met"]


def test_gflop_of_an_epoch() -> None:
    """As counted by hand: 4.86 MFLOP per image in validation, 14.2 in training."""
    convolutions = 2 * 26 * 26 * 32 * 9, 2 * 11 * 11 * 64 * 9 * 32
    in_validation = sum(convolutions) + 2 * (1600 * 128 + 128 * 10)
    in_training = 3 * in_validation - convolutions[0]
    counted = (12_000 * in_training + 3_000 * in_validation) / 1e9
    assert round(counted, 1) == alone.GFLOP


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
    monkeypatch.setattr(run, "PACKAGES", ["pandas", "no-such-package"])
    facts = run.facts(3)
    assert facts["pandas"] == pd.__version__
    assert facts["no-such-package"] == "not installed"
    assert facts["rounds"] == 3


def test_a_timed_command_also_keeps_its_output(tmp_path: Path) -> None:
    folder = checkout.Checkout(tmp_path)
    figures = folder.timed("python", "-c", "x = b'x' * (400 * 2**20); print('a'); print('b')")
    assert [line for _, line in folder.lines] == ["a", "b"]
    assert figures["peak"] > 400
    assert 0 < figures["cpu"] <= figures["wall"] * 1.5
    with pytest.raises(UserError, match=r"python -c 1/0 failed:[\s\S]*ZeroDivisionError"):
        folder.timed("python", "-c", "1/0")


def test_a_run_is_divided_into_phases(tmp_path: Path) -> None:
    folder = checkout.Checkout(tmp_path)
    folder.lines[:] = [
        (1.0, "Job 3: Train baseline with seed 0"),
        (2.0, "Job 4: Train regularized with seed 0"),
        (5.0, "Finished jobid: 3 (Rule: train)"),
        (6.0, "Finished jobid: 5 (Rule: evaluate)"),
        (8.0, "Finished jobid: 4 (Rule: train)"),
        (12.0, "Finished jobid: 6 (Rule: evaluate)"),
    ]
    assert pipeline.phases(folder, 20.0) == {
        "planning": 1.0,
        "training": 7.0,
        "evaluating": 4.0,
        "report": 8.0,
    }


GRAPH = graphs.Graph([1, 3, 6, 2], seconds=0)


def test_a_made_graph_is_finished_as_dvc_repro_would_finish_it(tmp_path: Path) -> None:
    run_by_dvc, pretended = GRAPH.lay_out(tmp_path), GRAPH.lay_out(tmp_path)
    run_by_dvc.repro()
    assert tools.result(GRAPH, run_by_dvc) == "the same bytes"
    assert "not up to date" in tools.result(GRAPH, pretended)
    GRAPH.finish(pretended.folder)
    assert tools.result(GRAPH, pretended) == "the same bytes"
    assert len(GRAPH.lock["stages"]) == 12


def test_a_result_is_told_from_that_of_dvc_repro(tmp_path: Path) -> None:
    made = GRAPH.lay_out(tmp_path)
    GRAPH.finish(made.folder)
    ignored = made.folder / ".gitignore"
    ignored.write_text("".join(reversed(ignored.read_text().splitlines(keepends=True))))
    assert tools.result(GRAPH, made) == "`.gitignore` in another order"
    (made.folder / "s1-2.txt").write_text("another")
    assert tools.result(GRAPH, made) == (
        "`s1-2.txt` differs, `.gitignore` in another order, not up to date"
    )


def test_every_tool_is_a_row_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = checkout.Checkout(tmp_path)
    (tmp_path / "dvc.lock").touch()
    monkeypatch.setattr(tools, "paraffin", lambda scratch: tmp_path)
    monkeypatch.setattr(graphs.Graph, "lay_out", lambda graph, scratch: made)
    monkeypatch.setattr(checkout.Checkout, "timed", lambda *words: {"wall": 1.0, "cpu": 3.0})
    monkeypatch.setattr(tools, "result", lambda *words: "as it should be")
    figures: Figures = {}
    for measure in tools.compared(GRAPH, tmp_path, 0):
        for case, found in measure():
            figures |= {("tools", case, name): [value] for name, value in found.items()}
    rows = [row for row in made_page(tmp_path, figures).splitlines() if "as it should be" in row]
    assert len(rows) == 7
    assert all("| 3.00 | as it should be |" in row for row in rows)
    for pinned in tools.PARAFFIN[:2]:
        assert pinned.partition("==")[2] in (tmp_path / "results.md").read_text()


def test_whether_a_killed_tool_starts_again_is_said_in_words(tmp_path: Path) -> None:
    made = tools.KILLED.lay_out(tmp_path)
    assert tools.run_again(made, f"echo no; echo ERROR: {made.folder}/a,") == "fails: ERROR: a"
    tools.KILLED.finish(made.folder)
    assert tools.run_again(made, "exit 1") == tools.FINISHED
