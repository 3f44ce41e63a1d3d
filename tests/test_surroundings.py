"""Machines that are set up in other ways than ours."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from support.project import BIN, Project, ran

SNAKEMAKE = (str(BIN / "snakemake"), "--cores", "4")
DVC = (str(BIN / "dvc"), "repro")


def stale_report(project: Project) -> None:
    """Something quick to do."""
    with (project.folder / "workflow" / "scripts" / "report.py").open("a") as file:
        file.write("# another comment\n")


@pytest.mark.parametrize(
    ("made", "command"), [("project", SNAKEMAKE), ("quick", DVC)], ids=["snakemake", "dvc"]
)
def test_without_a_home_and_accents(
    request: pytest.FixtureRequest, made: str, command: tuple[str, ...]
) -> None:
    """As in a container that sets nothing: a training, its evaluation and the report."""
    project: Project = request.getfixturevalue(made)
    project.edit(lambda params: params["models"]["regularized"].update(training={"epochs": 1}))
    kept = {name: project.environment()[name] for name in ("PATH", "FASHION_MNIST_DIR")}
    kept |= {"LC_ALL": "POSIX", "DVC_SITE_CACHE_DIR": project.environment()["DVC_SITE_CACHE_DIR"]}
    settings = [f"{name}={value}" for name, value in kept.items()]
    done = project.run("env", "-i", *settings, *command)
    trained = {"train@regularized-0", "evaluate@regularized-0"}
    assert ran(done.stdout) == {"params", *trained, "report"}
    project.assert_up_to_date()


def test_with_files_for_nobody_else(quick: Project) -> None:
    stale_report(quick)
    quick.run("sh", "-c", 'umask 077; exec "$@"', "sh", *SNAKEMAKE)
    quick.assert_up_to_date()
    report = quick.folder / "reports" / "report.html"
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")
def test_in_a_checkout_of_somebody_else(quick: Project) -> None:
    stale_report(quick)
    for path in (quick.folder, *quick.folder.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    quick.run(*SNAKEMAKE)
    quick.assert_up_to_date()


def test_with_files_from_the_future(quick: Project) -> None:
    """As after a clock that was put back: DVC goes by contents, Snakemake must not mind."""
    stale_report(quick)
    for path in quick.folder.rglob("*"):
        if path.is_file() and not {".git", ".dvc"} & set(path.parts):
            os.utime(path, (4e9, 4e9))
    assert quick.planned() == {"report"}
    quick.run(*SNAKEMAKE)
    quick.assert_up_to_date()


@pytest.mark.parametrize("name", ["a checkout", "un été"])
def test_make_keeps_what_dvc_remembers_out_of_shared_folders(
    quick: Project, tmp_path: Path, name: str
) -> None:
    """DVC pickles what it remembers, by default under /var/tmp: who writes there runs code here."""
    project = quick.copy(tmp_path / name)
    venv = project.folder / ".venv"
    (venv / "bin").mkdir(parents=True)
    for program in ("python", "dvc"):
        (venv / "bin" / program).symlink_to(BIN / program)
    for mark in ("installed", "pip"):
        (venv / mark).touch()
    for _ in range(2):
        project.run("env", "-u", "DVC_SITE_CACHE_DIR", f"HOME={tmp_path}", "make", "site-cache")
    said = project.run("env", "-u", "DVC_SITE_CACHE_DIR", "dvc", "doctor").stdout
    [folder] = [
        Path(line.partition(": ")[2]) for line in said.splitlines() if "site_cache_dir" in line
    ]
    private = venv / "cache" if name.isascii() else tmp_path / ".cache" / "dvc-site-cache"
    assert folder.is_relative_to(private / "dvc")
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    local = project.folder / ".dvc" / "config.local"
    assert local.read_text().count("site_cache_dir") == 1
    project.run("dvc", "config", "--local", "core.checksum_jobs", "2")  # it can still be written


def test_what_snakemake_keeps_is_its_users_alone(quick: Project, tmp_path: Path) -> None:
    """It pickles what it knows of files, and caches sources: nobody else may write there."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    stale_report(quick)
    shutil.rmtree(quick.folder / ".snakemake")
    quick.run(
        *("env", "-u", "XDG_CACHE_HOME", f"HOME={home}", f"TMPDIR={temporary}"),
        *("sh", "-c", 'umask 022; exec "$@"', "sh", *SNAKEMAKE),
    )
    assert stat.S_IMODE((quick.folder / ".snakemake").stat().st_mode) == 0o700
    for path in home.rglob("*"):
        assert not path.stat().st_mode & (stat.S_IWOTH | stat.S_IWGRP), f"{path} is open to others"
    assert not list(temporary.iterdir())
