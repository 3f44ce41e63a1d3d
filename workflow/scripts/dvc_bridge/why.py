"""Why each stale stage must run: what changed since dvc.lock recorded it."""

import os
from collections.abc import Iterator
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import Stage

from .patches import reading_each_file_once
from .planner import make_plan
from .repository import dvc_errors_in_one_line

MISSING = "(missing)"
WORDS = {"deleted": "missing", "not in cache": "missing"}
"""What some words of DVC mean here."""


def reasons(repo: Repo) -> Iterator[tuple[str, list[str]]]:
    """Give the address of each stale stage, upstream first, and what changed for it.

    Args:
        repo: the project; its lock is held.

    Raises:
        BridgeError: DVC refuses the pipeline.
    """
    plan = make_plan(repo)
    stages = {stage.addressing: stage for stage in repo.index.stages}
    with dvc_errors_in_one_line(), reading_each_file_once():
        for address in plan.stale():
            upstream = [above for above in plan.stages[address].inputs if plan.stages[above].stale]
            made_again = {out.fs_path for above in upstream for out in stages[above].outs}
            changes = list(_changes(stages[address], made_again))
            if upstream:
                changes.append(f"upstream: {', '.join(upstream)}")
            yield address, changes


def _changes(stage: Stage, made_again: set[str]) -> Iterator[str]:
    """Say what changed for a stage; not that a file is missing which will be made again."""
    if stage.changed_stage():
        yield "command: changed" if stage.cmd_changed else "definition: changed"
    if stage.is_callback or stage.always_changed:
        yield "always changed: it has no deps, or says so"
    for dep in () if stage.frozen else stage.deps:
        if not (status := dep.status()):
            continue
        if isinstance(dep, ParamsDependency) and dep.hash_info:
            recorded = dep.hash_info.value or {}
            for key, before, after in differences(recorded, dep.read_params(), ""):
                yield f"param {key}: {_shown(before)} -> {_shown(after)} ({dep.def_path})"
        elif isinstance(dep, ParamsDependency):
            yield f"params: not recorded yet ({dep.def_path})"
        else:
            change = next(iter(status.values()))
            if not (change == "deleted" and dep.fs_path in made_again):
                yield f"dep {os.path.relpath(dep.fs_path)}: {WORDS.get(change, change)}"
    for out in stage.outs:
        for state in out.status().values():
            yield f"out {os.path.relpath(out.fs_path)}: {WORDS.get(state, state)}"


def differences(before: Any, after: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Give the keys, joined by dots, whose values differ in two nested dictionaries, and both."""
    if isinstance(before, dict) and isinstance(after, dict):
        for part in dict.fromkeys([*before, *after]):
            below = f"{key}.{part}" if key else str(part)
            yield from differences(before.get(part, MISSING), after.get(part, MISSING), below)
    elif before != after:
        yield key, before, after


def _shown(value: Any) -> str:
    return value if value is MISSING else repr(value)
