"""What DVC does not survive, put right before DVC reads it.

DVC writes dvc.lock in place: a tenth of a second for a dozen stages, in which a kill leaves the
beginning of the file, or nothing. From then on DVC would refuse it, or forget stages. What is
whole is kept; what the lost stages made, `dvc repro` finds in DVC's cache without running them.
It writes its list of who reads and writes which file in place, too, and asks the user to remove
it if that was cut off. And it reads a params.yaml of any size, whatever memory that takes.

Nothing of DVC runs before it reads these files. So Python itself calls this when it starts as
`dvc` (`workflow/environment.pth`), and the Snakefile does when it is read. No import here that
would be felt by every command.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LARGEST_PARAMS = 2**20  # bytes, as in params.py
NAME_OF_A_STAGE = re.compile(r"^  \S.*:$", flags=re.MULTILINE)


def prepare(folder: Path) -> None:
    """Mend what a killed DVC has left.

    Args:
        folder: the checkout, or a folder inside it.
    """
    root = root_of(folder)
    mend_lock(root / "dvc.lock", root / ".dvc" / "tmp" / "lock")
    forget_cut_off(root / ".dvc" / "tmp" / "rwlock")


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


def forget_cut_off(path: Path) -> None:
    """Remove DVC's list of who reads and writes what, if it is no JSON: a killed DVC's."""
    if is_json(path):
        return
    with held(path.with_name("rwlock.lock")) as free:
        if free and not is_json(path):
            path.unlink()


def is_json(path: Path) -> bool:
    """Tell whether a file is whole JSON, or not there."""
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


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


if __name__ == "__main__":
    if refused := refusal_of(root_of(Path.cwd()) / "params.yaml"):
        print(f"error: {refused}", file=sys.stderr, flush=True)
        os._exit(1)  # while Python starts, an exception would print a traceback
    prepare(Path.cwd())
