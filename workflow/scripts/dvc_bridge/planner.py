"""Asking DVC what must run."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from dvc.dependency import Dependency
from dvc.output import Output
from dvc.repo import Repo
from dvc.repo.reproduce import get_active_graph, plan_repro
from dvc.stage import PipelineStage, Stage

from . import gitignore, patches
from .definitions import requested_resources
from .errors import BridgeError
from .lockfile import LockText
from .plan import PIPELINE, Plan, PlannedStage
from .processes import machine
from .repository import dvc_errors_in_one_line, refuse_unknown_hashes


def make_plan(repo: Repo, all_pipelines: bool = False) -> Plan:
    """Ask DVC what `dvc repro` would do.

    The stale stages are an upper bound: those that `dvc status` names, and all downstream of them.
    DVC skips a stage, or restores its outs from the run cache, where its inputs turn out the same.

    Args:
        repo: the project; its lock is held.
        all_pipelines: what `dvc repro --all-pipelines` would do.

    Raises:
        BridgeError: DVC refuses the pipeline.
    """
    patches.without_rwlock()  # whoever is at work on a stage, it can be planned
    with dvc_errors_in_one_line():
        graph = get_active_graph(repo.index.graph)
        targets = [] if all_pipelines else repo.stage.collect(PIPELINE)
        steps: list[Stage] = plan_repro(graph, targets)
        refuse_unknown_hashes(steps)
        with patches.reading_each_file_once():
            changed = {stage for stage in steps if stage.status()}
    stages: dict[str, PlannedStage] = {}
    stale: list[Stage] = []
    for stage in steps:  # upstream first
        inputs: dict[str, list[str]] = {needed.addressing: [] for needed in graph.successors(stage)}
        for out in outs_read(stage.deps, graph.successors(stage)):
            inputs[out.stage.addressing].append(os.path.relpath(out.fs_path))
        is_stale = stage in changed or any(stages[address].stale for address in inputs)
        if is_stale:
            stale.append(stage)
        stages[stage.addressing] = PlannedStage(
            group=_group(stage),
            message=stage.desc or f"Stage {stage.addressing}",
            inputs=inputs,
            stale=is_stale,
            **requested_resources(stage.addressing, stage.meta),
        )
    previous = _previous_plan()
    with dvc_errors_in_one_line():  # such as an out outside the Git repository
        ignored = gitignore.lines_in_new_folders(repo, stale, previous.ignored if previous else {})
    order = lock_order(steps, previous.lock_order if previous else {})
    return Plan(stages, order, ignored, machine())


def _group(stage: Stage) -> str:
    name = stage.name if isinstance(stage, PipelineStage) else ""
    return stage.addressing.removesuffix(name) + name.partition("@")[0]


def _previous_plan() -> Plan | None:
    try:
        return Plan.read()
    except BridgeError:
        return None


def outs_read(deps: Iterable[Dependency], upstream: Iterable[Stage]) -> list[Output]:
    """Return the outs that deps read: a file, those in a folder, or the folder around a file."""
    outs = {out.fs_path: out for stage in upstream for out in stage.outs}
    made_at: dict[str, list[Output]] = {}
    for path, out in outs.items():
        for place in (path, *map(str, Path(path).parents)):
            made_at.setdefault(place, []).append(out)

    def read() -> Iterator[Output]:
        for dep in deps:
            yield from made_at.get(dep.fs_path, [])
            yield from (
                outs[place] for place in map(str, Path(dep.fs_path).parents) if place in outs
            )

    return list(dict.fromkeys(read()))


def lock_order(steps: Iterable[Stage], previous: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the stages of each dvc.lock: those that it has, then new ones in DVC's order.

    Where a run was killed, some of its new stages are there already. Then its order is continued.

    Args:
        steps: the stages, in DVC's order.
        previous: what this returned for the run before.
    """
    order: dict[str, list[str]] = {}
    for stage in steps:
        if isinstance(stage, PipelineStage):
            order.setdefault(stage.dvcfile._lockfile.relpath, []).append(stage.name)
    for path, names in order.items():
        recorded = LockText.read(Path(path)).names()
        planned = previous.get(path, [])
        if set(recorded) < set(planned) and recorded == [n for n in planned if n in recorded]:
            recorded = planned
        order[path] = list(dict.fromkeys((*recorded, *names)))
    return order
