"""All changes to the behaviour of DVC and Snakemake. No other module replaces code of theirs.

They are applied only in processes that use this package; a `dvc` that a user starts is plain DVC.
Each says why it is there, for which version it was written, and which upstream issue it relates to.
"""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import dvc.dvcfile
import dvc.lock
import dvc.rwlock
from dvc.dependency import param
from dvc.output import Output
from dvc.stage.serialize import to_lockfile
from dvc.utils.serialize import dumps_yaml, parse_yaml

from .lockfile import HEAD, OPENING, LockText


class OneStageLockfile(dvc.dvcfile.Lockfile):
    """A dvc.lock of which only the entry of one stage is parsed and written.

    Why: DVC parses the whole file when it starts, and parses and writes it again when a stage ends:
    37 s for each job where there are 2,000 stages. Here the other entries stay text. DVC also
    writes the file in place, so that a kill cuts it off, and appends new stages as they end. Here
    the file is replaced atomically, and new stages get the order in which `dvc repro` alone would
    have run them. The result is the same file, byte for byte.

    Written for: DVC 3.67.
    Upstream: treeverse/dvc#10629 (slow with many stages: dvc.lock is read and written for each).
    """

    lock_file: ClassVar[str] = ""
    stage: ClassVar[str] = ""
    order: ClassVar[list[str]] = []

    def _is_of_one(self) -> bool:
        return self.relpath == self.lock_file

    def _load_yaml(self, **options: Any) -> tuple[Any, str]:
        if not self._is_of_one():
            return super()._load_yaml(**options)
        entry = LockText.read(Path(self.path)).entry(self.stage)
        text = HEAD + (OPENING + entry if entry else "")
        return self.validate(parse_yaml(text, self.path), self.relpath), text

    def dump_stages(self, stages: list[Any], **options: Any) -> None:
        """Replace the entries of stages, and append new ones."""
        lock = LockText.read(Path(self.path))
        before = str(lock)
        for stage in stages:
            entry = dumps_yaml({"stages": to_lockfile(stage, **options)})
            lock.put(stage.name, entry.removeprefix(OPENING))
        if self._is_of_one():
            lock.sort(self.order)
        lock.write(Path(self.path))
        if str(lock) != before:
            self.repo.scm_context.track_file(self.relpath)


def read_one_stage(lock_file: str, stage: str, order: list[str]) -> None:
    """Let this process read and write one stage of a dvc.lock; see `OneStageLockfile`.

    Args:
        lock_file: the dvc.lock, relative to the current folder.
        stage: the name of the stage in it.
        order: the names of all stages, as `dvc repro` alone would have written them.
    """
    OneStageLockfile.lock_file = lock_file
    OneStageLockfile.stage, OneStageLockfile.order = stage, order
    dvc.dvcfile.Lockfile = OneStageLockfile


def wait_for_the_rwlock_file() -> None:
    """Let this process wait for the lock of DVC's list of who reads and writes which path.

    Why: DVC gives up after three seconds, even when it removes its entry after a stage has run.
    With many jobs at once on a slow disk, all that the stage did would be lost.

    Written for: DVC 3.67.
    Upstream: treeverse/dvc#10465 (`repro` in parallel: "Unable to acquire lock").
    """
    dvc.rwlock.make_lock = partial(dvc.lock.make_lock, wait=True)


def without_rwlock() -> None:
    """Keep this process out of DVC's list of which process reads and writes which path.

    Why: DVC identifies processes by their PID, which belongs to another process on another machine.
    There, the lock of the stage (see `locks`) takes its place. And a process that only plans or
    reads need not wait for the stages that others run.

    Written for: DVC 3.67.
    Upstream: treeverse/dvc#2584 (where the list was introduced, with PIDs).
    """
    dvc.rwlock.rwlock = lambda *_: nullcontext()


@contextmanager
def reading_each_file_once() -> Iterator[None]:
    """Let DVC hash each file, parse each params file and look up the same keys in it once.

    Why: it does so again for every stage. Most stages depend on the same code, and the params file
    is the longer, the more stages there are.

    Written for: DVC 3.67.
    Upstream: treeverse/dvc#9949 and #9085 (files are hashed again for each stage).
    """
    hash_file, parse, look_up = Output._get_hash_meta, param.load_path, param.read_param_file
    known: dict[tuple[Any, ...], Any] = {}

    def once(key: tuple[Any, ...], read: Callable[[], Any]) -> Any:
        if key not in known:
            known[key] = read()
        return known[key]

    def hash_once(out: Output) -> Any:
        return once((out.fs_path, out.hash_name), lambda: hash_file(out))

    def parse_once(path: str, fs: Any, **options: Any) -> Any:
        return once((path,), lambda: parse(path, fs, **options))

    def look_up_once(fs: Any, path: str, keys: list[str] | None = None, **options: Any) -> Any:
        return once((path, "keys", *(keys or ())), lambda: look_up(fs, path, keys, **options))

    Output._get_hash_meta = hash_once
    param.load_path, param.read_param_file = parse_once, look_up_once
    try:
        yield
    finally:
        Output._get_hash_meta = hash_file
        param.load_path, param.read_param_file = parse, look_up


def quote_python_in_slurm_steps() -> None:
    """Let the steps of Slurm jobs start a Python whose path has a space in it.

    Why: on a node, Snakemake's plugin gives `srun` a command line with the path of Python as it is,
    which the shell splits at each space.

    Written for: snakemake-executor-plugin-slurm-jobstep 0.6.
    Upstream: snakemake/snakemake-executor-plugin-slurm#29 (the same in the commands for `sbatch`).
    """
    if plugin := sys.modules.get("snakemake_executor_plugin_slurm_jobstep"):
        plugin.Executor.get_python_executable = lambda _: shlex.quote(sys.executable)
