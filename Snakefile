# Runs the stages of dvc.yaml in parallel. DVC decides, from contents and dvc.lock, which of them
# must run; each job is `dvc repro` of one stage. workflow/scripts/dvc_bridge/README.md says how.

import sys


workdir: workflow.basedir


sys.path.insert(0, f"{workflow.basedir}/workflow/scripts")

from dvc_bridge.workflow import Bridge
from overfitting.common import params
from overfitting.common.errors import UserError

if workflow.is_main_process:
    try:
        params.read()
    except (UserError, OSError) as error:
        sys.exit(f"error: {error}")

dvc = Bridge(workflow, environment="workflow/environment.yaml")
config.update(dvc.provenance())


report: "workflow/captions/workflow.rst"


rule all:
    input:
        dvc.targets,
    message:
        "All stages have been run"


rule params:
    input:
        dvc.inputs("params"),
    output:
        dvc.outputs("params"),
    log:
        "logs/params.log",
    conda:
        "workflow/environment.yaml"
    params:
        **dvc.params("params"),
    message:
        "{params.message}"
    shell:
        "python workflow/scripts/dvc_bridge job {params.stage:q}"


use rule params as download with:
    input:
        dvc.inputs("download"),
    output:
        dvc.outputs("download"),
    log:
        "logs/download.log",
    params:
        **dvc.params("download"),


use rule params as subset with:
    input:
        dvc.inputs("subset"),
    output:
        dvc.outputs("subset"),
    log:
        "logs/subset.log",
    params:
        **dvc.params("subset"),


use rule params as corruptions with:
    input:
        dvc.inputs("corruptions"),
    output:
        dvc.outputs("corruptions"),
    log:
        "logs/corruptions.log",
    params:
        **dvc.params("corruptions"),


use rule params as train with:
    input:
        dvc.inputs("train"),
    output:
        dvc.outputs("train"),
    log:
        "logs/train/{model}-{seed}.log",
    benchmark:
        "logs/benchmarks/train/{model}-{seed}.tsv"
    threads: dvc.threads("train")
    resources:
        **dvc.resources("train"),
    params:
        **dvc.params("train"),


use rule params as evaluate with:
    input:
        dvc.inputs("evaluate"),
    output:
        dvc.outputs("evaluate"),
    log:
        "logs/evaluate/{model}-{seed}.log",
    benchmark:
        "logs/benchmarks/evaluate/{model}-{seed}.tsv"
    threads: dvc.threads("evaluate")
    resources:
        **dvc.resources("evaluate"),
    params:
        **dvc.params("evaluate"),


use rule params as report with:
    input:
        dvc.inputs("report"),
    output:
        dvc.outputs("report"),
    log:
        "logs/report.log",
    params:
        **dvc.params("report"),


# One rule for all stages of dvc.yaml that have none here, and what to do when a run ends.
include: "workflow/scripts/dvc_bridge/rules.smk"
