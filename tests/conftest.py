"""Projects to run for real: copies of this one with small data in the real IDX format."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from support.project import Project, make_project, make_stub_project


def run_once(
    factory: pytest.TempPathFactory, make: Callable[[Path], Project], name: str
) -> Project:
    """Give the project that all workers share: `snakemake --cores 4` has run, and a commit."""
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
    """A project that `snakemake --cores 4` has run and somebody has committed; do not change it."""
    return run_once(tmp_path_factory, make_project, "finished")


@pytest.fixture(scope="session")
def finished_stub_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same with stub stages; do not change it."""
    return run_once(tmp_path_factory, make_stub_project, "stubs")


@pytest.fixture
def fresh_project(tmp_path: Path) -> Project:
    """A project in which nothing has been run."""
    return make_project(tmp_path / "a fresh clone")


@pytest.fixture
def stub_project(finished_stub_project: Project, tmp_path: Path) -> Project:
    """A copy of the project with stub stages, to change and to break.

    In a folder without accents, which DVC's `exp run --temp` does not stand.
    """
    return finished_stub_project.copy(tmp_path / "its own 'copy'")


@pytest.fixture
def project(finished_project: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, to change and to break."""
    return finished_project.copy(tmp_path / """its 'own' "copy" é""")
