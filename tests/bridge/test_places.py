"""Other places, other settings of DVC and Git, and other ways to start."""

import os
import shutil
from pathlib import Path

import pytest
from support.processes import start, wait_until
from support.project import Project, program
from support.toy import FACTOR_8, POWERS, Toy

EVERYTHING = {*POWERS, "total"}


def folders(toy: Toy) -> set[str]:
    return {
        path.relative_to(toy.folder).as_posix()
        for path in toy.folder.rglob(".dvc")
        if path.is_dir() and path != toy.folder / ".dvc"
    }


def test_started_in_a_subfolder(done: Toy) -> None:
    """Refused in a line, as this Snakefile does not say `workdir`; nothing is written there."""
    sub = done.folder / "sub"
    sub.mkdir()
    inside = Project(sub)
    said = inside.run("snakemake", "-n", "--snakefile", "../Snakefile", check=False)
    assert said.returncode == 1
    assert said.stdout.splitlines()[-1].startswith(f"error: {sub} has no .dvc and no dvc.yaml;")
    assert folders(done) == set()
    text = (done.folder / "Snakefile").read_text()
    done.write("Snakefile", f"workdir: workflow.basedir\n{text}")
    done.write("params.yaml", FACTOR_8)
    inside.run("snakemake", "--cores", "4", "--snakefile", "../Snakefile")
    assert folders(done) == set()
    done.assert_up_to_date()


def test_started_elsewhere(done: Toy, tmp_path: Path) -> None:
    done.write("params.yaml", FACTOR_8)
    elsewhere = Project(tmp_path)
    snakefile = ("--snakefile", str(done.folder / "Snakefile"))
    said = elsewhere.run("snakemake", "-n", *snakefile, check=False)
    assert said.returncode == 1
    assert "start Snakemake in the folder of a DVC project" in said.stdout.splitlines()[-1]
    assert not (tmp_path / ".dvc").exists()
    elsewhere.run(
        "snakemake", "--cores", "4", *snakefile, "--directory", str(done.folder), check=True
    )
    done.assert_up_to_date()


def test_through_a_link_to_the_checkout(done: Toy, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(done.folder)
    done.write("params.yaml", FACTOR_8)
    linked = Toy(link)
    assert linked.planned() == EVERYTHING
    linked.run("sh", "-c", 'cd "$0" && exec snakemake --cores 4', str(link))
    assert linked.planned() == set()
    done.assert_up_to_date()


def test_in_a_worktree_and_a_submodule(done_once: Toy, tmp_path: Path) -> None:
    """In a folder without accents, because DVC fails in a worktree whose path has some."""
    done = done_once.twin(tmp_path / "main")
    done.git("worktree", "add", "--quiet", str(tmp_path / "tree"), "-b", "tree")
    outer = Project(tmp_path / "outer")
    outer.folder.mkdir()
    outer.git("init", "--quiet")
    allow = ("-c", "protocol.file.allow=always")
    outer.git(*allow, "submodule", "--quiet", "add", str(done.folder), "inner")
    cache = str(done.folder / ".dvc" / "cache")
    for folder in (tmp_path / "tree", outer.folder / "inner"):
        toy = Toy(folder)
        toy.run("dvc", "cache", "dir", "--local", cache)
        toy.run("dvc", "checkout", "--quiet")
        toy.assert_up_to_date()
        toy.write("input.txt", "4 5\n")
        toy.snakemake()
        toy.assert_up_to_date()


def without_git(tmp_path: Path) -> str:
    """A `PATH` with all programs but Git."""
    bin = tmp_path / "bin"
    bin.mkdir()
    for folder in map(Path, ("/usr/local/bin", "/usr/bin", "/bin")):
        for path in folder.iterdir():
            if not path.name.startswith("git") and not (bin / path.name).is_symlink():
                (bin / path.name).symlink_to(path)
    return f"{Path(program('dvc')).parent}{os.pathsep}{bin}"


def test_without_git_on_the_path(done: Toy, tmp_path: Path) -> None:
    done.write("params.yaml", FACTOR_8)
    path = without_git(tmp_path)
    assert done.run("sh", "-c", "command -v git", check=False, PATH=path).returncode
    done.run("snakemake", "-n", PATH=path)
    done.run("snakemake", "--cores", "4", PATH=path)
    done.assert_up_to_date()


def test_without_a_git_repository(done: Toy) -> None:
    """As after the download of a ZIP file."""
    shutil.rmtree(done.folder / ".git")
    said = done.run("snakemake", "-n", check=False)
    assert said.returncode == 1
    *_, last = said.stdout.splitlines()
    assert last.startswith("error: ") and last.endswith(
        "is not a git repository; `git init` is enough"
    )
    done.git("init", "--quiet")
    done.assert_up_to_date()


def test_a_merge_conflict_in_dvc_lock(done: Toy) -> None:
    done.git("checkout", "--quiet", "-b", "other")
    for branch, factor in (("other", 8), ("main", 9)):
        done.git("checkout", "--quiet", branch)
        done.write("params.yaml", FACTOR_8.replace("8", str(factor)))
        done.snakemake()
        done.commit()
    merge = done.run(
        "git", "-c", "user.name=T", "-c", "user.email=t@e", "merge", "other", check=False
    )
    assert "CONFLICT (content): Merge conflict in dvc.lock" in merge.stdout
    done.write("params.yaml", FACTOR_8)
    said = done.run("snakemake", "--cores", "4", check=False)
    assert said.returncode == 1
    *_, last = said.stdout.splitlines()
    assert last.startswith("error: ") and "dvc.lock has merge conflicts: " in last
    [advice] = [part for part in last.split("`") if part.startswith("git checkout")]
    for command in (advice, "git add dvc.lock"):
        assert f"`{command}`" in last
        done.run(*command.split())
    done.snakemake()
    done.assert_up_to_date()


def test_autostage_adds_the_complete_dvc_lock(done: Toy, tmp_path: Path) -> None:
    """With `core.autostage`, as `dvc repro` does it."""
    done.run("dvc", "config", "core.autostage", "true")
    done.commit()
    done.write("params.yaml", FACTOR_8)
    twin = done.twin(tmp_path / "twin")
    done.snakemake()
    twin.repro()
    assert done.git("show", ":dvc.lock") == done.lock() == twin.git("show", ":dvc.lock")
    assert done.git("diff", "--cached", "--name-only") == twin.git(
        "diff", "--cached", "--name-only"
    )


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_kinds_of_links_to_a_shared_cache(toy: Toy, tmp_path: Path, kind: str) -> None:
    config = f"[cache]\n    type = {kind}\n    shared = group\n    dir = {tmp_path}/shared cache\n"
    toy.write(".dvc/config.local", config)
    toy.snakemake()
    toy.commit()
    toy.write("params.yaml", FACTOR_8)
    toy.snakemake()
    toy.assert_up_to_date()
    assert (toy.folder / "out" / "b" / "2.txt").is_symlink() == (kind == "symlink")
    toy.git("checkout", "--quiet", "--", "params.yaml", "dvc.lock", "total.txt")
    toy.run("dvc", "checkout")
    toy.assert_up_to_date()


@pytest.mark.parametrize(
    "options",
    [
        ("--workflow-profile", "none"),
        ("--profile", "../mine"),
        ("--rerun-triggers", "code", "input", "mtime", "params", "software-env"),
    ],
)
def test_with_settings_of_the_user_for_snakemake(done: Toy, options: tuple[str, ...]) -> None:
    profile = done.folder.parent / "mine"
    profile.mkdir()
    (profile / "config.yaml").write_text("rerun-incomplete: true\nprintshellcmds: true\n")
    text = (done.folder / "Snakefile").read_text()
    done.write("Snakefile", text.replace("> {log}", ">> {log}"))  # code that Snakemake compares
    os.utime(done.folder / "input.txt", (4e9, 4e9))
    assert "Nothing to be done" in done.snakemake(*options)
    done.write("params.yaml", FACTOR_8)
    held = done.hold("a-1-2")
    before = len(done.ran())
    run = start(done, "snakemake", "--cores", "4", *options)
    wait_until(lambda: len(done.ran()) == before + len(POWERS))
    os.killpg(run.pid, 9)  # Snakemake remembers incomplete files, and its own lock
    run.wait(30)
    held.unlink()
    done.snakemake(*options)
    done.assert_up_to_date()


def test_a_profile_in_the_environment(done: Toy) -> None:
    done.write("mine/config.yaml", "rerun-triggers: [input]\n")
    done.write("params.yaml", FACTOR_8)
    done.snakemake(SNAKEMAKE_PROFILE=str(done.folder / "mine"))
    done.assert_up_to_date()


def test_a_python_without_dvc(done: Toy) -> None:
    """The environment was not activated: a job says so in a line."""
    bare = done.folder.parent / "bare"
    done.run("python", "-m", "venv", "--without-pip", str(bare))
    done.write("params.yaml", FACTOR_8)
    path = f"{bare / 'bin'}{os.pathsep}{os.environ['PATH']}"
    said = done.run(program("snakemake"), "--cores", "1", "--keep-going", check=False, PATH=path)
    assert said.returncode == 1
    log = (done.folder / "logs" / "power" / "a-1-2.log").read_text()
    [line] = log.splitlines()
    assert line.startswith(f"error: this Python ({bare / 'bin' / 'python'}) lacks dvc; activate")


def test_no_command_of_dvc_is_replaced(done: Toy) -> None:
    """However it is called, it is plain DVC."""
    done.write("params.yaml", FACTOR_8)
    held = done.hold("a-1-2")
    before = len(done.ran())
    run = start(done, "snakemake", "--cores", "4")
    wait_until(lambda: len(done.ran()) == before + len(POWERS))
    assert "usage: dvc repro" in done.run("dvc", "repro", "--help").stdout
    assert "busy" in done.run("dvc", "--cd", ".", "repro", check=False).stdout
    held.unlink()
    assert run.wait(60) == 0
