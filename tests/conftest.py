"""Fixtures: small copies of this project in which tests run the real commands."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from support.project import Project, make_project, make_stub_project


def run_once(
    factory: pytest.TempPathFactory, make: Callable[[Path], Project], name: str
) -> Project:
    """Return a project that all pytest workers share, with its results committed.

    The first worker creates it, runs `snakemake --cores 4` in it and saves the output as NAME.txt
    beside it.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / f"{name} é 'project"
    with FileLock(shared / f"{name}.lock"):
        project = Project(folder)
        if not (shared / f"{name}.txt").exists():
            (shared / f"{name}.txt").write_text(make(folder).snakemake())
            project.commit()
    return project


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the pipeline has been run and committed; shared, so do not modify it."""
    return run_once(tmp_path_factory, make_project, "finished")


@pytest.fixture(scope="session")
def finished_stub_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same with stub stages; shared, so do not modify it."""
    return run_once(tmp_path_factory, make_stub_project, "stubs")


@pytest.fixture
def fresh_project(tmp_path: Path) -> Project:
    """A project in which nothing has been run yet."""
    return make_project(tmp_path / "a fresh clone")


@pytest.fixture
def stub_project(finished_stub_project: Project, tmp_path: Path) -> Project:
    """A copy of the finished project with stub stages that the test may modify.

    Its path has no accents, because DVC's `exp run --temp` does not support them.
    """
    return finished_stub_project.copy(tmp_path / "its own 'copy'")


@pytest.fixture
def project(finished_project: Project, tmp_path: Path) -> Project:
    """A copy of the finished project that the test may modify."""
    return finished_project.copy(tmp_path / """its 'own' "copy" é""")
