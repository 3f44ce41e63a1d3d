"""The pipeline and the Makefile in unusual environments."""

import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import matplotlib.font_manager
import pytest
from fontTools.ttLib import TTFont
from support.project import BIN, Project, executed_stages

SNAKEMAKE = (str(BIN / "snakemake"), "--cores", "4")
DVC = (str(BIN / "dvc"), "repro")


def make_report_stale(project: Project) -> None:
    """Edit the script of the report, so that one fast stage has to run."""
    with (project.folder / "workflow" / "scripts" / "report.py").open("a") as file:
        file.write("# another comment\n")


@pytest.mark.parametrize(
    ("fixture", "command"),
    [("project", SNAKEMAKE), ("stub_project", DVC)],
    ids=["snakemake", "dvc"],
)
def test_without_a_home_and_accents(
    request: pytest.FixtureRequest, fixture: str, command: tuple[str, ...]
) -> None:
    """Almost without environment variables, as in a minimal container."""
    project: Project = request.getfixturevalue(fixture)
    project.edit(lambda params: params["models"]["regularized"].update(training={"epochs": 1}))
    variables = {name: project.environment()[name] for name in ("PATH", "FASHION_MNIST_DIR")}
    variables |= {
        "LC_ALL": "POSIX",
        "DVC_SITE_CACHE_DIR": project.environment()["DVC_SITE_CACHE_DIR"],
    }
    settings = [f"{name}={value}" for name, value in variables.items()]
    done = project.run("env", "-i", *settings, *command)
    trained = {"train@regularized-0", "evaluate@regularized-0"}
    assert executed_stages(done.stdout) == {"params", *trained, "report"}
    project.assert_up_to_date()


HOSTILE_VARIABLES = {
    "KERAS_BACKEND": "jax",
    "KERAS_MAX_EPOCHS": "1",
    "KERAS_MAX_STEPS_PER_EPOCH": "1",
    "MPLBACKEND": "module://nowhere",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3",
    "OMP_NUM_THREADS": "2",
    "OPENBLAS_CORETYPE": "Prescott",
    "PANDAS_FUTURE_INFER_STRING": "1",
    "PYTHONHASHSEED": "7",
    "PYTHONSAFEPATH": "1",
    "SOURCE_DATE_EPOCH": "0",
    "TF2_BEHAVIOR": "0",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
    "XLA_FLAGS": "--no_such_flag",
}
HOSTILE_FILES = {
    ".keras/keras.json": '{"floatx": "float64", "backend": "jax", "epsilon": 0.1,'
    ' "image_data_format": "channels_first"}',
    ".config/matplotlib/matplotlibrc": "text.usetex: True\nsavefig.transparent: True\n",
}
MATPLOTLIBRC = "svg.fonttype: none\nfont.size: 20\naxes.titlesize: 30\nbackend: module://nowhere\n"


def install_font_named_arial(home: Path) -> None:
    """Install a font with other letters under the name that seaborn looks for first."""
    font = TTFont(Path(matplotlib.get_data_path(), "fonts", "ttf", "STIXGeneral.ttf"))
    for record in font["name"].names:
        if record.nameID in (1, 4, 16):
            record.string = "Arial"
    (home / ".fonts").mkdir()
    font.save(home / ".fonts" / "arial.ttf")


def falsify_list_of_fonts(cache: Path) -> None:
    """Write matplotlib's list of fonts, in which DejaVu Sans has the file of another font."""
    fonts = matplotlib.font_manager.FontManager()
    serif = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSerif.ttf")
    fonts.ttflist = [
        replace(font, fname=str(serif)) if font.name == "DejaVu Sans" else font
        for font in fonts.ttflist
    ]
    cache.mkdir(parents=True)
    path = cache / f"fontlist-v{fonts.__version__}.json"
    matplotlib.font_manager.json_dump(fonts, path)


def test_settings_of_the_user_change_no_byte(project: Project, tmp_path: Path) -> None:
    """Weights, results and report, by either engine, under settings that would change them."""
    home = tmp_path / "home"
    for name, text in HOSTILE_FILES.items():
        (home / name).parent.mkdir(parents=True)
        (home / name).write_text(text)
    install_font_named_arial(home)
    falsify_list_of_fonts(home / "cache" / "matplotlib")
    (project.folder / "matplotlibrc").write_text(MATPLOTLIBRC)
    lock = project.folder / "dvc.lock"
    recorded = lock.read_bytes()
    hostile = HOSTILE_VARIABLES | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    lock.unlink()
    shutil.rmtree(project.folder / ".dvc" / "cache" / "runs")
    done = project.snakemake(**hostile)
    assert {"train@baseline-0", "evaluate@regularized-0", "report"} <= executed_stages(done)
    assert lock.read_bytes() == recorded
    stage = "train@regularized-0"
    command = ("dvc", "repro", "--force", "--single-item", stage)
    done = project.run(*command, check=True, **hostile).stdout
    assert executed_stages(done) == {stage}
    assert lock.read_bytes() == recorded


@pytest.mark.parametrize("command", [SNAKEMAKE, DVC], ids=["snakemake", "dvc"])
def test_with_a_home_folder_in_which_nothing_can_be_written(
    stub_project: Project, command: tuple[str, ...]
) -> None:
    """Not even by root, who may write into any folder that is only read-only."""
    unset = ("-u", "XDG_CACHE_HOME", "-u", "XDG_CONFIG_HOME")
    make_report_stale(stub_project)
    done = stub_project.run("env", *unset, "HOME=/proc/home", *command)
    assert executed_stages(done.stdout) == {"report"}
    stub_project.assert_up_to_date()


def test_with_files_that_only_the_user_can_read(stub_project: Project) -> None:
    make_report_stale(stub_project)
    stub_project.run("sh", "-c", 'umask 077; exec "$@"', "sh", *SNAKEMAKE)
    stub_project.assert_up_to_date()
    report = stub_project.folder / "reports" / "report.html"
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner of files")
def test_in_a_checkout_owned_by_another_user(stub_project: Project) -> None:
    make_report_stale(stub_project)
    for path in (stub_project.folder, *stub_project.folder.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    stub_project.run(*SNAKEMAKE)
    stub_project.assert_up_to_date()


def test_with_modification_times_in_the_future(stub_project: Project) -> None:
    """As after the clock was set back: neither engine may depend on modification times."""
    make_report_stale(stub_project)
    for path in stub_project.folder.rglob("*"):
        if path.is_file() and not {".git", ".dvc"} & set(path.parts):
            os.utime(path, (4e9, 4e9))
    assert stub_project.planned() == {"report"}
    stub_project.run(*SNAKEMAKE)
    stub_project.assert_up_to_date()


@pytest.mark.parametrize("name", ["a checkout", "un été"])
def test_make_moves_the_site_cache_out_of_shared_folders(
    stub_project: Project, tmp_path: Path, name: str
) -> None:
    """DVC's site cache has pickles, by default in /var/tmp, where others could plant code."""
    project = stub_project.copy(tmp_path / name)
    venv = project.folder / ".venv"
    (venv / "bin").mkdir(parents=True)
    for program in ("python", "dvc"):
        (venv / "bin" / program).symlink_to(BIN / program)
    for mark in ("installed", "pip"):
        (venv / mark).touch()
    for _ in range(2):
        project.run("env", "-u", "DVC_SITE_CACHE_DIR", f"HOME={tmp_path}", "make", "site-cache")
    output = project.run("env", "-u", "DVC_SITE_CACHE_DIR", "dvc", "doctor").stdout
    [folder] = [
        Path(line.partition(": ")[2]) for line in output.splitlines() if "site_cache_dir" in line
    ]
    private = venv / "cache" if name.isascii() else tmp_path / ".cache" / "dvc-site-cache"
    assert folder.is_relative_to(private / "dvc")
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    local = project.folder / ".dvc" / "config.local"
    assert local.read_text().count("site_cache_dir") == 1
    project.run("dvc", "config", "--local", "core.checksum_jobs", "2")  # the file is valid


def test_only_the_user_can_write_the_state_of_snakemake(
    stub_project: Project, tmp_path: Path
) -> None:
    """Snakemake unpickles its metadata and runs cached sources, so others must not write them."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    make_report_stale(stub_project)
    shutil.rmtree(stub_project.folder / ".snakemake")
    stub_project.run(
        *("env", "-u", "XDG_CACHE_HOME", f"HOME={home}", f"TMPDIR={temporary}"),
        *("sh", "-c", 'umask 022; exec "$@"', "sh", *SNAKEMAKE),
    )
    assert stat.S_IMODE((stub_project.folder / ".snakemake").stat().st_mode) == 0o700
    for path in home.rglob("*"):
        assert not path.stat().st_mode & (stat.S_IWOTH | stat.S_IWGRP), f"others can write {path}"
    assert not list(temporary.iterdir())


def make(project: Project, *targets: str) -> subprocess.CompletedProcess[str]:
    """Run `make` as in a shell without an activated environment."""
    variables = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "VIRTUAL_ENV")}
    return subprocess.run(
        ["make", "--no-print-directory", *targets],
        cwd=project.folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_make_refuses_a_folder_without_git_before_it_installs_anything(
    stub_project: Project,
) -> None:
    """As after downloading a ZIP file; after `git init` it works."""
    shutil.rmtree(stub_project.folder / ".git")
    for target in ("all", "test", "check"):
        done = make(stub_project, target)
        assert done.returncode
        first, _ = done.stdout.splitlines()
        assert first.startswith(f"error: {stub_project.folder} is not a Git repository")
        assert first.endswith("`git init` is enough")
    assert not (stub_project.folder / ".venv").exists()
    stub_project.git("init", "--quiet")
    assert make(stub_project, "checkout").returncode == 0


def test_make_accepts_a_venv_without_pip(stub_project: Project) -> None:
    """As `uv venv` creates it; a venv with an unsupported Python is rejected in one line."""
    venv = stub_project.folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    obsolete = next(venv.glob("lib/python*/site-packages")) / "environment.pth"
    obsolete.write_text("import os\n")  # installed by an earlier version of this project
    assert make(stub_project, ".venv/pip").returncode == 0
    assert stub_project.run(str(venv / "bin" / "python"), "-m", "pip", "--version").returncode == 0
    assert not obsolete.exists()
    (venv / "pip").unlink()
    python = venv / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\n[ $1 = --version ] && echo Python 3.9.1; exit 1\n")
    python.chmod(0o755)
    done = make(stub_project, ".venv/pip")
    assert done.returncode
    assert done.stdout.splitlines()[0] == (
        "error: .venv has Python 3.9.1, not 3.11 to 3.13; remove it: rm -r .venv"
    )


@pytest.mark.parametrize(
    ("pip_config", "uv_status", "installers"),
    [
        ("", 0, ["uv"]),
        ("", 2, ["uv", "pip"]),
        ("global.index-url='https://mirror.example/simple'", 0, ["pip"]),
    ],
    ids=["uv", "uv fails", "pip is configured"],
)
def test_make_installs_with_uv_unless_pip_has_a_configuration(
    stub_project: Project, pip_config: str, uv_status: int, installers: list[str]
) -> None:
    """Because uv does not read pip's configuration. Python and uv are stubs that log arguments."""
    programs = stub_project.folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    python = f"""case "$*" in
        "-m pip config list") echo "{pip_config}";;
        *"-r /dev/stdin") cat > bootstrapped;;
        *"pip install"*) echo "pip $*" >> calls;;
    esac"""
    uv = f'echo "uv $*" >> calls; exit {uv_status}'
    for name, script in (("python", python), ("uv", uv)):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    done = make(stub_project, ".venv/installed")
    assert done.returncode == 0, done.stdout
    calls = (stub_project.folder / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == installers
    assert all(call.endswith("--require-hashes -r requirements.txt") for call in calls)
    bootstrapped = stub_project.folder / "bootstrapped"
    assert bootstrapped.exists() == ("uv" in installers)
    if bootstrapped.exists():
        pin_with_hashes = r"uv==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
        assert re.fullmatch(pin_with_hashes, bootstrapped.read_text())


def test_git_does_not_convert_line_endings(stub_project: Project, tmp_path: Path) -> None:
    """Not even with `core.autocrlf`, the default of Git for Windows: DVC compares contents."""
    clone = Project(tmp_path / "clone")
    stub_project.git(
        "clone",
        "--quiet",
        "--config=core.autocrlf=true",
        str(stub_project.folder),
        str(clone.folder),
    )
    assert clone.git("status", "--porcelain") == ""
    for name in stub_project.git("ls-files").splitlines():
        assert (clone.folder / name).read_bytes() == (stub_project.folder / name).read_bytes()
    clone.run("dvc", "cache", "dir", "--local", str(stub_project.folder / ".dvc" / "cache"))
    clone.run("dvc", "checkout", "--quiet")
    clone.assert_up_to_date()
