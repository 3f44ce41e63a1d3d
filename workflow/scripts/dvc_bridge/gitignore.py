"""The `.gitignore` files in which DVC lists outs, in the order in which `dvc repro` writes them.

DVC appends each out to the `.gitignore` beside it when its stage ends. In parallel runs that order
is a matter of chance, and so is the hash of a dep on a folder with such a file.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from dvc.repo import Repo
from dvc.stage import Stage
from scmrepo.git import Git, GitWildMatchPattern

from .files import atomic_write
from .plan import Plan


def write_ahead(repo: Repo, stages: Iterable[Stage]) -> None:
    """Write the lines for all outs of some stages, where the folders exist.

    Args:
        repo: the project; its lock is held.
        stages: those that will run, in the order of `dvc repro`.
    """
    with repo.scm_context(quiet=True):
        for stage in stages:
            for out in stage.outs:
                if out.use_scm_ignore and Path(out.fs_path).parent.is_dir():
                    repo.scm_context.ignore(out.fspath)


def lines_in_new_folders(
    repo: Repo, stages: Iterable[Stage], previous: dict[str, list[str]]
) -> dict[str, list[str]]:
    """Return what DVC will write to each `.gitignore` in a folder that does not exist yet.

    Args:
        repo: the project.
        stages: those that will run, in the order of `dvc repro`.
        previous: what this returned for the run before, which may have been killed.
    """
    lines: dict[str, list[str]] = {}
    for stage in stages:
        for path, line in _lines(repo, stage):
            if path in previous or not Path(path).parent.is_dir():
                lines.setdefault(path, list(previous.get(path, []))).append(line)
    return {
        path: list(dict.fromkeys(planned)) for path, planned in lines.items() if len(planned) > 1
    }


def sort(repo: Repo, plan: Plan, stage: Stage) -> None:
    """Sort the lines that DVC wrote for the outs of a stage among those of other stages.

    Args:
        repo: the project; its lock is held.
        plan: the plan of the run.
        stage: the stage that has ended.
    """
    for path in {path for path, _ in _lines(repo, stage)} & set(plan.ignored):
        if not Path(path).exists():  # Git ignores these outs already
            continue
        found = Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
        wanted = in_order(found, [f"{line}\n" for line in plan.ignored[path]])
        if wanted != found:
            atomic_write(Path(path), "".join(wanted))


def in_order(lines: list[str], order: list[str]) -> list[str]:
    """Sort the lines that have an order among themselves; all others keep their places."""
    places = {line: place for place, line in enumerate(order)}
    ordered = iter(sorted((line for line in lines if line in places), key=places.__getitem__))
    return [next(ordered) if line in places else line for line in lines]


def _lines(repo: Repo, stage: Stage) -> Iterator[tuple[str, str]]:
    """Give the `.gitignore` and the line for each out of a stage that Git is to ignore."""
    for out in stage.outs:
        if out.use_scm_ignore and isinstance(repo.scm, Git):
            entry, path = repo.scm._get_gitignore(out.fspath)
            yield os.path.relpath(path), GitWildMatchPattern.escape(entry)
