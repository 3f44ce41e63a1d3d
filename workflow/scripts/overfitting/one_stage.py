"""DVC, brought to bear on one stage among many: what each job of Snakemake runs.

It is DVC's own `dvc repro --single-item`, but for two things. DVC would read all of dvc.lock when
it starts, and parse and write all of it when it ends: 37 s a job where there are a thousand runs.
Here the other stages' entries stay text, which takes one. And DVC lists who reads and writes what
by the numbers of processes, which mean others on another machine; a lock for each stage does that.
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dvc.dvcfile
import dvc.rwlock
from dvc.cli import main
from dvc.stage.serialize import to_lockfile
from dvc.utils.serialize import dumps_yaml, parse_yaml

from . import one_run
from .lockfile import HEAD, OPENING, Lock


class LockfileOfOne(dvc.dvcfile.Lockfile):
    """dvc.lock, of which only the entry of one stage is parsed and written."""

    stage = ""

    def _load_yaml(self, **_: Any) -> tuple[Any, str]:
        entry = Lock.read(Path(self.path)).entry(self.stage)
        text = HEAD + (OPENING + entry if entry else "")
        return self.validate(parse_yaml(text, self.path), self.relpath), text

    def dump_stages(self, stages: list[Any], **options: Any) -> None:
        """Put the entries of stages in place of those that were there; new ones come last."""
        lock = Lock.read(Path(self.path))
        for stage in stages:
            entry = dumps_yaml({"stages": to_lockfile(stage, **options)})
            lock.put(stage.name, entry.removeprefix(OPENING))
        lock.write(Path(self.path))


def reproduce(stage: str) -> int:
    """Bring a stage up to date as DVC would; wait where another job is at work on it.

    Returns:
        The exit status that DVC would have.
    """

    def when_busy(holder: str) -> None:
        print(f"{holder} is at work; waiting for it", file=sys.stderr, flush=True)

    one_run.begin_stage(Path.cwd(), stage, when_busy)
    LockfileOfOne.stage = stage
    dvc.dvcfile.Lockfile = LockfileOfOne
    # DVC's own goes by numbers of processes, which mean others on another machine.
    dvc.rwlock.rwlock = lambda *_: nullcontext()
    return main(["--wait-for-lock", "repro", "--single-item", stage])
