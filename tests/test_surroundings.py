"""Machines that are set up in other ways than ours."""

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest
from conftest import BIN, Project

SNAKEMAKE = (str(BIN / "snakemake"), "--cores", "4")
DVC = (str(BIN / "dvc"), "repro")


def stale_report(project: Project) -> None:
    """Something quick to do."""
    with (project.folder / "workflow" / "scripts" / "report.py").open("a") as file:
        file.write("# another comment\n")


@pytest.mark.parametrize("command", [SNAKEMAKE, DVC], ids=["snakemake", "dvc"])
def test_without_a_home(project: Project, command: tuple[str, ...]) -> None:
    stale_report(project)
    project.run("env", "-u", "HOME", "-u", "XDG_CACHE_HOME", *command)
    project.assert_up_to_date()


def test_with_files_for_nobody_else(project: Project) -> None:
    stale_report(project)
    project.run("sh", "-c", 'umask 077; exec "$@"', "sh", *SNAKEMAKE)
    project.assert_up_to_date()
    report = project.folder / "reports" / "report.html"
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")
def test_in_a_checkout_of_somebody_else(project: Project) -> None:
    stale_report(project)
    for path in (project.folder, *project.folder.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    project.run(*SNAKEMAKE)
    project.assert_up_to_date()


def test_with_files_from_the_future(project: Project) -> None:
    """As after a clock that was put back: DVC goes by contents, Snakemake must not mind."""
    stale_report(project)
    for path in project.folder.rglob("*"):
        if path.is_file() and not {".git", ".dvc"} & set(path.parts):
            os.utime(path, (4e9, 4e9))
    assert project.planned() == {"report"}
    project.run(*SNAKEMAKE)
    project.assert_up_to_date()


def test_what_dvc_remembers_is_in_no_shared_folder(project: Project) -> None:
    """DVC pickles what it remembers, by default under /var/tmp: who writes there runs code here."""
    said = project.run("env", "-u", "DVC_SITE_CACHE_DIR", str(BIN / "dvc"), "doctor").stdout
    [folder] = [
        Path(line.partition(": ")[2]) for line in said.splitlines() if "site_cache_dir" in line
    ]
    assert folder.is_relative_to(Path(sys.prefix, "cache", "dvc"))
    for part in (folder, *folder.parents):
        assert not part.stat().st_mode & stat.S_IWOTH, f"{part} is open to everybody"
        if part == Path(sys.prefix):
            break
    shutil.rmtree(folder, ignore_errors=True)
