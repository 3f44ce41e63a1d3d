"""The computations of the benchmark, its results page and how it runs rounds."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.project import ROOT

import checkout
import machine
import page
import run
import training_alone
from overfitting.common.errors import UserError

RESULTS = ROOT / "benchmarks" / "results.csv"


def write_results(path: Path, figures: dict[tuple[str, str, str], list[float]]) -> Path:
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


def test_the_committed_page_matches_the_committed_results(tmp_path: Path) -> None:
    page.write(RESULTS, tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (ROOT / "benchmarks" / path.name).read_bytes(), path.name


def test_every_target_is_evaluated() -> None:
    rows = page.targets(page.Results(RESULTS)).splitlines()
    assert sum(row.endswith(("| met |", "| **missed** |")) for row in rows) == 12


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
    assert results.values("seeds", "1", "wall").tolist() == [10.0, 11.0]


def test_the_share_of_evenly_divided_work(tmp_path: Path) -> None:
    path = write_results(
        tmp_path / "results.csv",
        {
            ("whole", "machine", "cores"): [4],
            ("whole", "pipeline", "cpu"): [200.0],
            ("whole", "lesson", "wall"): [100.0],
        },
    )
    assert page.evenly_divided(page.Results(path)) == pytest.approx([0.5])


@pytest.mark.parametrize(
    ("ours", "verdict"), [([44.0, 90.0, 45.0], "met"), ([46.0, 44.0, 90.0], "**missed**")]
)
def test_a_target_is_evaluated_by_the_median_of_the_ratios(
    tmp_path: Path, ours: list[float], verdict: str
) -> None:
    results = page.Results(
        write_results(
            tmp_path / "results.csv",
            {
                ("whole", "pipeline", "wall"): ours,
                ("whole", "lesson", "wall"): [100.0, 100.0, 100.0],
            },
        )
    )
    [row] = [line for line in page.targets(results).splitlines() if line.startswith("| whole job")]
    assert row.endswith(f"| ≤ 0.45 | {verdict} |")


def test_a_higher_share_of_sgemm_is_better(tmp_path: Path) -> None:
    seconds = training_alone.gflop_per_epoch() / 100  # at 100 GFLOP/s
    results = page.Results(
        write_results(
            tmp_path / "results.csv",
            {
                ("training", "pipeline, baseline", "cpu"): [seconds],
                ("training", "sgemm", "gflops"): [160.0],
            },
        )
    )
    assert page.sgemm_share(results) == pytest.approx([100 / 160])
    assert "| 0.625 | ≥ 0.6 | met |" in page.targets(results)


def test_flop_per_image_and_epoch() -> None:
    """As counted by hand: 15.4 MFLOP per image in training, 200.5 GFLOP per epoch."""
    in_training, in_validation = training_alone.flop_per_image()
    assert in_validation == 2 * (194_688 + 2_230_272 + 204_800 + 1_280)
    assert in_training == 3 * in_validation - 2 * 194_688
    assert training_alone.gflop_per_epoch() == pytest.approx(200.5, abs=0.1)


def test_accuracies_agree_within_their_noise_or_half_a_point() -> None:
    ours = np.array([0.870, 0.880, 0.875, 0.872, 0.878])
    assert page.agree(ours, ours[::-1] - 0.0055)[-1] == "agree"  # the interval contains 0
    exact = np.array([0.8750, 0.8751, 0.8749])
    assert page.agree(exact, exact + 0.004)[-1] == "agree"  # significant, but small
    cells = page.agree(exact, exact + 0.02)
    assert cells[-1] == "**differ**"
    assert cells[:3] == ["0.8750", "0.8950", "-0.0200"]
    low, high = map(float, cells[3].split(" to "))
    assert low < -0.02 < high < 0
    # By hand: both have the standard deviation 0.0001, so the half-width is
    # t(0.975, 4) · 0.0001 · √(2/3).
    assert high - low == pytest.approx(2 * 2.776 * 0.0001 * (2 / 3) ** 0.5, abs=1e-4)
    assert page.agree(exact[:1], exact[:1] + 0.02)[-1] == "undecided: one run each"


def test_cases_take_turns_in_starting_a_round() -> None:
    def measure(case: str) -> Callable[[], run.Figures]:
        return lambda: iter([(case, {})])

    orders = [
        [case for case, _ in run.in_turn(number, [measure(case) for case in "abc"])]
        for number in range(3)
    ]
    assert orders == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]


def test_rounds_are_appended_to_earlier_complete_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = write_results(
        tmp_path / "results.csv",
        {("idle", "dvc status", "wall"): [1.0, 2.0, 3.0], ("idle", "make", "wall"): [4.0, 5.0]},
    )
    monkeypatch.setattr(run, "RESULTS", results)
    monkeypatch.setattr(page, "write", lambda *_: None)
    monkeypatch.setattr(checkout.Checkout, "finished", lambda folder: None)
    one_round = iter([("dvc status", {"wall": 6.0}), ("make", {"wall": 7.0})])
    monkeypatch.setitem(run.SECTIONS, "idle", lambda finished, number: one_round)

    run.main(["--only", "idle", "--rounds", "1", "--add"])

    measured = page.Results(results)
    assert measured.values("idle", "dvc status", "wall").tolist() == [1.0, 2.0, 6.0]
    assert measured.values("idle", "make", "wall").tolist() == [4.0, 5.0, 7.0]
    about = measured.machine.set_index("figure")["value"]
    assert about["rounds"] == "3"


def test_facts_that_changed_between_rounds_are_both_listed() -> None:
    earlier = [
        {"case": "machine", "figure": "numpy", "value": "1.0"},
        {"case": "machine", "figure": "cores", "value": str(psutil.cpu_count())},
    ]
    facts = {row["figure"]: row["value"] for row in machine.rows("idle", 3, earlier)}
    assert facts["numpy"] == f"1.0; {np.__version__}"
    assert facts["cores"] == str(psutil.cpu_count())
    assert facts["rounds"] == 3


def test_a_timed_command_also_returns_its_output(tmp_path: Path) -> None:
    folder = checkout.Checkout(tmp_path)
    figures = folder.timed("python", "-c", "x = b'x' * (400 * 2**20); print('a'); print('b')")
    assert folder.printed == "a\nb"
    assert figures["peak"] > 400
    assert 0 < figures["cpu"] <= figures["wall"] * 1.5
    with pytest.raises(UserError, match=r"python -c 1/0 failed:[\s\S]*ZeroDivisionError"):
        folder.run("python", "-c", "1/0")


def test_the_sections_are_described() -> None:
    assert set(run.SECTIONS) == set(page.DESCRIBED) == set(page.TITLES)
