"""From `results.csv` to `results.md` and the plot of growth."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats
import seaborn
from matplotlib.figure import Figure

import many_stages
import training_alone
from overfitting.common.files import write_text
from overfitting.report.figures import style

MODELS = ["baseline", "regularized"]
TITLES = {
    "whole": "Whole job, one seed",
    "training": "Training alone",
    "seeds": "Growth with the seeds",
    "images": "Growth with the images",
    "full": "All images",
    "stages": "Growth of the plan",
    "idle": "Nothing to do",
    "edited": "One param edited",
}


class Results:
    """The measured figures, by section, case and name."""

    def __init__(self, path: Path):
        rows = pd.read_csv(path, dtype={"value": str, "case": str})
        about = rows["case"] == "machine"
        self.machine = rows[about]
        self.rows = rows[~about].assign(value=rows[~about]["value"].astype(float))
        finished = self.rows["section"].map(self.rounds)  # the rest of an interrupted round
        self.rows = self.rows[self.rows["round"] < finished]  # has nothing to be compared with

    def has(self, section: str) -> bool:
        return bool((self.rows["section"] == section).any())

    def values(self, section: str, case: str, figure: str) -> np.ndarray:
        """Return a value per round; the mean where a round measured twice."""
        rows = self.of(section, figure)
        return rows[rows["case"] == case].groupby("round")["value"].mean().to_numpy()

    def of(self, section: str, figure: str) -> pd.DataFrame:
        """Return the rows of one figure, for all cases and rounds."""
        rows = self.rows
        return rows[(rows["section"] == section) & (rows["figure"] == figure)]

    def rounds(self, section: str) -> int:
        """Return how many rounds were measured to their end: by every case."""
        rows = self.rows[self.rows["section"] == section]
        return int(rows.groupby("case")["round"].nunique().min())

    def cases(self, section: str) -> list[str]:
        return list(self.rows.loc[self.rows["section"] == section, "case"].unique())


def write(results: Path, folder: Path) -> None:
    """Make `results.md` and `growth.svg` in `folder` from the figures in `results`."""
    found = Results(results)
    parts = [INTRODUCTION, targets(found)]
    for section, describe in DESCRIBED.items():
        if found.has(section):
            parts += [f"## {TITLES[section]}", describe(found)]
    if found.has("seeds") and found.has("images"):
        style.save(growth(found), folder / "growth.svg")
        parts += ["## Growth, drawn", "![Time and memory against seeds and images](growth.svg)"]
    if found.has("stages"):
        style.save(growth_of_the_plan(found), folder / "plan.svg")
        parts += ["![Time and memory of the engines against the number of runs](plan.svg)"]
    parts += ["## Measured on", machine_table(found)]
    write_text(folder / "results.md", "\n\n".join(parts) + "\n")


INTRODUCTION = """# How fast, and how close to what the machine can do

Made by `make bench` from `results.csv`; every number here is measured. Cases are measured round
by round in changing order, and compared within a round, as the speed of a shared machine drifts.
Shown is the median over the rounds, and the smallest and largest value. Finished experiments
are in [history.md](history.md)."""


def targets(found: Results) -> str:
    """Return the table of targets; each verdict is computed."""
    rows = []
    for what, values, limit, at_least in target_rows(found):
        if len(values):
            middle = float(np.median(values))
            met = middle >= limit if at_least else middle <= limit
            sign = "≥" if at_least else "≤"
            rows.append([what, spread(values), f"{sign} {limit:g}", "met" if met else "**missed**"])
    header = ["what", "measured", "target", ""]
    return "## Targets\n\n" + table(header, rows)


def target_rows(found: Results) -> list[tuple[str, np.ndarray, float, bool]]:
    """Return what is aimed at: its name, values per round, limit, and whether that is a least."""
    of = found.values
    whole = of("whole", "pipeline", "wall") / of("whole", "lesson", "wall")
    rows = [("whole job, 1 seed, against the lesson's script (wall time)", whole, 0.45, False)]
    for model in MODELS:
        ours, theirs = (of("training", f"{way}, {model}", "cpu") for way in ("pipeline", "PyTorch"))
        name = f"CPU-seconds an epoch against PyTorch, {model}"
        rows.append((name, ours / theirs if len(theirs) else theirs, 1.0, False))
    with_robustness = of("whole", "pipeline, tests of robustness", "wall")
    verifying = of("idle", "make verify", "wall")
    return [
        *rows,
        ("fraction of one core's sgemm speed, baseline", sgemm_share(found), 0.60, True),
        (
            "8 seeds against 1 seed, whole job, per seed (wall time)",
            of("seeds", "8", "wall") / 8 / of("seeds", "1", "wall"),
            1.0,
            False,
        ),
        (
            "nothing to do, `snakemake --cores 4` against `dvc status`",
            of("idle", "snakemake --cores 4", "wall") / of("idle", "dvc status", "wall"),
            2.0,
            False,
        ),
        ("a param edited, overhead beyond the retraining", overhead(found), 0.15, False),
        (
            "tests of robustness, 1,000 images: cost beyond the whole job (wall time)",
            with_robustness / of("whole", "pipeline", "wall") - 1
            if len(with_robustness)
            else with_robustness,
            0.20,
            False,
        ),
        (
            "reading every file, `make verify`, against the whole job (wall time)",
            verifying / np.median(with_robustness) if len(with_robustness) else with_robustness,
            0.05,
            False,
        ),
        (
            "the engines' work for each job of 1,000 runs, planning included (CPU-seconds)",
            engine_seconds_a_job(found, "1000"),
            2.0,
            False,
        ),
        ("peak memory of one process at 60,000 images, MiB", peak_of_all(found), 4096, False),
        (
            "peak memory of one process at 15,000 images, MiB",
            of("whole", "pipeline", "peak"),
            900,
            False,
        ),
    ]


def peak_of_all(found: Results) -> np.ndarray:
    """Return the memory of the largest process of any stage with all images, per round."""
    return found.of("full", "peak").groupby("round")["value"].max().to_numpy()


def sgemm_share(found: Results) -> np.ndarray:
    """Return the share of sgemm's speed that an epoch of the baseline reaches, per round."""
    seconds = found.values("training", "pipeline, baseline", "cpu")
    speed = found.values("training", "sgemm", "gflops")
    return training_alone.gflop_per_epoch() / seconds / speed


def overhead(found: Results) -> np.ndarray:
    """Return the time around the trainings of an edited model, as a share of theirs."""
    wall, trainings = (
        found.values("edited", "snakemake --cores 4", figure) for figure in ("wall", "training")
    )
    return wall / trainings - 1


def evenly_divided(found: Results) -> np.ndarray:
    """Return the pipeline's CPU time per core, as a share of the lesson's wall time, per round."""
    about = found.machine[found.machine["section"] == "whole"].set_index("figure")["value"]
    cpu = found.values("whole", "pipeline", "cpu") / int(about["cores"])
    return cpu / found.values("whole", "lesson", "wall")


def whole(found: Results) -> str:
    rows = [
        [
            name,
            *(spread(found.values("whole", case, figure)) for figure in ("wall", "cpu", "peak")),
        ]
        for case, name in {
            "pipeline": "`snakemake --cores 4`: subset, both trainings, both evaluations, report",
            "pipeline, tests of robustness": "the same with the default's tests of robustness",
            "lesson": "the lesson's script: both trainings, one after the other",
        }.items()
    ]
    seeds = len(found.values("whole", "pipeline", "wall"))
    agreement = [
        [model, *agree(*(found.values("whole", way, f"test accuracy, {model}") for way in WAYS))]
        for model in MODELS
    ]
    return f"""From the raw files. The lesson's script uses all cores in each training; the pipeline
gives each training one core, and does them at the same time.

{table(["", "wall time, s", "CPU time, s", "largest process, MiB"], rows)}

What holds the pipeline back is its own CPU time, most of it training. Divided evenly over all
cores it would take {spread(evenly_divided(found))} of the lesson's wall time, which is as far
as any order of the work could come. With one seed there are two trainings: while the longer one
ends, the other core has nothing to do. On a processor with AVX-512 VNNI the lesson's script has
oneDNN's kernels too, as they are Keras's default there; what it needs without them is below.
The tests of robustness are computing as well: each model sees 141 variants of 1,000 test images,
at the speed of the other images. The faster the rest, the larger their share.

Both train the same: given the same batches, the pipeline's weights are those of the lesson's
`fit` to the bit (a test). Whether the results agree is compared over {seeds} round(s), with a
seed per round here and none set there:

{
        table(
            [
                "test accuracy",
                "pipeline",
                "lesson's script",
                "difference of the means",
                "95 % interval",
                "verdict",
            ],
            agreement,
        )
    }

They agree if the interval of the difference (Welch's, at 95 %) includes 0 or the difference is
below 0.5 points."""


WAYS = ("pipeline", "lesson")


def agree(ours: np.ndarray, theirs: np.ndarray) -> list[str]:
    """Return the cells that compare the accuracies of two ways of training, several runs each."""
    difference = float(np.mean(ours) - np.mean(theirs))
    low, high = scipy.stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    if abs(difference) < 0.005 or low <= 0 <= high:
        verdict = "agree"
    else:
        verdict = "**differ**" if len(ours) > 1 else "undecided: one run each"
    return [
        *(f"{np.mean(accuracies):.4f}" for accuracies in (ours, theirs)),
        f"{difference:+.4f}",
        f"{low:+.4f} to {high:+.4f}" if len(ours) > 1 else "–",
        verdict,
    ]


def training(found: Results) -> str:
    ways = {
        "pipeline": "the pipeline",
        "lesson": "the lesson's way, Keras's defaults",
        "lesson, oneDNN off": "the lesson's way without oneDNN, Keras's default on processors "
        "without AVX-512 VNNI",
        "PyTorch": "PyTorch, one thread, channels last, fused Adam",
    }
    rows = []
    for case, name in ways.items():
        cells = [name]
        for model in MODELS:
            seconds = found.values("training", f"{case}, {model}", "cpu")
            ours = found.values("training", f"pipeline, {model}", "cpu")
            if len(seconds):
                cells += [spread(seconds), spread(ours / seconds)]
            else:
                cells += ["not measured", "–"]
        rows.append(cells)
    header = ["", *(f"{model}{text}" for model in MODELS for text in (", s", ", pipeline to it"))]
    gflop = training_alone.gflop_per_epoch()
    speed, best = (found.values("training", "sgemm", name) for name in ("gflops", "best_gflops"))
    share = sgemm_share(found)
    return f"""CPU-seconds of an epoch with its validation, the first epoch left out (tracing).

{table(header, rows)}

An epoch of the baseline is {gflop:.1f} GFLOP. One core multiplied matrices (NumPy, float32,
1024 × 1024) at {spread(speed)} GFLOP/s, at best {spread(best)}: training reaches
{spread(share)} of that speed."""


def seeds(found: Results) -> str:
    rows = []
    for case in found.cases("seeds"):
        wall, cpu, peak = (found.values("seeds", case, name) for name in ("wall", "cpu", "peak"))
        one = found.values("seeds", "1", "wall")
        ratio = wall / int(case) / one
        rows.append(
            [case, spread(wall), spread(wall / int(case)), spread(ratio), spread(cpu), spread(peak)]
        )
    header = [
        "seeds",
        "wall time, s",
        "per seed, s",
        "per seed, to 1 seed",
        "CPU time, s",
        "largest process, MiB",
    ]
    return f"""The whole job with both models and one epoch each, so that the overhead weighs most.

{table(header, rows)}"""


def images(found: Results) -> str:
    rows = []
    for case in found.cases("images"):
        cpu, peak = (found.values("images", case, name) for name in ("cpu", "peak"))
        per_image = cpu / int(case) * 1e6
        rows.append([f"{int(case):,}", spread(cpu), spread(per_image), spread(peak)])
    header = ["images", "CPU-seconds an epoch", "CPU-microseconds an image", "memory, MiB"]
    return "The baseline's training alone.\n\n" + table(header, rows)


def full(found: Results) -> str:
    rows = [
        [
            f"`{case}`",
            *(spread(found.values("full", case, figure)) for figure in ("wall", "cpu", "peak")),
        ]
        for case in found.cases("full")
    ]
    return f"""60,000 training and 10,000 test images, the shipped params otherwise, one seed; each
stage alone, by `dvc repro --single-item`, so with the start of DVC.

{table(["stage", "wall time, s", "CPU time, s", "largest process, MiB"], rows)}"""


def stages(found: Results) -> str:
    rows = []
    for runs in sorted(found.cases("stages"), key=int):
        cells = [f"{int(runs):,}"]
        for command in ("dvc status", "snakemake -n"):
            cells.append(spread(found.values("stages", runs, command)))
            cells.append(spread(found.values("stages", runs, f"{command}, memory")))
        rows.append(
            [
                *cells,
                spread(found.values("stages", runs, "a job")),
                spread(found.values("stages", runs, "the report")),
                spread(engine_seconds_a_job(found, runs)),
            ]
        )
    header = [
        "runs",
        *("`dvc status`, s", "MiB"),
        *("`snakemake -n`, s", "MiB"),
        "a job, s",
        "the report, s",
        "a job of a whole run, s",
    ]
    return f"""A run is a model with a seed: a training and an evaluation, so two stages. They stand
in here, with results of a few bytes, as only the engines are measured: their CPU time, and the
memory of their largest process, or of the benchmark's own, 170 MiB. A job is measured in a plan
in which {many_stages.RUNS} runs are stale, without the planning and the script itself. The report
is one job more, which reads the results of all runs. In a whole run each job has its share of
planning and report.

{table(header, rows)}

`dvc status` is DVC's own, and grows faster than the work: for each stage it parses params.yaml and
walks through all of it, which has more seeds where there are more stages. `snakemake -n` asks DVC
the same, in one process that looks up the same keys once. DVC also parses and writes the whole of
dvc.lock at the end of each stage, as `dvc repro` still does; a job of Snakemake parses and writes
its own entry only. It still reads and writes the others as text, 28 MB at 5,000 runs, and DVC in
it reads params.yaml: so a job, too, grows, if slowly. Reading YAML by libyaml took an eighth of
the time that it takes DVC without it."""


def engine_seconds_a_job(found: Results, runs: str) -> np.ndarray:
    """Return the engines' CPU time for each job of a whole run: planning and report included."""
    once, report = (found.values("stages", runs, part) for part in ("snakemake -n", "the report"))
    return found.values("stages", runs, "a job") + (once + report) / (2 * int(runs) + 1)


def idle(found: Results) -> str:
    status = found.values("idle", "dvc status", "wall")
    rows = []
    for case in found.cases("idle"):
        wall = found.values("idle", case, "wall")
        command, _, of = case.partition(", ")
        rows.append([f"`{command}`{of and ', '}{of}", spread(wall), spread(wall / status)])
    return f"""{table(["", "wall time, s", "to `dvc status`"], rows)}

With a Snakefile of a single rule Snakemake does nothing but start; the rest is DVC's verdict, asked
in the same process. It was 3.2 times `dvc status` before the pipeline was read once instead of four
times, and pydantic and networkx were left unloaded where nothing changed. It was 2.2 times, as DVC
had become faster, before Python was kept from looking through all that is loaded for what nobody
uses any more (`gc.freeze`). `make` starts Snakemake, then pandas to print the gap table."""


def edited(found: Results) -> str:
    parts = {
        "wall": "the whole run",
        "planning": "until the first training starts: Snakemake, and DVC's verdict",
        "training": "from the start of the first training to the end of the last",
        "evaluating": "until the last evaluation has ended",
        "report": "the report, to the end",
    }
    seconds = {part: found.values("edited", "snakemake --cores 4", part) for part in parts}
    rows = [[text, spread(seconds[part])] for part, text in parts.items()]
    rest = overhead(found)
    return f"""The regularized model's dropout is edited, then `snakemake --cores 4`: its trainings,
with three seeds, their evaluations and the report.

{table(["", "s"], rows)}

The rest is {spread(rest)} of the trainings. Most of it is work that the edit makes necessary: each
evaluation starts TensorFlow anew, and the report draws all its figures. As the trainings of all
seeds end together, no evaluation runs beside them."""


DESCRIBED: dict[str, Callable[[Results], str]] = {
    "whole": whole,
    "training": training,
    "seeds": seeds,
    "images": images,
    "full": full,
    "stages": stages,
    "idle": idle,
    "edited": edited,
}


def machine_table(found: Results) -> str:
    facts = list(found.machine["figure"].unique())
    rows = []
    for section in DESCRIBED:
        of_section = found.machine[found.machine["section"] == section]
        if len(of_section):
            by_fact = dict(zip(of_section["figure"], of_section["value"], strict=True))
            by_fact["rounds"] = str(found.rounds(section))  # fewer than asked for if interrupted
            rows.append([section, *(by_fact.get(fact, "") for fact in facts)])
    return table(["section", *facts], rows)


def growth(found: Results) -> Figure:
    """Return the plot: time and memory against the number of seeds, and of images."""
    seaborn.set_theme(style="whitegrid")
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    axes = figure.subplots(2, 2)
    panels = [
        ("seeds", "wall", "seeds", "wall time (s)", "Whole job, 1 epoch"),
        ("images", "cpu", "images", "CPU time of an epoch (s)", "Training of the baseline"),
        ("seeds", "peak", "seeds", "largest process (MiB)", "Whole job, 1 epoch"),
        ("images", "peak", "images", "memory (MiB)", "Training of the baseline"),
    ]
    for axis, (section, measured, x, y, title) in zip(axes.flat, panels, strict=True):
        rows = found.of(section, measured)
        work = rows["case"].astype(int)
        medians = rows.groupby(work)["value"].median()
        axis.plot(medians.index, medians, color="C0", marker="o", label="median")
        axis.scatter(work, rows["value"], color="C0", marker="x", alpha=0.6, label="each round")
        axis.plot(
            medians.index,
            medians.iloc[0] * medians.index / medians.index[0],
            color="0.4",
            linestyle="--",
            label="in proportion to the first",
        )
        axis.set(xlabel=x, ylabel=y, title=title, ylim=(0, 1.15 * rows["value"].max()))
        axis.set_xticks(medians.index, [f"{count:,}" for count in medians.index])
    axes[1, 0].legend(loc="center")  # nothing is drawn there
    return figure


def growth_of_the_plan(found: Results) -> Figure:
    """Return the plot: time and memory of the engines against the number of runs, both as logs."""
    seaborn.set_theme(style="whitegrid")
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    seconds, memory = figure.subplots(1, 2)
    drawn = [
        (seconds, "dvc status", "o", "`dvc status`"),
        (seconds, "snakemake -n", "s", "`snakemake -n`"),
        (seconds, "a job", "^", "a job"),
        (memory, "dvc status, memory", "o", "`dvc status`"),
        (memory, "snakemake -n, memory", "s", "`snakemake -n`"),
    ]
    for axis, measured, marker, label in drawn:
        rows = found.of("stages", measured)
        medians = rows.groupby(rows["case"].astype(int))["value"].median()
        axis.plot(medians.index, medians, marker=marker, label=label.replace("`", ""))
    seconds.set(title="Time", xlabel="runs", ylabel="CPU time (s)", xscale="log", yscale="log")
    memory.set(title="Memory", xlabel="runs", ylabel="largest process (MiB)", xscale="log", ylim=0)
    least, most = medians.index[0], medians.index[-1]
    first = found.of("stages", "snakemake -n")["value"].min()
    seconds.plot(
        [least, most],
        [first, first * most / least],
        color="0.4",
        linestyle="--",
        label="in proportion to the runs",
    )
    seconds.legend()
    return figure


def spread(values: np.ndarray) -> str:
    """Return the median with three digits, and of several rounds the least and largest value."""
    if not len(values):
        return "–"
    middle, least, most = (rounded(f(values)) for f in (np.median, np.min, np.max))
    return f"{middle} ({least}–{most})" if len(values) > 1 else middle


def rounded(value: float) -> str:
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{digits}f}"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; all but the first column are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
