"""What Snakemake asks DVC: the stages, their files, and which of them are stale.

`dvc.yaml` is the only graph and DVC the only judge of what must run again: it compares
contents with `dvc.lock`. Snakemake would go by file times, which every `git checkout` and
`dvc checkout` changes. So this module asks DVC once, when the Snakefile is read, and hands
Snakemake a verdict file per stage that is new for a stale stage and old for a clean one.

Only this module and `one_stage` import DVC. They lean on what DVC 3.67 keeps internal (here `Repo`,
`index`, `Stage.status`, and how it hashes files and looks up params) and on how Snakemake 9.27
compares files; `tests/test_structure.py` says so when other versions are installed.
"""

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from dvc.dependency import Dependency, param
from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.progress import Tqdm
from dvc.repo import Repo
from dvc.utils.serialize import load_yaml

from . import before_dvc, one_run
from .errors import UserError
from .files import PARTIAL
from .lockfile import Lock
from .plan import VERDICTS, Plan, verdict

LOCK = Path("dvc.lock")
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Recorded:
    """An out as `dvc.lock` records it."""

    path: str
    md5: str
    size: int | None
    """In bytes."""

    def is_missing(self) -> bool:
        """Tell whether it is not on this machine."""
        return not Path(self.path).exists()

    def is_intact(self) -> bool:
        """Tell whether the file has the contents that are recorded."""
        file = Path(self.path)
        return file.stat().st_size == self.size and _md5(file) == self.md5


class Pipeline:
    """The stages of `dvc.yaml` in the current folder, as Snakemake needs them."""

    def __init__(self) -> None:
        if refused := before_dvc.refusal_of(Path("params.yaml")):
            raise UserError(refused)
        before_dvc.prepare(Path.cwd())
        try:
            self.repo = Repo(_wait_for_lock=True)  # while another DVC holds its lock for a moment
            with self.repo.lock:  # DVC writes dvc.lock in place, holding it
                self._locked = Lock.read(LOCK).names()
                self._stages = {stage.addressing: stage for stage in self.repo.index.stages}
            self._definitions = load_yaml("dvc.yaml")["stages"]
        except DvcException as error:
            words = _in_words(error)
            mended = "; `git checkout dvc.lock` restores it" if "dvc.lock" in words else ""
            raise UserError(f"DVC cannot read the pipeline: {words}{mended}") from None
        self._refuse_unknown_checksums()
        self._outs = {out.fs_path: out for stage in self._stages.values() for out in stage.outs}
        self._made_at = _by_folder(self._outs)

    def _refuse_unknown_checksums(self) -> None:
        """DVC would end in a traceback when it computes one."""
        for stage in self._stages.values():
            for item in (*stage.deps, *stage.outs):
                if item.hash_name not in {"md5", "params"}:
                    raise UserError(
                        f"dvc.lock has no MD5 of {item.def_path}, but a {item.hash_name!r}; "
                        "`git checkout dvc.lock` restores it"
                    )

    def plan(self) -> Plan:
        """Return what Snakemake must know to plan its jobs."""
        return Plan(
            outputs={rule: _outputs(stage) for rule, stage in self._definitions.items()},
            wildcards={
                rule: list(stage.get("matrix", {})) for rule, stage in self._definitions.items()
            },
            inputs={address: self._inputs(address) for address in self._stages},
            stale=self.stale(),
        )

    def _inputs(self, address: str) -> list[str]:
        """Return the files a stage depends on; a folder counts as the outs made inside it."""
        paths = []
        for dep in self._stages[address].deps:
            paths += [out.def_path for out in self._read(dep)] or [dep.def_path]
        return list(dict.fromkeys(path for path in paths if path != "params.yaml"))

    def _read(self, dep: Dependency) -> list[Output]:
        """Return the outs that a dep reads: that file, those in that folder, or the folder around.

        DVC's own `Index.graph` knows this too, but loading what it needs takes longer than this.
        """
        if dep.fs_path in self._made_at:
            return self._made_at[dep.fs_path]
        around = [str(folder) for folder in Path(dep.fs_path).parents if str(folder) in self._outs]
        return [self._outs[folder] for folder in around]

    @cached_property
    def changed(self) -> set[str]:
        """The stages that `dvc status` would name when this was first asked.

        `Repo.status` would read dvc.yaml and dvc.lock anew, which takes longer than the status, and
        params.yaml once for every stage.
        """
        with self.repo.lock, read_once():
            return {
                name for name, stage in self._stages.items() if stage.status(check_updates=True)
            }

    def stale(self) -> set[str]:
        """Return the stages that DVC would look at: the stale ones and all downstream of them.

        This is an upper bound. DVC skips or restores what turns out to be the same. The stage
        `params` does not count: see `open_checked`.
        """
        readers: dict[str, list[str]] = {address: [] for address in self._stages}
        for address, stage in self._stages.items():
            for out in chain.from_iterable(map(self._read, stage.deps)):
                readers[out.stage.addressing].append(address)
        stale: set[str] = set()
        waiting = list(self.changed - {"params"})
        while waiting:
            address = waiting.pop()
            if address not in stale:
                stale.add(address)
                waiting += readers[address]
        return stale

    def contradicting_lock(self) -> list[str]:
        """Return the stages whose code, params or files differ from `dvc.lock`.

        Data that are not on this machine do not count: a fresh clone has none.
        """
        with self.repo.lock:
            return [
                stage.addressing
                for stage in self._stages.values()
                if stage.changed(
                    allow_missing=True,
                    upstream=[out.stage for dep in stage.deps for out in self._read(dep)],
                )
            ]

    def other_sizes(self) -> Iterator[tuple[str, str]]:
        """Give stages and deps of theirs whose size `dvc.lock` has wrong; DVC never looks at it."""
        for stage in self._stages.values():
            for dep in stage.deps:
                path = Path(dep.fs_path)
                recorded = (dep.meta.size, dep.meta.nfiles)
                if dep.meta.size is not None and path.exists() and recorded != _extent(path):
                    yield stage.addressing, dep.def_path

    def recorded_outs(self) -> Iterator["Recorded"]:
        """Give each out that `dvc.lock` records."""
        for out in self._outs.values():
            if out.hash_info:
                yield Recorded(out.def_path, out.hash_info.value, out.meta.size)

    def damaged_in_cache(self) -> Iterator[tuple[Path, str]]:
        """Read DVC's whole cache; give each file that is not what its name says, and that MD5."""
        files = Path(self.repo.cache.local.path)
        copies = sorted(path for path in files.glob("??/*") if path.is_file())
        for copy in Tqdm(copies, desc="reading DVC's cache", unit="file"):
            md5 = copy.parent.name + copy.name.removesuffix(".dir")
            if not re.fullmatch("[0-9a-f]{32}", md5):
                continue  # being written at this moment
            if _md5(copy) != md5:
                yield copy, md5

    def settle(self) -> None:
        """Leave dvc.lock and DVC's memory as `dvc repro` alone would have left them.

        DVC appends a new stage to dvc.lock when it ends, so parallel runs leave them in any
        order: put them in that of dvc.yaml, behind those that were there. And Snakemake touches
        outputs when a job has ended, after which DVC would no longer know them for its own: a
        later `dvc checkout` of a commit without that run could not remove them.
        """
        with self.repo.lock:
            lock = Lock.read(LOCK)
            lock.in_order(dict.fromkeys((*self._locked, *self._stages)))
            lock.write(LOCK)
            ran = [self._stages[address] for address in self.stale()]
            for out in chain.from_iterable(stage.outs for stage in ran):
                if out.use_cache and out.exists:
                    self.repo.state.save_link(out.fs_path, out.fs)

    def write_verdicts(self, stale: Container[str]) -> None:
        """Leave a file per stage for Snakemake: new if the stage is stale, else very old."""
        self._bring_back_from_the_future()
        VERDICTS.mkdir(parents=True, exist_ok=True)
        VERDICTS.parent.chmod(0o700)  # Snakemake pickles in it, and lets a group write there
        for address in self._stages:
            if address in stale:  # with other contents each time: Snakemake compares them as well
                verdict(address).write_text(f"stale at {time.time_ns()}\n", encoding="ascii")
            else:
                verdict(address).touch()
                os.utime(verdict(address), (0, 0))

    def _bring_back_from_the_future(self) -> None:
        """Give files whose time is to come the present one, as after a clock that was put back.

        Snakemake would take a verdict of now, or what a job makes now, for older than they are.
        """
        items = chain.from_iterable((*stage.deps, *stage.outs) for stage in self._stages.values())
        now = time.time()
        for path in {item.fs_path for item in items}:
            with suppress(FileNotFoundError):
                if Path(path).stat().st_mtime > now:
                    os.utime(path)


@contextmanager
def read_once() -> Iterator[None]:
    """Let DVC hash each file, parse params.yaml and look up the same keys in it once.

    It would do so anew for every stage: but most stages read the same modules, and it walks through
    all of params.yaml, which has more seeds where there are more stages.
    """
    hash_of, parse, look_up = Output._get_hash_meta, param.load_path, param.read_param_file
    known: dict[tuple[Any, ...], Any] = {}

    def once(key: tuple[Any, ...], read: Callable[[], Any]) -> Any:
        if key not in known:
            known[key] = read()
        return known[key]

    def hash_once(out: Output) -> Any:
        return once((out.fs_path, out.hash_name), lambda: hash_of(out))

    def parse_once(path: str, fs: Any, **options: Any) -> Any:
        return once((path,), lambda: parse(path, fs, **options))

    def look_up_once(fs: Any, path: str, keys: list[str] | None = None, **options: Any) -> Any:
        return once((path, "keys", *(keys or ())), lambda: look_up(fs, path, keys, **options))

    Output._get_hash_meta = hash_once
    param.load_path, param.read_param_file = parse_once, look_up_once
    try:
        yield
    finally:
        Output._get_hash_meta = hash_of
        param.load_path, param.read_param_file = parse, look_up


def _outputs(definition: Mapping[str, Any]) -> list[str]:
    """Return the outs of a stage in `dvc.yaml`, as Snakemake writes wildcards."""
    entries = definition.get("outs", []) + definition.get("metrics", [])
    paths = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    return [path.replace("${item.", "{") for path in paths]


def _extent(path: Path) -> tuple[int, int | None]:
    """Return the bytes of a file, and None; of a folder those of all files in it, and how many."""
    if path.is_file():
        return path.stat().st_size, None
    files = [file for file in path.rglob("*") if file.is_file() and PARTIAL not in file.name]
    return sum(file.stat().st_size for file in files), len(files)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _by_folder(outs: Mapping[str, Output]) -> dict[str, list[Output]]:
    """Return the outs by path: each at its own, and at every folder that holds it."""
    made_at: dict[str, list[Output]] = {}
    for path, out in outs.items():
        for holder in (path, *map(str, Path(path).parents)):
            made_at.setdefault(holder, []).append(out)
    return made_at


def open_checked() -> Pipeline:
    """Refuse a wrong `params.yaml`, bring the stage `params` up to date, and read the pipeline.

    The stage that checks `params.yaml` is no rule that Snakemake plans: its output never
    changes, but Snakemake would take everything downstream of it for stale.

    Raises:
        UserError: what is wrong in `params.yaml`.
    """
    try:
        pipeline = Pipeline()
        if "params" not in pipeline.changed:
            return pipeline
    except (UserError, TypeError, RecursionError):  # what DVC raises over a wrong params.yaml
        _refuse_wrong_params()  # says it better
        raise
    _refuse_wrong_params()
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet"]
    if subprocess.run([*command, "--single-item", "params"], stdout=sys.stderr).returncode:
        raise UserError("the stage params failed, see above")
    return Pipeline()


def _refuse_wrong_params() -> None:
    from . import params  # takes as long as DVC's whole verdict: not where nothing changed

    params.read(Path("params.yaml"))


def share_past_runs(command: list[str]) -> int:
    """Do `dvc push`, `pull` or `fetch` with `--run-cache`, and move what past runs made as well.

    DVC itself moves its notes on all past runs, but only the files of the present state: who
    pulled the notes of another state would have to train again for want of its files.

    Returns:
        The exit status.
    """
    from dvc.cli import main, parse_args

    if status := main(command):
        return status
    options = parse_args(command)
    try:
        with Repo(_wait_for_lock=True) as repo, repo.lock:
            notes = list(Path(repo.stage_cache.cache_dir).glob("??/*/*"))
            for left in (note for note in notes if note.suffix == ".tmp"):
                left.unlink()  # by a kill, here or elsewhere; DVC would take it for a note
            runs = [(note.parent.name, note.name) for note in notes if note.exists()]
            files = repo.stage_cache.get_used_objs(runs).get(None, set())
            move = repo.cloud.push if command[0] == "push" else repo.cloud.pull
            moved = move(files, jobs=options.jobs, remote=options.remote)
    except DvcException as error:
        print(f"error: {_in_words(error)}", file=sys.stderr)
        return 1
    print(f"{len(moved.transferred)} files of past runs as well")
    return 1 if moved.failed else 0


def wait_for_others() -> None:
    """Wait, in words, until no other run is at work in this folder; keep others waiting."""

    def when_busy(holder: str) -> None:
        _say(f"another run is at work in this folder ({holder}); waiting for it")

    one_run.begin(Path.cwd(), "snakemake", when_busy)
    _wait_for_dvc()


def _wait_for_dvc() -> None:
    """Wait for processes of DVC that run a stage: a killed Snakemake leaves them at work."""
    said: set[int] = set()
    while workers := _dvc_workers():
        if workers - said:
            _say(
                "DVC is running a stage in this folder (PID "
                f"{', '.join(map(str, sorted(workers)))}), perhaps for a run that was killed; "
                "waiting for it"
            )
            said |= workers
        while any(map(before_dvc.runs_dvc, workers)):  # `dvc exp run` may have more stages to run
            time.sleep(POLL_SECONDS)


def _dvc_workers() -> set[int]:
    """Return the living processes in DVC's own list of who reads and writes which path."""
    pids = before_dvc.workers(Path(".dvc", "tmp", "rwlock"))  # None: at this moment, written
    return set(filter(before_dvc.runs_dvc, pids or ()))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _in_words(error: BaseException) -> str:
    """Put an exception of DVC and what caused it into a line."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        parts.append(" ".join(str(cause).split()))
        cause = cause.__cause__
    return "; ".join(parts)
