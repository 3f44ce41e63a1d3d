"""The toy pipeline, before and after a run."""

from pathlib import Path

import pytest
from support.toy import Toy, make_toy


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """A fresh clone of the toy pipeline."""
    return make_toy(tmp_path / "a 'toy' é")


@pytest.fixture(scope="session")
def done_once(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A toy pipeline that was run and committed; do not change it."""
    toy = make_toy(tmp_path_factory.mktemp("done") / "toy")
    toy.snakemake()
    toy.commit()
    return toy


@pytest.fixture
def done(done_once: Toy, tmp_path: Path) -> Toy:
    """A copy of a toy pipeline that was run and committed, to change and to break."""
    return done_once.twin(tmp_path / "a 'toy' é")
