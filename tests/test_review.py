"""`make review`: what it calls a change, what it does not, and where it finds the results."""

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ruamel.yaml
import scipy.special
import scipy.stats
from support.project import ROOT, Project

from overfitting import measures, review
from overfitting.corruptions import CORRUPTIONS
from overfitting.review import METRICS, NOISE, Comparison, Run
from overfitting.statistics import Interval, paired_bootstrap, t_interval
from review import MissingResultError, Side

CALLED = {review.IMPROVED, review.WORSE}


def run(
    accuracy: float = 0.88,
    gap: float = 0.08,
    loss: float = 0.4,
    ece: float = 0.05,
    images: int = 100,
    **changes: Any,
) -> Run:
    """A run by hand; it recognises the first images, and so do all like it."""
    evaluation = {
        "augmentation": {"flip": None, "translation": 0.0},
        "train": {"accuracy": accuracy + gap},
        "test": {"accuracy": accuracy, "cross_entropy": loss},
        "calibration": {"ece": ece},
        "robustness": robustness(accuracy - 0.2),
    }
    recognised = np.arange(images) < round(accuracy * images)
    return Run(evaluation | changes, recognised, np.arange(images) % 10)


def several(
    seeds: int = 3,
    accuracy: float = 0.88,
    gap: float = 0.08,
    loss: float = 0.4,
    ece: float = 0.05,
    **others: Any,
) -> dict[int, Run]:
    """Runs by hand whose measures grow by 2 % from seed to seed."""
    runs = {}
    for seed in range(seeds):
        grown = 1 + 0.02 * seed
        runs[seed] = run(accuracy * grown, gap * grown, loss * grown, ece * grown, **others)
    return runs


def recognising(images: range) -> Run:
    """A run that recognises these of 1,000 images."""
    like = run(len(images) / 1_000, images=1_000)
    return Run(like.evaluation, np.isin(np.arange(1_000), images), like.labels)


def robustness(accuracy: float, images: int = 50, **of_one: float) -> dict[str, Any]:
    """The same accuracy under every corruption but those named."""
    corruptions = {name: [of_one.get(name, accuracy)] * 5 for name in CORRUPTIONS}
    return {"images": images, "corruptions": corruptions}


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {row.metric.name: row.verdict for row in comparison.rows}


def only_verdict(comparison: Comparison) -> str:
    """The verdict that all metrics share."""
    found = verdicts(comparison)
    assert list(found) == [metric.name for metric in METRICS]
    [verdict] = set(found.values())
    return verdict


# Noise and change


@cache
def trained(worse_by: float = 0.0) -> list[Run]:
    """Runs of one model: 300 seeds, the same 3,000 test images.

    An image is recognised if skill, which differs by seed, and luck, which differs by seed and
    image, outweigh its difficulty. The numbers are such that accuracy, its spread over the seeds
    and how often two seeds disagree are those of the project's baseline.

    Args:
        worse_by: taken from the skill; 0.5 costs four points of accuracy.
    """
    seeds, images = 300, 3_000
    ease = np.random.default_rng(0).normal(3.45, 2.75, images)
    random = np.random.default_rng(1 + round(100 * worse_by))
    skill = random.normal(-worse_by, 0.048, seeds)
    margin = (ease + skill[:, np.newaxis] + random.normal(size=(seeds, images))).astype(np.float32)
    right = scipy.special.expit(1.5 * margin)
    labels = np.arange(images) % 10
    runs = []
    for number in range(seeds):
        probabilities = np.stack([right[number], 1 - right[number]], axis=1)
        label = np.zeros(images, dtype=int)  # of two: what the image is, and all else
        accuracy = measures.accuracy(probabilities, label)
        evaluation = {
            "augmentation": {"flip": None, "translation": 0.0},
            "train": {"accuracy": random.normal(0.955, 0.003)},
            "test": {
                "accuracy": accuracy,
                "cross_entropy": measures.cross_entropy(probabilities, label),
            },
            "calibration": {"ece": measures.expected_calibration_error(probabilities, label)},
            "robustness": {
                "images": 1_000,
                "corruptions": {
                    name: random.binomial(
                        1_000,
                        np.clip(accuracy - 0.06 * np.arange(5) + random.normal(0, 0.02), 0, 1),
                    )
                    / 1_000
                    for name in CORRUPTIONS
                },
            },
        }
        runs.append(Run(evaluation, margin[number] > 0, labels))
    return runs


def test_the_simulated_runs_are_like_real_ones() -> None:
    right = np.stack([one.recognised for one in trained()])
    assert right.mean() == pytest.approx(0.88, abs=0.01)
    assert right.mean(axis=1).std() == pytest.approx(0.005, abs=0.0005)
    assert (right[:-1] != right[1:]).mean() == pytest.approx(0.08, abs=0.005)
    worse = np.stack([one.recognised for one in trained(0.5)])
    assert right.mean() - worse.mean() == pytest.approx(0.04, abs=0.003)


@pytest.fixture
def quick_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer draws, and none where the seeds alone call nothing: then none can change a verdict."""

    def quick(first: np.ndarray, second: np.ndarray) -> Interval:
        low, high = t_interval((first.astype(float) - second).mean(axis=1))
        decided = not low > 0 and not high < 0
        return Interval(0, 0, 0) if decided else paired_bootstrap(first, second, draws=200)

    monkeypatch.setattr(review, "paired_bootstrap", quick)


def seeded(runs: list[Run], first_seed: int) -> dict[int, Run]:
    return dict(enumerate(runs, start=first_seed))


@pytest.mark.usefixtures("quick_bootstrap")
def test_noise_is_called_a_change_in_at_most_5_of_100_cases() -> None:
    runs = trained()
    random = np.random.default_rng(0)
    cases = 200
    calls: Counter[tuple[int, int, bool, str]] = Counter()
    for first, second in [(2, 2), (3, 3), (5, 5), (10, 10), (2, 10), (3, 10)]:
        for _ in range(cases):
            drawn = [runs[i] for i in random.choice(len(runs), first + second, replace=False)]
            before, after = seeded(drawn[:first], 0), drawn[first:]
            for paired in (True, False) if first == second else (False,):
                compared = review.compare(before, seeded(after, 0 if paired else 100))
                for metric, verdict in verdicts(compared).items():
                    calls[first, second, paired, metric] += verdict in CALLED
    assert len(calls) == (4 * 2 + 2) * len(METRICS)
    assert sum(calls.values()) <= 0.05 * cases * len(calls)
    for case, count in calls.items():
        # A 95 % interval misses in 5 of 100 cases: what is counted lies on either side of that.
        assert scipy.stats.binomtest(count, cases, 0.05, "greater").pvalue > 0.001, (case, count)


@pytest.mark.usefixtures("quick_bootstrap")
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("paired", [True, False])
def test_four_points_are_called_and_in_the_right_direction(seeds: int, paired: bool) -> None:
    good, bad = trained(), trained(0.5)
    random = np.random.default_rng(seeds)
    cases = 40
    found: dict[str, Counter[str]] = {metric.name: Counter() for metric in METRICS}
    for case in range(cases):
        sides = [
            [runs[i] for i in random.choice(len(runs), seeds, replace=False)]
            for runs in (bad, good)
        ]
        better = case % 2 == 0  # as often to the better as to the worse
        before, after = sides if better else sides[::-1]
        compared = review.compare(seeded(before, 0), seeded(after, 0 if paired else 100))
        for metric, verdict in verdicts(compared).items():
            assert verdict != (review.WORSE if better else review.IMPROVED), metric
            found[metric][verdict] += 1
    for metric, verdicts_of_it in found.items():
        assert verdicts_of_it[NOISE] < cases / 2, (metric, verdicts_of_it)


def test_a_change_must_hold_for_other_images() -> None:
    before = dict.fromkeys((0, 1), recognising(range(500)))
    after = {0: recognising(range(480, 1000)), 1: recognising(range(478, 1000))}
    seeds = review.change_over_seeds(np.array([0.5, 0.5]), np.array([0.52, 0.522]), paired=True)
    assert seeds.low > 0  # Student knows of no images
    row = review.compare(before, after).rows[0]
    assert (row.metric, row.verdict) == (review.TEST_ACCURACY, NOISE)
    assert row.interval is not None
    assert row.interval.low < 0 < seeds.high < row.interval.high


def test_a_change_must_hold_for_other_seeds() -> None:
    before = dict.fromkeys((0, 1, 2), recognising(range(500)))
    after = {seed: recognising(range(510 + 10 * seed)) for seed in before}
    first, second = (
        np.stack([one.recognised for one in side.values()]) for side in (after, before)
    )
    images = paired_bootstrap(first, second)
    assert images.low > 0  # the range of three seeds, at worst
    row = review.compare(before, after).rows[0]
    assert (row.metric, row.verdict) == (review.TEST_ACCURACY, NOISE)
    # 0.02 ± t(0.975, 2) · 0.01 / √3
    assert row.interval == pytest.approx((0.02, 0.02 - 0.024841, 0.02 + 0.024841), abs=1e-5)


# By hand


def test_intervals_over_seeds_by_hand() -> None:
    # Student's sleep data (1908), two drugs on ten patients, as t.test of R gives them.
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    paired = review.change_over_seeds(first, second, paired=True)
    assert paired == pytest.approx((1.58, 0.7001142, 2.4598858), abs=1e-6)
    # Welch's error is √(3.2006 / 10 + 4.0090 / 10) = 0.8491; t(0.975, 9) = 2.2622.
    apart = review.change_over_seeds(first, second, paired=False)
    assert apart == pytest.approx((1.58, 1.58 - 1.9208, 1.58 + 1.9208), abs=2e-4)


def test_the_direction_of_each_metric() -> None:
    low = several(accuracy=0.80, gap=0.10, loss=0.30, ece=0.03)
    high = several(accuracy=0.90, gap=0.20, loss=0.40, ece=0.09)
    up = {"test accuracy", "accuracy on held-out corruptions"}
    down = {"gap", "test loss", "ECE"}
    for before, after, risen, fallen in (
        (low, high, review.IMPROVED, review.WORSE),
        (high, low, review.WORSE, review.IMPROVED),
    ):
        assert verdicts(review.compare(before, after)) == dict.fromkeys(up, risen) | dict.fromkeys(
            down, fallen
        )


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_same_results_have_not_changed(seeds: int) -> None:
    compared = review.compare(several(seeds), several(seeds))
    assert only_verdict(compared) == NOISE
    assert {row.interval for row in compared.rows} == {Interval(0, 0, 0)}
    assert {row.after - row.before for row in compared.rows} == {0}


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (0, 3, "new"),
        (3, 0, "removed"),
        (1, 1, "one seed does not tell noise from change; add seeds"),
        (1, 3, "one seed does not tell noise from change; add seeds"),
        (3, 1, "one seed does not tell noise from change; add seeds"),
    ],
)
def test_too_few_runs_are_not_compared(before: int, after: int, why: str) -> None:
    changed = several(after, accuracy=0.7, gap=0.2, loss=0.6, ece=0.1)
    compared = review.compare(several(before), changed)
    assert only_verdict(compared) == f"not comparable ({why})"
    for row in compared.rows:
        assert np.isnan(row.before) == (before == 0)
        assert np.isnan(row.after) == (after == 0)


def test_seeds_that_all_change_alike_tell_nothing_of_the_noise() -> None:
    compared = review.compare(
        {seed: run(0.8, 0.1, 0.4 + seed, 0.05) for seed in (0, 1)},
        {seed: run(0.9, 0.2, 0.5 + seed, 0.06) for seed in (0, 1)},
    )
    assert only_verdict(compared).startswith("not comparable (all seeds changed alike")
    apart = {seed: run(0.9, 0.2, 0.5, 0.06) for seed in (7, 8)}
    same = {seed: run(0.8, 0.1, 0.4, 0.05) for seed in (0, 1)}
    assert only_verdict(review.compare(same, apart)).startswith("not comparable (all seeds")


def test_other_test_images_are_not_compared() -> None:
    more_images = verdicts(review.compare(several(), several(images=200)))
    other = "not comparable (other test images)"
    held_out = "accuracy on held-out corruptions"
    assert more_images.pop(held_out) == NOISE  # the first 50 in both
    assert set(more_images.values()) == {other}

    fewer_corrupted = several(robustness=robustness(0.6, images=40))
    found = verdicts(review.compare(several(), fewer_corrupted))
    assert found.pop(held_out) == other
    assert set(found.values()) == {NOISE}


def test_robustness_is_judged_where_both_sides_measured_it() -> None:
    without = several(robustness=None)
    held_out = "accuracy on held-out corruptions"
    assert verdicts(review.compare(without, several()))[held_out] == (
        "not comparable (measured on one side only)"
    )
    assert held_out not in verdicts(review.compare(without, without))


def test_what_one_side_trained_on_is_held_out_from_neither() -> None:
    """Else a model that begins to mirror its images would be measured on other corruptions."""
    plain = several(robustness=robustness(0.6, horizontal_flip=0.1, translation=0.2))
    mirrored = several(
        robustness=robustness(0.6, horizontal_flip=0.9, translation=0.2),
        augmentation={"flip": "horizontal", "translation": 0.0},
    )
    for before, after in ((plain, mirrored), (mirrored, plain)):
        row = review.compare(before, after).rows[-1]
        assert row.metric is review.HELD_OUT
        assert row.before == row.after == pytest.approx((10 * 0.6 + 0.2) / 11)


def test_metrics_alone_are_shown_unjudged() -> None:
    before = {"test_accuracy": 0.88, "gap": 0.07, "gap_sd": None, "ece": None}
    after = {"test_accuracy": 0.9, "gap": 0.05, "ece": 0.03}
    compared = review.from_metrics(before, after, "why not")
    assert verdicts(compared) == dict.fromkeys(
        ["test accuracy", "gap", "ECE"], "not comparable (why not)"
    )
    assert [row.interval for row in compared.rows] == [None] * 3
    assert set(verdicts(review.from_metrics({}, after, "why not")).values()) == {
        "not comparable (new)"
    }
    assert set(verdicts(review.from_metrics(after, {}, "why not")).values()) == {
        "not comparable (removed)"
    }


def test_the_page_says_what_counts() -> None:
    models = {
        "baseline": review.compare(several(), several(accuracy=0.7, gap=0.08)),
        "new_one": review.compare({}, several(2)),
        "lost": review.from_metrics({"gap": 0.0123}, {"gap": 0.00004}, "no results"),
    }
    page = review.page("Review against `main` (abc1234)", models, ["A note."], "", "The curves.")
    assert page.startswith(
        "## Review against `main` (abc1234)\n\n0 improved, 2 worse, 3 within noise"
    )
    assert "3 within noise, 6 not comparable.\n\nA note.\n\n### baseline\n\n| metric |" in page
    assert "Seeds: 0, 1, 2 (paired). Test images: 100." in page
    assert "Seeds: 0, 1. Test images: 100." in page
    assert "| gap ↓ | 0.0123 | 0.0000 | −0.0123 | – | not comparable (no results) |" in page
    assert "| test loss ↓ | 0.4080 | 0.4080 | +0.0000 | +0.0000 to +0.0000 | within noise |" in page
    assert page.endswith("### Params\n\nNone differ.\n\n### Learning curves\n\nThe curves.")


def test_the_curves_are_linked_by_commit_where_the_forge_is_known() -> None:
    commits = ("1" * 40, "2" * 40)
    figures = {"a/b.svg": "Learning curves", "a/c.svg": "Gap per epoch"}
    linked = review.curves(figures, "main", commits, "https://example.org/raw/")
    for commit in commits:
        for path, shows in figures.items():
            assert f"![{shows}](https://example.org/raw/{commit}/{path})" in linked
    told = review.curves(figures, "main", commits, None)
    assert told.splitlines() == [
        "- Learning curves: [now](a/b.svg); before: `git show main:a/b.svg`.",
        "- Gap per epoch: [now](a/c.svg); before: `git show main:a/c.svg`.",
    ]


# The front door, on a pipeline with the same files that trains nothing

MEASURE = """
import sys
from pathlib import Path

import numpy as np
import ruamel.yaml

sys.path.append(SCRIPTS)
from overfitting.files import write_record

model, seed = sys.argv[1], int(sys.argv[2])
accuracy = ruamel.yaml.YAML(typ="safe").load(Path("params.yaml"))["models"][model]["accuracy"]
random = np.random.default_rng([seed, round(1000 * accuracy)])
labels = np.arange(500) % 10
right = random.random(500) < accuracy
folder = Path("results", model, str(seed))
folder.mkdir(parents=True, exist_ok=True)
np.savez(
    folder / "predictions.npz",
    probabilities=np.eye(10, dtype=np.float32)[(labels + ~right) % 10],
    labels=labels,
)
measured = {
    "augmentation": {"flip": None, "translation": 0.0},
    "train": {"accuracy": 0.95 + 0.01 * random.random()},
    "test": {"accuracy": right.mean(), "cross_entropy": 1 - right.mean()},
    "calibration": {"ece": 0.05 + 0.01 * random.random()},
    "robustness": None,
}
write_record(folder / "evaluation.json", measured)
"""
REPORT = """
import json
from pathlib import Path

import ruamel.yaml

params = ruamel.yaml.YAML(typ="safe").load(Path("params.yaml"))
Path("reports/figures").mkdir(parents=True, exist_ok=True)
accuracies = {model: params["models"][model]["accuracy"] for model in params["compare"]}
metrics = {model: {"test_accuracy": accuracy} for model, accuracy in accuracies.items()}
Path("reports/metrics.json").write_text(json.dumps(metrics))
"""
STAGES = """
stages:
  evaluate:
    matrix:
      model: ${compare}
      seed: ${seeds}
    cmd: python measure.py ${item.model} ${item.seed}
    params:
      - models.${item.model}
    outs:
      - results/${item.model}/${item.seed}/evaluation.json
      - results/${item.model}/${item.seed}/predictions.npz
  report:
    cmd: python report.py
    deps:
      - results
    params:
      - compare
      - models
    metrics:
      - reports/metrics.json:
          cache: false
"""
BEFORE = """
compare: [kept, changed, lost]
seeds: [0, 1]
models:
  kept: {accuracy: 0.85}
  changed: {accuracy: 0.95}
  lost: {accuracy: 0.9}
  added: {accuracy: 0.9}
"""
AFTER = BEFORE.replace("lost]", "added]").replace("0.95", "0.6")


def review_of(project: Project, *arguments: str, check: bool = True, **environment: str) -> str:
    script = ROOT / "workflow" / "scripts" / "review.py"
    return project.run("python", str(script), *arguments, check=check, **environment).stdout


@pytest.fixture(scope="module")
def branched(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project on the branch `other`, where one model changed, one went and one came."""
    folder = tmp_path_factory.mktemp("review") / "an é 'project"
    folder.mkdir()
    project = Project(folder)
    project.git("init", "--quiet", "--initial-branch=main")
    project.run("dvc", "init", "--quiet")
    project.run("dvc", "config", "core.analytics", "false")
    for name, text in {
        "measure.py": MEASURE.replace("SCRIPTS", repr(str(ROOT / "workflow" / "scripts"))),
        "report.py": REPORT,
        "dvc.yaml": STAGES,
        ".gitignore": "/results/\n",
    }.items():
        (folder / name).write_text(text)
    for params in (BEFORE, AFTER):
        (folder / "params.yaml").write_text(params)
        project.repro("--quiet")
        project.commit()
        project.git("checkout", "--quiet", "-B", "other")
    project.git("branch", "--force", "main", "other~1")
    return project


def everything_in(folder: Path) -> dict[Path, tuple[int, int]]:
    """Each file but DVC's own notes, with its size and time."""
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and ".dvc/tmp" not in path.as_posix()
    }


def test_a_review_writes_nothing_into_the_checkout(branched: Project, tmp_path: Path) -> None:
    before = everything_in(branched.folder)
    page = review_of(branched, "main", TMPDIR=str(tmp_path))
    assert everything_in(branched.folder) == before
    assert list(tmp_path.iterdir()) == []
    kept, changed, added, lost = page.split("### ")[1:5]
    assert kept.count("| +0.0000 | +0.0000 to +0.0000 | within noise |") == 4
    assert "| test accuracy ↑ | 0.9" in changed
    assert changed.splitlines()[4].endswith("| worse |")
    assert added.count("not comparable (new)") == lost.count("not comparable (removed)") == 4
    assert "| params.yaml | models.changed.accuracy | 0.95" in page
    for figure in ("curves", "gap"):
        assert f"`git show main:reports/figures/{figure}.svg`" in page
    assert "Traceback" not in page


def test_without_results_the_metrics_stand_beside_each_other(
    branched: Project, tmp_path: Path
) -> None:
    clone = Project(tmp_path / "clone")
    branched.git("clone", "--quiet", str(branched.folder), str(clone.folder))
    clone.git("checkout", "--quiet", "--detach")  # as on a forge
    page = review_of(clone, "origin/main", "--figures", "https://example.org/raw")
    assert "| test accuracy ↑ | 0.9500 | 0.6000 | −0.3500 | – | not comparable (" in page
    assert (
        "Not all is judged: the results of origin/main are not in DVC's cache. There, `dvc" in page
    )
    assert "not comparable (new)" in page
    assert "not comparable (removed)" in page
    head = clone.git("rev-parse", "HEAD").strip()
    assert f"https://example.org/raw/{head}/reports/figures/curves.svg" in page


def test_results_come_from_the_remote(branched: Project, tmp_path: Path) -> None:
    origin = branched.copy(tmp_path / "origin é")
    origin.run("dvc", "remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    origin.run("dvc", "push", "--quiet", "--all-branches")
    clone = Project(tmp_path / "clone é")
    origin.git("clone", "--quiet", str(origin.folder), str(clone.folder))
    clone.run("dvc", "remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    clone.git("checkout", "--quiet", "--detach")
    clone.run("dvc", "pull", "--quiet", "evaluate")
    before = everything_in(clone.folder)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    base = branched.git("rev-parse", "main").strip()
    assert review_of(clone, base, TMPDIR=str(temporary)) == review_of(branched, base)
    assert everything_in(clone.folder) == before
    assert list(temporary.iterdir()) == []


def test_what_cannot_be_reviewed_is_said_in_a_line(branched: Project, tmp_path: Path) -> None:
    said = review_of(branched, "no-such-branch", check=False)
    assert said.startswith("error: no-such-branch is no commit here")
    assert said.count("\n") == 1

    stale = branched.copy(tmp_path / "stale")
    params = stale.folder / "params.yaml"
    params.write_text(params.read_text().replace("0.85", "0.86"))
    said = review_of(stale, "main", check=False)
    assert said.startswith("error: the results are stale: run `snakemake --cores 4` first")
    assert said.count("\n") == 1


def test_a_commit_that_recorded_no_predictions_is_not_judged() -> None:
    outs = {"results/a/0/evaluation.json": "d41d8cd98f00b204e9800998ecf8427e"}
    side = Side("main", ["a"], [0], outs, {}, [lambda path, md5: ROOT / "README.md"])
    with pytest.raises(MissingResultError) as raised:
        side.results("a")
    assert raised.value.why == "main recorded no predictions.npz"
    assert side.results("b") == {}


def test_a_review_of_the_real_pipeline(project: Project) -> None:
    project.git("checkout", "--quiet", "-b", "other")
    project.edit(lambda params: params["models"]["regularized"]["dropout"].update(dense=0.1))
    project.snakemake()
    project.commit()
    page = project.run("python", "workflow/scripts/review.py", "main").stdout
    baseline, regularized = page.split("### ")[1:3]
    assert baseline.count("| within noise |") >= 4  # and a fifth where robustness is measured
    assert "not comparable" not in baseline
    assert regularized.count("not comparable (one seed does not tell noise from change") >= 1
    assert "models.regularized.dropout.dense" in page
    assert "Traceback" not in page


# Continuous integration


def test_the_workflow_may_do_little_and_trusts_nobody() -> None:
    workflow = ruamel.yaml.YAML(typ="safe").load(ROOT / ".github" / "workflows" / "review.yml")
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert list(workflow["on"]) == ["pull_request"]  # not pull_request_target
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        for step in job["steps"]:
            assert step.get("uses", "actions/").startswith("actions/")
            assert "${{" not in step.get("run", ""), "untrusted text in a shell: use env"
