# To be included by a Snakefile that defines a `Bridge` named `dvc`: what every pipeline needs.


onsuccess:
    dvc.finish()


onerror:
    dvc.finish()


# The stages that have no rule of their own: new ones, those of other dvc.yaml files, .dvc files.
for stages in dvc.other_stages:

    rule:
        name:
            stages.rule
        input:
            dvc.inputs(stages),
        output:
            dvc.outputs(stages),
        log:
            ".snakemake/dvc/logs/{stage}.log",
        wildcard_constraints:
            stage=stages.pattern,
        conda:
            dvc.environment
        threads: dvc.threads(stages)
        resources:
            **dvc.resources(stages),
        params:
            **dvc.params(stages),
        message:
            "{params.message}"
        shell:
            dvc.command()


workflow.localrules(*dvc.local_rules)
