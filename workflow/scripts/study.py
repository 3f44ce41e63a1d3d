"""Prepare and collect a study: this pipeline, run with another params file, beside the checkout.

A study is a folder of `studies` with a complete `params.yaml`. `make study STUDY=NAME` does three
things: `prepare` brings a working copy, `studies/NAME/work`, to the present code and the params of
the study; Snakemake runs in it, as in any checkout; `collect` copies dvc.lock and the reports to
`studies/NAME`, for Git.

The working copy is a repository of its own, at the commit of the checkout, with its own params,
results and dvc.lock, and with DVC's cache of the checkout: what either has computed, the other does
not compute again.
"""

import overfitting.common.environment  # noqa: F401

# isort: split
import argparse
import filecmp
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from dvc.config import Config

from dvc_bridge import locks
from overfitting.common import params
from overfitting.common.console import run_script
from overfitting.common.errors import UserError
from overfitting.common.files import atomic_write, write_text

STUDIES = Path("studies")
OF_STUDY = {"params.yaml", "dvc.lock", "reports", str(STUDIES)}
"""What a working copy does not take from the checkout: files and folders at its top."""
LINKS = ("](../workflow/", "](../../../workflow/")
"""How the report links to code from `reports`, and from the folder of a study."""
COPIED = Path(".git", "copied.json")
"""Where a working copy keeps the list of files that were copied from the checkout."""
REPORTS = ("*.md", "*.json", "tables/*.csv", "figures/*.svg")
"""What of the reports is collected: not the page, which repeats them in megabytes."""
GIT_VARIABLES = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["prepare", "collect"])
    parser.add_argument("study", help="the name of a folder in studies")
    arguments = parser.parse_args(argv)
    study = find(arguments.study)
    if arguments.step == "prepare":
        prepare(study, study / "work")
    else:
        collect(study / "work", study)


def find(name: str) -> Path:
    """Return the folder of a study.

    Raises:
        UserError: there is none of this name, or its params are invalid.
    """
    known = sorted(path.parent.name for path in STUDIES.glob("*/params.yaml"))
    if name not in known:
        raise UserError(
            f"{STUDIES / name / 'params.yaml'} is missing; there are {', '.join(known) or 'none'}: "
            f"choose one (make study STUDY=…), or copy the folder of one to {STUDIES / name}"
        )
    params.read(STUDIES / name / "params.yaml")
    return STUDIES / name


def prepare(study: Path, work: Path) -> None:
    """Bring the working copy of a study to the code of the checkout, uncommitted edits included.

    This waits while a run is at work in it. Its results stay, so that a killed run goes on.
    """
    work.mkdir(exist_ok=True)
    locks.hold_run(
        work.resolve(),
        lambda holder: print(f"this study is being run ({holder}); waiting", file=sys.stderr),
    )
    update_repository(work)
    copy_checkout(work)
    copy(study / "params.yaml", work / "params.yaml")
    link_environment(work)
    share_cache(work)
    if not (work / "dvc.lock").exists():  # else it goes on where it was
        restore(study, work)


def update_repository(work: Path) -> None:
    """Set `main` of the working copy to the commit of the checkout; its files stay as they are.

    If this is killed, it can be repeated.
    """
    for lock in (work / ".git").rglob("*.lock"):
        lock.unlink()  # of a Git that was killed
    run("git", "init", "--quiet", folder=work)
    run("git", "symbolic-ref", "HEAD", "refs/heads/main", folder=work)
    if run("git", "rev-list", "--max-count=1", "--all"):  # not in a new repository
        checkout = os.path.relpath(Path(), work)
        run("git", "fetch", "--quiet", "--update-shallow", checkout, "HEAD", folder=work)
        run("git", "reset", "--quiet", "--mixed", "FETCH_HEAD", folder=work)


def copy_checkout(work: Path) -> None:
    """Copy all files that Git tracks or would track; remove those that were copied, and are gone.

    Files that others have put into the working copy stay.
    """
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    names = {
        name
        for name in filter(None, listed)
        if Path(name).parts[0] not in OF_STUDY and (Path(name).is_file() or Path(name).is_symlink())
    }
    record = work / COPIED
    before = set(json.loads(record.read_text("utf-8"))) if record.exists() else set()
    record.write_text(json.dumps(sorted(before | names)), encoding="utf-8")
    for name in sorted(before - names):
        (work / name).unlink(missing_ok=True)
        with suppress(OSError):  # a folder is not empty
            for folder in Path(name).parents[:-1]:
                (work / folder).rmdir()
    for name in sorted(names):
        copy(Path(name), work / name)
    record.write_text(json.dumps(sorted(names)), encoding="utf-8")


def copy(source: Path, target: Path) -> None:
    """Copy a symbolic link, or a file with its mode and modification time.

    A file that has not changed is left alone, so that DVC need not hash it again. `make` goes by
    the time of `requirements.txt`: were it newer, it would install the packages again.
    """
    if source.is_symlink():
        target.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source.readlink())
    elif target.is_symlink() or not target.is_file() or not same(source, target):
        with atomic_write(target) as partial:
            shutil.copy2(source, partial)


def same(source: Path, target: Path) -> bool:
    """Return whether two files have the same contents and mode."""
    modes = {path.stat().st_mode for path in (source, target)}
    return len(modes) == 1 and filecmp.cmp(source, target, shallow=False)


def link_environment(work: Path) -> None:
    """Link to the `.venv` of the checkout by a relative path, which survives moving them both."""
    own, link = Path(".venv"), work / ".venv"
    if own.is_dir() and not link.is_dir():
        link.unlink(missing_ok=True)  # it leads to where the checkout was
        link.symlink_to(os.path.relpath(own.resolve(), work.resolve()))


def share_cache(work: Path) -> None:
    """Let DVC use the cache of the checkout in a working copy, and its notes on files."""
    own = Config(".dvc")
    cache = own["cache"].get("dir") or Path(".dvc", "cache")
    with Config(str(work / ".dvc")).edit("local") as local:
        # A relative path, as DVC cannot write one with accents; DVC makes it relative to the file.
        local["cache"]["dir"] = os.path.relpath(cache)
        if notes := own["core"].get("site_cache_dir"):
            local["core"]["site_cache_dir"] = notes


def restore(study: Path, work: Path) -> None:
    """Bring a new working copy to what was collected of the study, or else to the checkout's state.

    What DVC's cache has of it is not computed again.
    """
    source = study if (study / "dvc.lock").exists() else Path()
    for name in ("dvc.lock", *collected(source)):
        if (source / name).is_file():
            copy(source / name, work / name)
            if source == study:
                replace_in(work / name, *reversed(LINKS))
    run(sys.executable, "-m", "dvc", "checkout", "--quiet", "--allow-missing", folder=work)


def collect(work: Path, study: Path) -> None:
    """Copy dvc.lock and the reports of a working copy to the folder of the study, for Git."""
    names = {"dvc.lock", *collected(work)}
    for name in sorted(set(collected(study)) - names):
        (study / name).unlink()
    for name in sorted(names):
        copy(work / name, study / name)
        replace_in(study / name, *LINKS)
    print(f"the report of this study: {study / 'reports' / 'report.md'}")


def replace_in(path: Path, old: str, new: str) -> None:
    """Replace a text in a Markdown file; other files stay as they are."""
    if path.suffix == ".md":
        write_text(path, path.read_text("utf-8").replace(old, new))


def collected(folder: Path) -> list[str]:
    """Return the paths of the reports in a folder that belong into Git."""
    return [
        path.relative_to(folder).as_posix()
        for pattern in REPORTS
        for path in sorted((folder / "reports").glob(pattern))
    ]


def run(*command: str, folder: Path = Path()) -> str:
    """Run a command; return its standard output.

    Raises:
        UserError: it failed; with the first line of the error that it printed.
    """
    # In a hook, Git sets these variables, and with them it would use that hook's repository.
    environment = {name: value for name, value in os.environ.items() if name not in GIT_VARIABLES}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",  # the name of a file may be anything
    )
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        errors = [line for line in lines if line.lower().startswith(("fatal:", "error:"))]
        reason = "".join((errors or lines[-1:])[:1])
        raise UserError(f"`{' '.join(command)}` in {folder.resolve()} failed: {reason}")
    return done.stdout.rstrip("\n")


if __name__ == "__main__":
    run_script(main)
