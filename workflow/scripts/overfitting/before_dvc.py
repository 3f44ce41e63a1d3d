"""What DVC does not survive, put right before DVC reads it.

DVC writes dvc.lock in place: a tenth of a second for a dozen stages, in which a kill leaves the
beginning of the file, or nothing. From then on DVC would refuse it, or forget stages. What is
whole is kept; what the lost stages made, `dvc repro` finds in DVC's cache without running them.
It writes its list of who reads and writes which file in place, too, and asks the user to remove
it if that was cut off, or names a process that has ended but for its number. It reads a
params.yaml of any size, whatever memory that takes, and says of some mistakes in it nothing that
helps. It sees no Snakemake that is at work beside it. And with `--run-cache` it shares its notes on
past runs without the files that these made: see share.py.

Nothing of DVC runs before it reads these files. So Python itself calls this when it starts as
`dvc` (`workflow/environment.pth`), and the Snakefile does when it is read. No import here that
would be felt by every command.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LARGEST_PARAMS = 2**20  # bytes, as in params.py
SNAKEMAKE_PID = "OVERFITTING_SNAKEMAKE_PID"  # as in console.py
ELSEWHERE = {"--temp", "--queue", "--run-all"}  # experiments in a copy of the checkout, or later
SHARING = {"push", "pull", "fetch"}  # commands that share.py does in place of DVC
NAME_OF_A_STAGE = re.compile(r"^  \S.*:$", flags=re.MULTILINE)


def prepare(folder: Path) -> None:
    """Mend what a killed DVC has left.

    Args:
        folder: the checkout, or a folder inside it.
    """
    root = root_of(folder)
    mend_lock(root / "dvc.lock", root / ".dvc" / "tmp" / "lock")
    forget_the_dead(root / ".dvc" / "tmp" / "rwlock")


def root_of(folder: Path) -> Path:
    """Return the checkout that a folder is in; the folder itself if it is in none."""
    return next((root for root in (folder, *folder.parents) if (root / ".dvc").is_dir()), folder)


def mend_lock(path: Path, lock_of_dvc: Path) -> None:
    """Keep the whole stages of a cut off dvc.lock; remove the file if there is none."""
    if not is_cut_off(path):  # as good as always: nothing more is imported or locked
        return
    with held(lock_of_dvc) as free:
        if not (free and is_cut_off(path)):
            return
        kept = whole_stages(path.read_text(encoding="utf-8", errors="replace"))
        count = len(NAME_OF_A_STAGE.findall(kept))
        print(
            f"{path.name} was cut off when a run was killed: kept its {count} whole stages; "
            "DVC's cache has what the others made",
            file=sys.stderr,
        )
        partial = path.with_name(".partial-dvc.lock")
        partial.write_text(kept, encoding="utf-8")
        partial.replace(path)
        if not kept:
            path.unlink()


def is_cut_off(path: Path) -> bool:
    """Tell whether a file lacks the line end with which DVC ends it, or what belongs to a key."""
    if not path.is_file():
        return False
    content = path.read_bytes()
    return not content.endswith(b"\n") or content.endswith(b":\n")


def whole_stages(text: str) -> str:
    """Return a cut off dvc.lock up to its last whole stage; empty if there is none."""
    stages = list(NAME_OF_A_STAGE.finditer(text))
    return text[: stages[-1].start()] if len(stages) > 1 else ""


def forget_the_dead(path: Path) -> None:
    """Remove DVC's list of who reads and writes what, if nobody in it is at work any more.

    DVC goes by the numbers of processes. One that was killed keeps its number until its parent
    asks for it, which in many containers nobody does; and a number passes to other programs.
    """
    if not is_of_the_dead(path):
        return
    with held(path.with_name("rwlock.lock")) as free:
        if free and is_of_the_dead(path):
            path.unlink()


def is_of_the_dead(path: Path) -> bool:
    """Tell whether such a list was cut off, or names processes that have all ended."""
    pids = workers(path)
    return pids is None or (bool(pids) and not any(map(runs_dvc, pids)))


def workers(path: Path) -> set[int] | None:
    """Return the processes in DVC's list of who reads and writes what; None if it was cut off."""
    if not path.is_file():
        return set()
    try:
        held = json.loads(path.read_bytes())
        readers = [entry for entries in held.get("read", {}).values() for entry in entries]
        return {entry["pid"] for entry in (*readers, *held.get("write", {}).values())}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def runs_dvc(pid: int) -> bool:
    """Tell whether another process with this number is alive, and is a DVC."""
    import psutil

    try:
        return pid != os.getpid() and any("dvc" in part for part in psutil.Process(pid).cmdline())
    except (psutil.Error, ValueError):  # a process that is only a number has no command line
        return False


@contextmanager
def held(lock_of_dvc: Path) -> Iterator[bool]:
    """Hold a lock as DVC does; False if a living DVC holds it: then it is writing."""
    import zc.lockfile

    try:
        lock = zc.lockfile.SimpleLockFile(str(lock_of_dvc))
    except (zc.lockfile.LockError, FileNotFoundError):
        yield False
        return
    try:
        yield True
    finally:
        lock.close()


def refusal_of(params: Path) -> str:
    """Say why DVC should not read a params.yaml: it is larger than any would be. Else empty."""
    size = params.stat().st_size if params.is_file() else 0
    if size <= LARGEST_PARAMS:
        return ""
    return f"{params.name} has {size} bytes; more than {LARGEST_PARAMS} are not read"


def begin_run(root: Path, patient: bool) -> str:
    """Hold the lock of runs, with the code of that checkout; say why not. Empty: it is held.

    Args:
        patient: wait for another run instead of refusing to start beside it.
    """
    scripts = root / "workflow" / "scripts"
    if not (scripts / "overfitting" / "one_run.py").exists():  # a DVC project of another kind
        return ""
    sys.path.insert(0, str(scripts))
    from overfitting import errors, one_run, params

    sys.path.remove(str(scripts))

    def when_busy(holder: str) -> None:
        busy = f"another run is at work in this folder ({holder})"
        if not patient:
            raise errors.UserError(f"{busy}; run this again when it has ended")
        print(f"{busy}; waiting for it", file=sys.stderr, flush=True)

    interrupted = signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C: no traceback
    try:
        params.read(Path(os.path.relpath(root / "params.yaml")))
        one_run.begin(root, "dvc", when_busy)
    except (errors.UserError, OSError) as error:  # such as a read-only folder; it names the file
        return str(error)
    finally:
        signal.signal(signal.SIGINT, interrupted)
    return ""


def runs_stages(command: list[str]) -> bool:
    """Tell whether a command of DVC runs stages in this folder, not in a copy of it or later."""
    words = set(command)
    experiment = "run" in words and bool(words & {"exp", "experiments"})
    return ("repro" in words or experiment) and not words & {"--dry", *ELSEWHERE}


def main(command: list[str]) -> None:
    """Do what must be done before a command of DVC starts; end this process if it must not."""
    root = root_of(Path.cwd())
    refused = refusal_of(root / "params.yaml")
    if not refused:
        prepare(root)
        of_snakemake = SNAKEMAKE_PID in os.environ  # a job of it, and it has seen to all this
        begins = runs_stages(command) and not of_snakemake
        refused = begin_run(root, "--wait-for-lock" in command) if begins else ""
    if refused:
        print(f"error: {refused}", file=sys.stderr, flush=True)
        os._exit(1)  # while Python starts, an exception would print a traceback
    share = root / "workflow" / "scripts" / "share.py"
    arguments = command[3 if command[1] == "-m" else 2 :]
    if "--run-cache" in arguments and arguments[0] in SHARING and share.exists():
        os.execv(sys.executable, [sys.executable, str(share), *arguments])  # noqa: S606


if __name__ == "__main__":
    main(sys.orig_argv)
