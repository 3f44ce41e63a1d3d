# Lets Snakemake run the stages of dvc.yaml in parallel. The graph is written once, there;
# here each rule takes its inputs and outputs from it. Every job is `dvc repro` of one stage:
# DVC decides from contents whether it must run, runs it, and records it in dvc.lock.
#
# `snakemake --cores 4` brings the report up to date. `--forceall` retrains nothing, as DVC
# skips what is unchanged; `dvc repro --force --single-item STAGE` does.

import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir, "workflow", "scripts")))

from overfitting import pipeline
from overfitting.errors import UserError

try:
    if workflow.is_main_process:
        lock = pipeline.wait_for_others()
        graph = pipeline.open_checked()
        graph.write_verdicts()
    else:
        graph = pipeline.Pipeline()
except UserError as error:
    sys.exit(f"error: {error}")


def inputs(rule):
    """Inputs of a rule for Snakemake, which reruns a job whose inputs are newer.

    Times of files mean nothing here (`git checkout` changes them), only DVC's verdict does: so
    the files of a clean stage are `ancient`, and the verdict of a stale one is new.
    """

    def of_job(wildcards):
        address = graph.address(rule, wildcards)
        verdict = str(pipeline.verdict(address))
        stale = pipeline.is_stale(address)
        return [
            verdict,
            *(path if stale else ancient(path) for path in graph.inputs(address)),
        ]

    return of_job


onsuccess:
    graph.settle()


onerror:
    graph.settle()


wildcard_constraints:
    model=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    seed=r"[0-9]+",


rule report:
    default_target: True
    input:
        inputs("report"),
    output:
        update(graph.outputs("report")),
    log:
        "logs/report.log",
    conda:
        "workflow/environment.yaml"
    message:
        "Report: tables, figures and a page from the results of all runs"
    shell:
        "dvc --wait-for-lock repro --single-item report"


rule download:
    input:
        inputs("download"),
    output:
        update(graph.outputs("download")),
    log:
        "logs/download.log",
    conda:
        "workflow/environment.yaml"
    message:
        "Download the four raw files of Fashion-MNIST"
    shell:
        "dvc --wait-for-lock repro --single-item download"


rule subset:
    input:
        inputs("subset"),
    output:
        update(graph.outputs("subset")),
    log:
        "logs/subset.log",
    conda:
        "workflow/environment.yaml"
    message:
        "Take the first images of each set"
    shell:
        "dvc --wait-for-lock repro --single-item subset"


rule train:
    input:
        inputs("train"),
    output:
        update(graph.outputs("train")),
    log:
        "logs/train/{model}-{seed}.log",
    conda:
        "workflow/environment.yaml"
    threads: 1
    params:
        stage="train@{model}-{seed}",
    message:
        "Train {wildcards.model} with seed {wildcards.seed}"
    shell:
        "dvc --wait-for-lock repro --single-item {params.stage}"


rule evaluate:
    input:
        inputs("evaluate"),
    output:
        update(graph.outputs("evaluate")),
    log:
        "logs/evaluate/{model}-{seed}.log",
    conda:
        "workflow/environment.yaml"
    threads: 1
    params:
        stage="evaluate@{model}-{seed}",
    message:
        "Evaluate {wildcards.model} with seed {wildcards.seed}"
    shell:
        "dvc --wait-for-lock repro --single-item {params.stage}"
