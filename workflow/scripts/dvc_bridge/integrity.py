"""Reading every file that DVC keeps here, and naming those that are not what was recorded.

Once DVC has hashed a file, it compares only the file's time and size, and it checks out files from
its cache without verifying them. Data that are not on this machine, as in a fresh clone, are
counted but not reported as faults.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from dvc.output import Output
from dvc.progress import Tqdm
from dvc.repo import Repo
from dvc.stage import Stage

from .patches import reading_each_file_once
from .repository import (
    dvc_errors_in_one_line,
    open_read_only,
    read_without_lock,
    refuse_unknown_hashes,
)

AGAIN = "run `snakemake --cores 4` or `dvc repro`"


def verify(root: Path) -> int:
    """Print what is corrupt or different in a project.

    Returns:
        The exit status: 1 if anything is, else 0.

    Raises:
        BridgeError: DVC refuses the pipeline.
    """
    repo, stages = read_without_lock(root, lambda: _open(root))
    outs = [out for stage in stages for out in stage.outs if out.hash_info]
    # Before anything else: where DVC comes upon a corrupt copy, it removes it without a word.
    faults = [
        *_print_check(
            "DVC's cache",
            "every file in it has the contents that it is named after",
            [
                f"{copy} is corrupt{_named_by(outs, md5)}; remove it, {AGAIN}"
                for copy, md5 in corrupt_in_cache(repo)
            ],
        ),
        *_print_check(
            "files",
            "all that are here have the contents that dvc.lock records",
            [_advice(out) for out in outs if Path(out.fs_path).exists() and not is_intact(out)],
        ),
        *_print_check(
            "dvc.lock",
            "was made from this code, these params and these files",
            list(_differing(stages)),
        ),
    ]
    if missing := sum(not Path(out.fs_path).exists() for out in outs):
        print(f"note     {missing} data files are not on this machine; {AGAIN} to make them")
    if faults:
        print(f"{len(faults)} corrupt or different, see above")
    return 1 if faults else 0


def _open(root: Path) -> tuple[Repo, list[Stage]]:
    repo = open_read_only(root)
    with dvc_errors_in_one_line():
        stages = repo.index.stages
    refuse_unknown_hashes(stages)
    return repo, stages


def corrupt_in_cache(repo: Repo) -> Iterator[tuple[Path, str]]:
    """Read DVC's whole cache; give each file that is not what its name says, and that MD5."""
    folder = Path(repo.cache.local.path)
    copies = sorted(path for path in folder.glob("??/*") if path.is_file())
    for copy in Tqdm(copies, desc="reading DVC's cache", unit="file"):
        md5 = copy.parent.name + copy.name.removesuffix(".dir")
        if re.fullmatch("[0-9a-f]{32}", md5) and _md5(copy) != md5:  # others are being written
            yield copy, md5


def is_intact(out: Output) -> bool:
    """Tell whether an out has the contents that are recorded, whatever its time and size."""
    path = Path(out.fs_path)
    if path.is_file():
        return path.stat().st_size == out.meta.size and _md5(path) == out.hash_info.value
    recorded = out.get_obj()  # the list of a folder's files
    if recorded is None:  # the cache lacks it
        return not out.changed_checksum()
    files = {
        Path(file).relative_to(path).parts: _md5(Path(file))
        for file in out.dvcignore.find(out.fs, out.fs_path)
    }
    return files == {key: hash_info.value for key, _, hash_info in recorded}


def _differing(stages: list[Stage]) -> Iterator[str]:
    """Say which stages have other code, params or files than dvc.lock records, or other sizes."""
    outs = {out.fs_path: out for stage in stages for out in stage.outs}
    with dvc_errors_in_one_line(), reading_each_file_once():
        for stage in stages:
            if not stage.cmd:
                continue  # a .dvc file: the user's own data
            if differs(stage, outs):
                yield f"{stage.addressing} is not as dvc.lock records; {AGAIN}"
                continue
            for dep in stage.deps:
                recorded = (dep.meta.size, dep.meta.nfiles)
                if dep.meta.size is not None and dep.exists and recorded != _extent(dep):
                    yield (
                        f"{os.path.relpath(dep.fs_path)} has another size than it records for "
                        f"{stage.addressing}; `git checkout HEAD dvc.lock`"
                    )


def differs(stage: Stage, outs: Mapping[str, Output]) -> bool:
    """Tell whether a stage has other code, params or files than dvc.lock records.

    Files that are not on this machine do not count, but what dvc.lock records of them does.

    Args:
        stage: the stage.
        outs: all outs of the pipeline by path.
    """
    if stage.changed_stage():
        return True
    for dep in () if stage.frozen else stage.deps:
        for status in dep.status().values():
            made = outs.get(dep.fs_path)
            if status != "deleted" or (made and made.hash_info != dep.hash_info):
                return True
    return any(
        status not in ("deleted", "not in cache")
        for out in stage.outs
        for status in out.status().values()
    )


def _advice(out: Output) -> str:
    path, stage = os.path.relpath(out.fs_path), out.stage
    if stage.cmd:
        return f"{path} is not what dvc.lock records; remove it, {AGAIN}"
    return (
        f"{path} is not what {stage.addressing} records; `dvc commit` records it, `dvc checkout` "
        "changes it back"
    )


def _extent(item: Output) -> tuple[int, int | None]:
    """Return the bytes of a file, and None; of a folder those of all files in it, and how many.

    What `.dvcignore` excludes does not count.
    """
    path = Path(item.fs_path)
    if path.is_file():
        return path.stat().st_size, None
    files = list(item.dvcignore.find(item.fs, item.fs_path))
    return sum(Path(file).stat().st_size for file in files), len(files)


def _named_by(outs: list[Output], md5: str) -> str:
    """Say which out a file in the cache is a copy of, if it is one of the present commit."""
    return "".join(
        f" ({os.path.relpath(out.fs_path)})" for out in outs if out.hash_info.value == md5
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _print_check(what: str, good: str, faults: list[str]) -> list[str]:
    """Print one line if all is well, else a line for each fault; return the faults."""
    for fault in faults:
        print(f"DIFFERS  {what}: {fault}")
    if not faults:
        print(f"ok       {what}: {good}")
    return faults
