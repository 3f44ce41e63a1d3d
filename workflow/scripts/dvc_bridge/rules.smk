# To be included by a Snakefile that defines a `Bridge` named `dvc`: what every pipeline needs.


onsuccess:
    dvc.finish()


onerror:
    dvc.finish()


# Every stage that has no rule of its own: new ones, those of other dvc.yaml files, .dvc files.
rule other_stage:
    input:
        dvc.inputs(),
    output:
        dvc.outputs(),
    log:
        "logs/dvc/{stage}.log",
    wildcard_constraints:
        stage=".+",
    conda:
        dvc.environment
    message:
        "Stage {wildcards.stage}"
    shell:
        dvc.command()
