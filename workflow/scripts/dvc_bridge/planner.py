"""Asking DVC what must run."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from dvc.dependency import Dependency
from dvc.output import Output
from dvc.repo import Repo
from dvc.repo.reproduce import get_active_graph, plan_repro
from dvc.stage import PipelineStage, Stage

from . import patches
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
    for stage in steps:  # upstream first
        inputs: dict[str, list[str]] = {needed.addressing: [] for needed in graph.successors(stage)}
        for out in outs_read(stage.deps, graph.successors(stage)):
            inputs[out.stage.addressing].append(os.path.relpath(out.fs_path))
        stale = stage in changed or any(stages[address].stale for address in inputs)
        stages[stage.addressing] = PlannedStage(inputs, stale)
    return Plan(stages, lock_order(steps), machine())


def ignore_outs(repo: Repo, plan: Plan) -> None:
    """Let Git ignore the outs of the stale stages, in the order of `dvc repro`.

    DVC appends each out to the `.gitignore` beside it when its stage ends. In parallel runs that
    order is a matter of chance, and so is the hash of a dep on a folder with such a file.

    Args:
        repo: the project; its lock is held.
        plan: what `make_plan` returned for it.
    """
    stages = {stage.addressing: stage for stage in repo.index.stages}
    with repo.scm_context(quiet=True):
        for address in plan.stale():
            for out in stages[address].outs:
                if out.use_scm_ignore and Path(out.fs_path).parent.is_dir():
                    repo.scm_context.ignore(out.fspath)


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


def lock_order(steps: Iterable[Stage]) -> dict[str, list[str]]:
    """Return the stages of each dvc.lock: those that it has, then new ones in DVC's order.

    Where a run was killed, some of its new stages are there already. Then its order is continued.
    """
    order: dict[str, list[str]] = {}
    for stage in steps:
        if isinstance(stage, PipelineStage):
            order.setdefault(stage.dvcfile._lockfile.relpath, []).append(stage.name)
    try:
        previous = Plan.read().lock_order
    except BridgeError:
        previous = {}
    for path, names in order.items():
        recorded = LockText.read(Path(path)).names()
        planned = previous.get(path, [])
        if set(recorded) < set(planned) and recorded == [n for n in planned if n in recorded]:
            recorded = planned
        order[path] = list(dict.fromkeys((*recorded, *names)))
    return order
