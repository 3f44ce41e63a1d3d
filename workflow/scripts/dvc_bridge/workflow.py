"""What a Snakefile uses of this package: inputs and outputs of a rule for each stage of `dvc.yaml`.

Besides the outs of its stage, each rule has one more output: its stamp, an empty file that stands
for "DVC has checked this stage". Its inputs are the stamps of the stages upstream, so rules are
connected even where stages have no outs. All stamps have the time 0, so no job runs because of file
times. Which jobs must run is DVC's decision alone. It is passed to Snakemake as `--forcerun` would.

DVC is asked when Snakemake builds its graph of jobs, in the first input function. Only then is it
known whether this is a real run, which waits for its turn and repairs what a killed run left, or
read-only (`--dry-run`, `--dag`, `--summary`, `--report`), which waits for nobody and changes
nothing outside `.snakemake`.
"""

import gc
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from snakemake.io import ancient, regex_from_filepattern, report, touch
from snakemake.ioflags import update
from snakemake.settings.types import RerunTrigger

from . import patches, provenance, runs
from .definitions import Definition, read_definitions
from .errors import BridgeError
from .plan import Plan, PlannedStage, file_name, require_project
from .processes import SNAKEMAKE_PID
from .progress import Progress

STAMPS = Path(".snakemake", "dvc", "stamps")
OTHERS = Path(".snakemake", "dvc", "others")
"""Stamps of stages without a rule of their own: apart, so that no two rules make the same file."""


class Bridge:
    """The stages of the `dvc.yaml` in the current folder, for the rules of a Snakefile.

    Methods take the name of a stage in `dvc.yaml`, or an entry of `other_stages`, for a rule with
    the wildcard `{stage}` (`rules.smk`).

    Args:
        workflow: Snakemake's object of that name, which every Snakefile has.
        environment: a file that describes a conda environment, for the stages without a rule.
        all_pipelines: run the stages of all `dvc.yaml` and `.dvc` files, not only those that the
            `dvc.yaml` in the current folder needs.
    """

    def __init__(
        self, workflow: Any, environment: str | None = None, all_pipelines: bool = False
    ) -> None:
        self._workflow = workflow
        self._all_pipelines = all_pipelines
        self.environment = environment and str(Path.cwd() / environment)
        # What is loaded by now stays until the end. Python would search it for garbage, again and
        # again: a fifth of the time in which Snakemake finds that there is nothing to do.
        gc.freeze()
        self._root = Path.cwd()
        self._declared_outs: dict[str, list[str]] = {}  # of each stage with a rule, as patterns
        with _errors_in_one_line():
            require_project(self._root, pipeline=not all_pipelines)
            self._definitions = read_definitions(self._root)
        os.environ[SNAKEMAKE_PID] = str(os.getpid())
        patches.quote_python_in_slurm_steps()

    def targets(self, _wildcards: Any) -> list[str]:
        """Return the inputs of `rule all`: a stamp for each stage that `dvc repro` looks at."""
        return [str(self._stamp(self._plan, address)) for address in self._plan.stages]

    @property
    def other_stages(self) -> list["OtherStages"]:
        """The stages without a rule in the Snakefile, grouped by the rule that runs them.

        Stages with `meta.snakemake` get a rule for each of their definitions, because threads and
        resources belong to a rule. One rule runs all others.
        """
        with_settings = [
            OtherStages.of(definition)
            for group, definition in self._definitions.items()
            if definition.settings and group not in self._declared_outs
        ]
        theirs = "|".join(stages.pattern for stages in with_settings)
        rest = OtherStages("other_stage", f"(?!(?:{theirs})$).+" if theirs else ".+", {})
        return [rest, *with_settings]

    def inputs(self, stage: "str | OtherStages") -> Callable[[Any], list[str]]:
        """Return the input function of a rule: stamps of the stages upstream, and their outs."""

        def of_job(wildcards: Any) -> list[str]:
            _, planned = self._planned(stage, wildcards)
            read = [(above, path) for above, outs in planned.inputs.items() for path in outs]
            return [
                *(str(self._stamp(self._plan, above)) for above in planned.inputs),
                *(ancient(path) for above, path in read if self._is_declared(above, path)),
            ]

        return of_job

    def outputs(self, stage: "str | OtherStages") -> list[str]:
        """Return the outputs of a rule: its stamp, and the outs of the stage.

        An out with a category in its `meta.snakemake` is shown in Snakemake's report.
        """
        if isinstance(stage, OtherStages):
            return [touch(str(OTHERS / "{stage}"))]
        definition = self._definition(stage)
        outs = list(definition.outs())
        self._declared_outs[stage] = [path for path, _ in outs]
        stamp = touch(str(STAMPS / definition.address))
        return [stamp, *(_flagged(path, meta) for path, meta in outs)]

    def params(self, stage: "str | OtherStages") -> dict[str, Callable[[Any], str]]:
        """Return the params of a rule, as functions of its wildcards.

        Returns:
            `stage`: the address of its stage; `message`: the `desc` of its stage.
        """
        return {
            "stage": lambda wildcards: self._planned(stage, wildcards)[0],
            "message": lambda wildcards: self._planned(stage, wildcards)[1].message,
        }

    def threads(self, stage: "str | OtherStages") -> Callable[[Any], int]:
        """Return the threads of a rule: `threads` in the `meta.snakemake` of its stage, or 1."""
        return lambda wildcards: self._planned(stage, wildcards)[1].threads

    def resources(self, stage: "str | OtherStages") -> dict[str, Callable[[Any], int | str]]:
        """Return the resources of a rule: those in the `meta.snakemake` of its stage."""
        written = stage if isinstance(stage, OtherStages) else self._definition(stage)

        def amount(name: str) -> Callable[[Any], int | str]:
            return lambda wildcards: self._planned(stage, wildcards)[1].resources[name]

        resources = written.settings.get("resources")  # checked when the run is planned
        return {name: amount(name) for name in (resources if isinstance(resources, dict) else ())}

    def command(self) -> str:
        """Return the shell command of a rule for `other_stages`."""
        package = shlex.quote(os.path.relpath(Path(__file__).parent))
        return f"python {package} job {{params.stage:q}} 2>&1 | tee {{log:q}}"

    @property
    def local_rules(self) -> list[str]:
        """The rules not to be submitted to a cluster: `local` in their `meta.snakemake`."""
        own = [name for name in self._declared_outs if self._definition(name).settings.get("local")]
        others = [stages.rule for stages in self.other_stages if stages.settings.get("local")]
        return sorted([*own, *others])

    def provenance(self) -> dict[str, Any]:
        """Return what Snakemake's report may say of a run; see `provenance.of_checkout`."""
        return provenance.of_checkout() if self._workflow.is_main_process else {}

    def finish(self) -> None:
        """Do what is left when a run has ended; see `runs.keep_links`."""
        if self._is_run():  # not such as --touch
            with _errors_in_one_line():
                self._progress.record_durations()
                runs.keep_links(self._repo, self._plan)

    @cached_property
    def _plan(self) -> Plan:
        with _errors_in_one_line():
            if not self._workflow.is_main_process:  # a job on a cluster
                return Plan.read()
            if self._is_run():
                self._repo, plan = runs.open_run(self._root, self._all_pipelines)
                # A killed run left these locks: no other run is at work now.
                self._workflow.persistence.cleanup_locks()
                Path(".snakemake", "locks").mkdir(exist_ok=True)  # removed by that, and needed
            else:
                plan = runs.plan_read_only(self._root, self._all_pipelines)
            self._force_stale_stages(plan)
            if self._is_run():
                self._lift_rate_limit()
                self._report_progress(plan)
        gc.freeze()
        return plan

    def _report_progress(self, plan: Plan) -> None:
        settings = self._workflow.resource_settings
        addresses = {str(self._stamp(plan, address)): address for address in plan.stages}
        slots = settings.nodes or settings.cores or 1

        def needed() -> list[str]:
            jobs = self._workflow.dag.needrun_jobs(exclude_finished=False)
            return [str(job.output[0]) for job in jobs if job.output]

        self._progress = Progress(plan, addresses, slots, needed)
        self._progress.start()

    def _is_run(self) -> bool:
        workflow = self._workflow
        return workflow.executor_plugin is not None and not (workflow.dryrun or workflow.touch)

    def _force_stale_stages(self, plan: Plan) -> None:
        """Make Snakemake run the stale stages and no others, whatever its settings say."""
        for folder in (STAMPS, OTHERS):
            folder.mkdir(parents=True, exist_ok=True)
        STAMPS.parents[1].chmod(0o700)  # Snakemake keeps pickles there, and lets a group write
        for address in plan.stages:
            stamp = self._stamp(plan, address)
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.touch()
            os.utime(stamp, (0, 0))
        dag = self._workflow.dag
        dag.forcefiles.update(str(self._stamp(plan, address)) for address in plan.stale())
        dag.ignore_incomplete = True  # files are whole or absent, and DVC compares contents
        self._workflow.dag_settings.rerun_triggers = {RerunTrigger.MTIME}

    def _lift_rate_limit(self) -> None:
        """Let local jobs start without Snakemake's default limit of 100 per second.

        With a limit, Snakemake 9.27 plans again a second after it has planned, and once more each
        second for every job that has ended: after 60 jobs, this takes a third of a processor from
        the jobs that run. On a cluster the limit protects the scheduler, and stays.
        """
        settings = self._workflow.scheduling_settings
        limit = settings.max_jobs_per_timespan
        is_default = limit is not None and (limit.max_jobs, limit.timespan) == (100, 1)
        if is_default and not self._workflow.executor_plugin.common_settings.non_local_exec:
            settings.max_jobs_per_timespan = None

    def _stamp(self, plan: Plan, address: str) -> Path:
        if plan.stages[address].group in self._declared_outs:
            return STAMPS / address
        return OTHERS / file_name(address)

    def _planned(self, stage: "str | OtherStages", wildcards: Any) -> tuple[str, PlannedStage]:
        """Return the address of the stage of a job, and what is planned for it."""
        if isinstance(stage, OtherStages):
            address = self._addresses.get(wildcards.stage, wildcards.stage)
        else:
            address = self._definition(stage).address.format(**dict(wildcards.items()))
        if address not in self._plan.stages:
            sys.exit(f"error: dvc.yaml and its params have no stage {address}")
        return address, self._plan.stages[address]

    @cached_property
    def _addresses(self) -> dict[str, str]:
        return {file_name(address): address for address in self._plan.stages}

    def _is_declared(self, address: str, path: str) -> bool:
        """Tell whether an out of a stage is among the outputs of its rule."""
        group = self._plan.stages[address].group
        for pattern in self._declared_outs.get(group, []):
            found = re.match(regex_from_filepattern(pattern), path)
            if found and self._definition(group).address.format(**found.groupdict()) == address:
                return True
        return False

    def _definition(self, stage: str) -> Definition:
        if stage not in self._definitions:
            sys.exit(f"error: the Snakefile has a rule for {stage}, but dvc.yaml has no such stage")
        return self._definitions[stage]


@dataclass(frozen=True)
class OtherStages:
    """Stages that share a rule with the wildcard `{stage}`."""

    rule: str
    """The name of the rule."""
    pattern: str
    """A regular expression for the wildcard."""
    settings: dict[str, Any]
    """What they have below `meta.snakemake`."""

    @classmethod
    def of(cls, definition: Definition) -> "OtherStages":
        """Return the stages of one definition."""
        group = definition.group
        rule = f"stage_{re.sub(r'[^A-Za-z0-9_]', '_', group)}"
        return cls(rule, re.escape(file_name(group)) + "(?:@.*)?", definition.settings)


def _flagged(path: str, meta: dict[str, Any]) -> str:
    """Flag an out as one that DVC replaces itself, and for Snakemake's report."""
    out = update(path)
    if "category" not in meta:
        return out
    labels = {"shows": Path(path).stem.replace("_", " "), "as": Path(path).suffix[1:]}
    return report(out, category=meta["category"], caption=meta.get("caption"), labels=labels)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except (BridgeError, OSError) as error:
        sys.exit(f"error: {error}")
