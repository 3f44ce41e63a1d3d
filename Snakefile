# Lets Snakemake run the stages of dvc.yaml in parallel. The graph is written once, there;
# here each rule takes its inputs and outputs from it. Every job is `dvc repro` of one stage, as
# fast with a thousand runs as with six: DVC decides from contents whether it must run, runs it,
# and records it in dvc.lock.
#
# `snakemake --cores 4` brings the report up to date, `snakemake --profile profiles/slurm` does so
# with trainings and evaluations as jobs of a cluster. `--forceall` retrains nothing, as DVC
# skips what is unchanged; `dvc repro --force --single-item STAGE` does.

import csv
import gc
import os
import shlex
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir, "workflow", "scripts")))

from overfitting import pipeline
from overfitting.console import SNAKEMAKE_PID
from overfitting.errors import UserError
from overfitting.plan import Plan, verdict

os.environ[SNAKEMAKE_PID] = str(os.getpid())
if workflow.is_main_process:
    try:
        pipeline.wait_for_others()
        graph = pipeline.open_checked()
        plan = graph.plan()
        graph.write_verdicts(plan.stale)
        plan.write()
    except (UserError, OSError) as error:
        sys.exit(f"error: {error}")
else:  # a job on a cluster
    plan = Plan.read()

# What is loaded by now stays. Python would look through all of it for what nobody uses any more, and
# again when it ends: a fifth of the time in which Snakemake finds that there is nothing to do.
gc.freeze()

# Snakemake puts it into the command lines of such jobs without quotes; a path may have spaces.
sys.executable = shlex.quote(sys.executable)


def inputs(rule):
    """Inputs of a rule for Snakemake, which reruns a job whose inputs are newer.

    Times of files mean nothing here (`git checkout` changes them), only DVC's verdict does: so
    the files of a clean stage are `ancient`, and the verdict of a stale one is new.
    """

    def of_job(wildcards):
        address = plan.address(rule, wildcards)
        stale = address in plan.stale
        return [
            str(verdict(address)),
            *(path if stale else ancient(path) for path in plan.inputs[address]),
        ]

    return of_job


def measured(stage):
    """Where Snakemake keeps time and memory of a stage, for its report.

    There from the start, empty: a rule that is the target of a run lacks it after `dvc repro`.
    """
    path = Path("logs", "benchmarks", f"{stage}.tsv")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return str(path)


CATEGORIES = {
    "Report": ["report", "metrics"],
    "Gap": ["gap", "split"],
    "Curves": ["curves"],
    "Claims": ["claims"],
    "Shift": ["shift", "corruptions", "corruption_errors", "corrupted"],
    "Calibration": ["reliability"],
    "Errors": ["confusion", "classes", "disagreements"],
    "Data": ["augmentation", "samples"],
}


def shown(outs):
    """Give outs a place and a caption in `snakemake --report`."""
    place = {name: category for category, names in CATEGORIES.items() for name in names}
    for out in map(Path, outs):
        category = place[out.stem]
        yield report(
            update(str(out)),
            category=category,
            caption=f"workflow/captions/{category.lower()}.rst",
            labels={"shows": out.stem.replace("_", " "), "as": out.suffix[1:]},
        )


# What `snakemake --report` says beside the results: what differs from run to run.
report: "workflow/captions/workflow.rst"


config["commit"] = subprocess.run(
    ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
).stdout.strip()
config["benchmarks"] = [
    {"stage": path.relative_to("logs/benchmarks").with_suffix(""), **row}
    for path in sorted(Path("logs", "benchmarks").rglob("*.tsv"))
    for row in csv.DictReader(path.open(), delimiter="\t")
]


onsuccess:
    graph.settle()


onerror:
    graph.settle()


# On a cluster, the machine on which Snakemake was started does these: they take seconds.
localrules:
    download,
    subset,
    corruptions,
    report,


wildcard_constraints:
    model=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    seed=r"[0-9]+",


rule report:
    default_target: True
    input:
        inputs("report"),
    output:
        list(shown(plan.outputs["report"])),
    log:
        "logs/report.log",
    benchmark:
        measured("report")
    conda:
        "workflow/environment.yaml"
    message:
        "Report: tables, figures and a page from the results of all runs"
    shell:
        "python workflow/scripts/reproduce.py report"


rule download:
    input:
        inputs("download"),
    output:
        update(plan.outputs["download"]),
    log:
        "logs/download.log",
    benchmark:
        measured("download")
    conda:
        "workflow/environment.yaml"
    message:
        "Download the four raw files of Fashion-MNIST"
    shell:
        "python workflow/scripts/reproduce.py download"


rule subset:
    input:
        inputs("subset"),
    output:
        update(plan.outputs["subset"]),
    log:
        "logs/subset.log",
    benchmark:
        measured("subset")
    conda:
        "workflow/environment.yaml"
    message:
        "Take the first images of each set"
    shell:
        "python workflow/scripts/reproduce.py subset"


rule corruptions:
    input:
        inputs("corruptions"),
    output:
        update(plan.outputs["corruptions"]),
    log:
        "logs/corruptions.log",
    benchmark:
        measured("corruptions")
    conda:
        "workflow/environment.yaml"
    message:
        "Corrupt the first test images in twelve ways"
    shell:
        "python workflow/scripts/reproduce.py corruptions"


rule train:
    input:
        inputs("train"),
    output:
        update(plan.outputs["train"]),
    log:
        "logs/train/{model}-{seed}.log",
    benchmark:
        "logs/benchmarks/train/{model}-{seed}.tsv"
    conda:
        "workflow/environment.yaml"
    threads: 1
    params:
        stage="train@{model}-{seed}",
    message:
        "Train {wildcards.model} with seed {wildcards.seed}"
    shell:
        "python workflow/scripts/reproduce.py {params.stage}"


rule evaluate:
    input:
        inputs("evaluate"),
    output:
        update(plan.outputs["evaluate"]),
    log:
        "logs/evaluate/{model}-{seed}.log",
    benchmark:
        "logs/benchmarks/evaluate/{model}-{seed}.tsv"
    conda:
        "workflow/environment.yaml"
    threads: 1
    params:
        stage="evaluate@{model}-{seed}",
    message:
        "Evaluate {wildcards.model} with seed {wildcards.seed}"
    shell:
        "python workflow/scripts/reproduce.py {params.stage}"
