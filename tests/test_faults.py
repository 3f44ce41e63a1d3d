"""What goes wrong: clear words, nothing half-written, and the same command finishes the work."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import zc.lockfile
from conftest import BIN, ROOT, Project, ran

from overfitting.files import PARTIAL, written_whole

WEIGHTS = "models/regularized/0.weights.h5"
EPOCHS = 40
MOUNT_READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"; shift; exec "$@"'


def lengthen(project: Project, epochs: int = EPOCHS) -> None:
    """Make the training of `regularized` long enough to be killed in the middle of it."""
    project.edit(lambda params: params["models"]["regularized"].update(training={"epochs": epochs}))


def start(project: Project, *command: str) -> subprocess.Popen[str]:
    """Start a command as the leader of a process group, its output in a file."""
    return subprocess.Popen(
        [BIN / command[0], *command[1:]],
        cwd=project.folder,
        env=project.environment(),
        stdout=(project.folder.parent / "output.txt").open("a"),
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def said(project: Project) -> str:
    return (project.folder.parent / "output.txt").read_text()


def wait_until(condition: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return result


def in_the_middle_of_training(project: Project) -> None:
    log = project.folder / "logs" / "train" / "regularized-0.log"
    wait_until(lambda: log.exists() and re.search(r"epoch +4/", log.read_text()))


def at_work(project: Project, name: str = "") -> list[psutil.Process]:
    """The living processes that work in the project's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if process.cwd() == str(project.folder) and name in command and command:
                found.append(process)
        except psutil.Error:
            continue
    return found


def scripts(project: Project) -> list[psutil.Process]:
    return [p for p in at_work(project, "scripts/train.py") if "python" in p.name()]


def kill_group(leader: subprocess.Popen[str], project: Project) -> None:
    os.killpg(leader.pid, signal.SIGKILL)


def kill_leader(leader: subprocess.Popen[str], project: Project) -> None:
    leader.kill()


def kill_dvc(leader: subprocess.Popen[str], project: Project) -> None:
    for process in at_work(project, "repro"):
        if process.pid != leader.pid and "python" in process.name():
            process.kill()


def kill_script(leader: subprocess.Popen[str], project: Project) -> None:
    for process in scripts(project):
        process.kill()


def interrupt_group(leader: subprocess.Popen[str], project: Project) -> None:
    os.killpg(leader.pid, signal.SIGINT)  # what Ctrl-C in a terminal does


def terminate_leader(leader: subprocess.Popen[str], project: Project) -> None:
    leader.terminate()


def assert_trained(project: Project, epochs: int) -> None:
    """The training went to its end, and DVC has nothing to do for it."""
    assert "train@regularized-0" not in project.status()
    history = (project.folder / "results/regularized/0/training.json").read_text()
    assert len(json.loads(history)["history"]["loss"]) == epochs


SNAKEMAKE = ("snakemake", "--cores", "4")
DVC = ("dvc", "repro")


BY_SNAKEMAKE = (*SNAKEMAKE, WEIGHTS)  # as far as the training that is killed
BY_DVC = (*DVC, "train@regularized-0")


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (BY_SNAKEMAKE, kill_group),
        (BY_SNAKEMAKE, kill_leader),
        (BY_SNAKEMAKE, kill_dvc),
        (BY_SNAKEMAKE, kill_script),
        (BY_SNAKEMAKE, interrupt_group),
        (BY_SNAKEMAKE, terminate_leader),
        (BY_DVC, kill_group),
        (BY_DVC, kill_leader),
        (BY_DVC, interrupt_group),
        (BY_DVC, terminate_leader),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value.__name__,
)
def test_7_killed_in_training(
    project: Project,
    command: tuple[str, ...],
    fault: Callable[[subprocess.Popen[str], Project], None],
) -> None:
    before = (project.folder / WEIGHTS).read_bytes()
    lengthen(project)
    leader = start(project, *command)
    in_the_middle_of_training(project)
    fault(leader, project)
    leader.wait(60)
    wait_until(lambda: not at_work(project), seconds=15)  # nobody works on, unasked
    weights = project.folder / WEIGHTS  # DVC has removed it: others only who worked on could make
    if fault in (terminate_leader, kill_dvc):  # these let the running script end
        assert not weights.exists() or weights.stat().st_size == len(before)
    elif fault is kill_script:  # Snakemake puts back what stood there
        assert not weights.exists() or weights.read_bytes() == before
    else:
        assert not weights.exists()
    project.run(*command)  # the same command again, nothing else
    assert_trained(project, EPOCHS)
    left = [p for p in project.folder.rglob(f"{PARTIAL}*") if ".dvc" not in p.parts]
    assert left == []


def test_dvc_lock_is_read_when_dvc_has_written_it(project: Project) -> None:
    """DVC writes dvc.lock in place, under its lock: what is read meanwhile would be a half."""
    lock = project.folder / "dvc.lock"
    whole = lock.read_text()
    writer = zc.lockfile.LockFile(str(project.folder / ".dvc" / "tmp" / "lock"))
    try:
        lock.write_text("")
        reader = start(project, "snakemake", "-n")
        with pytest.raises(subprocess.TimeoutExpired):
            reader.wait(8)
        lock.write_text(whole)
    finally:
        writer.close()
    assert reader.wait(60) == 0, said(project)


def test_two_snakemakes_at_once(project: Project) -> None:
    lengthen(project, 3 * EPOCHS)
    first = start(project, *BY_SNAKEMAKE)
    in_the_middle_of_training(project)
    second = project.run(*BY_SNAKEMAKE)
    assert f"another snakemake is at work in this folder (PID {first.pid})" in second.stdout
    assert ran(second.stdout) == set()
    assert first.wait(60) == 0
    assert_trained(project, 3 * EPOCHS)


@pytest.mark.parametrize("first_command", [BY_SNAKEMAKE, BY_DVC], ids=lambda command: command[0])
def test_both_engines_at_once(project: Project, first_command: tuple[str, ...]) -> None:
    lengthen(project, 3 * EPOCHS)
    first = start(project, *first_command)
    in_the_middle_of_training(project)
    second = project.run(*(BY_DVC if first_command == BY_SNAKEMAKE else BY_SNAKEMAKE), check=False)
    waited, refused = "waiting for it" in second.stdout, "is busy" in second.stdout
    assert waited or (refused and second.returncode)
    assert first.wait(60) == 0
    assert_trained(project, 3 * EPOCHS)


def test_two_dvcs_at_once(project: Project) -> None:
    lengthen(project, 3 * EPOCHS)
    first = start(project, *BY_DVC)
    in_the_middle_of_training(project)
    second = project.run(*BY_DVC, check=False)
    assert second.returncode
    assert "is busy" in second.stdout
    assert first.wait(60) == 0
    assert_trained(project, 3 * EPOCHS)


def test_divergence_stops_that_model_alone(project: Project) -> None:
    before = project.metrics()
    weights = project.folder / "models" / "baseline" / "0.weights.h5"
    weights_before = weights.read_bytes()
    project.edit(
        lambda params: params["models"].update(baseline={"training": {"learning_rate": 1e9}})
    )
    project.edit(lambda params: params["models"]["regularized"]["dropout"].update(dense=0.4))
    done = project.run(*SNAKEMAKE, check=False)
    assert done.returncode
    if "diverged" not in done.stdout:
        pytest.fail(f"expected the loss to leave the finite numbers:\n{done.stdout}")
    assert "lower it in params.yaml" in done.stdout
    assert "logs/train/baseline-0.log" in done.stdout
    assert (project.folder / "results" / "regularized" / "0" / "evaluation.json").exists()
    assert f"in epoch 1 of {project.params()['training']['epochs']}" in done.stdout
    assert weights.read_bytes() == weights_before  # Snakemake puts back what stood there
    metrics = project.folder / "reports" / "metrics.json"
    assert not metrics.exists() or project.metrics() == before
    done = project.run(*DVC, check=False)
    assert done.returncode
    assert "diverged" in done.stdout
    assert not weights.exists()
    assert not (project.folder / "results" / "baseline" / "0" / "training.json").exists()


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (("  epochs: 2", "  epcohs: 2"), "training.epcohs = 2: unknown key; did you mean 'epochs'"),
        (
            ("conv: 0.25", "conv: 1.5"),
            "dropout.conv = 1.5: must be a number at least 0 and below 1",
        ),
        (("seeds: [0]", "seeds: [0, 0]"), "seeds = [0, 0]: 0 stands there twice"),
        (("  epochs: 2", "  epochs: 2\n  epochs: 3"), "epochs"),
        (("seeds: [0]", "seeds: 3"), "seeds"),
        (("compare: [", "compare: ['x; touch hacked #', "), "compare.0 = 'x; touch hacked #': "),
        (("  epochs: 2", "  epochs: !!python/object/apply:os.mkdir [hacked]"), "os.mkdir"),
    ],
)
def test_wrong_params_are_refused_by_both_before_any_work(
    project: Project, edit: tuple[str, str], words: str
) -> None:
    path = project.folder / "params.yaml"
    text = path.read_text()
    assert edit[0] in text
    path.write_text(text.replace(*edit, 1))
    for command in (SNAKEMAKE, DVC):
        done = project.run(*command, check=False)
        assert done.returncode
        if command == SNAKEMAKE or words != "seeds":  # DVC stumbles over a number as a list
            assert words in done.stdout
        assert ran(done.stdout) <= {"params"}
        assert "Traceback" not in done.stdout
        assert not (project.folder / "hacked").exists()


def test_a_failed_stage_shows_its_log(project: Project) -> None:
    script = project.folder / "workflow" / "scripts" / "subset.py"
    fault = 'raise OSError(28, "No space left on device", "data")'
    script.write_text(
        script.read_text().replace(
            'log = start_log("subset")', f'log = start_log("subset"); {fault}'
        )
    )
    done = project.run(*SNAKEMAKE, check=False)
    assert done.returncode
    assert "logs/subset.log" in done.stdout
    assert done.stdout.count("No space left on device") >= 2  # as it happened, and the log
    assert "Traceback" not in done.stdout


def test_damaged_or_foreign_weights_are_refused(project: Project) -> None:
    weights = project.folder / WEIGHTS
    results = "results/regularized/0"
    command = [
        *("python", "workflow/scripts/evaluate.py", "regularized", "0"),
        *(f"data/{name}.npz" for name in ("subset/train", "subset/test", "subset/whole_test")),
        *("data/corrupted.npz", WEIGHTS, f"{results}/training.json"),
        *("evaluation.json", "predictions.npz", "seen.npz"),
    ]
    assert project.run(*command).returncode == 0
    for damage in (weights.read_bytes()[:-1] + b"?", b"PK\x03\x04 not weights at all"):
        weights.unlink()
        weights.write_bytes(damage)
        done = project.run(*command, check=False)
        assert done.returncode == 1
        assert f"{WEIGHTS} is damaged, or not what the training saved" in done.stdout
        assert "Traceback" not in done.stdout


def test_damaged_raw_data_are_made_again(project: Project) -> None:
    raw = project.folder / "data" / "raw" / "train-labels-idx1-ubyte"
    raw.chmod(0o644)
    raw.write_bytes(b"\0" * raw.stat().st_size)
    assert ran(project.repro()) <= {"download"}
    project.assert_up_to_date()
    assert raw.read_bytes() == (project.folder / "by hand" / raw.name).read_bytes()


def test_a_locale_without_accents(project: Project) -> None:
    done = project.run(*SNAKEMAKE, LC_ALL="POSIX")
    assert "Nothing to be done" in done.stdout
    project.edit(lambda params: params["compare"].remove("regularized"))
    project.run(*DVC, LC_ALL="POSIX")
    project.assert_up_to_date()


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
from overfitting.console import run_script
from overfitting.files import write_text

def main(argv):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    write_text(Path(argv[0]), "x" * 5000)

run_script(main)
"""
    target = tmp_path / "metrics.json"
    target.write_text("what was there")
    done = subprocess.run(
        [sys.executable, "-c", program, str(target)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow" / "scripts")},
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    assert done.returncode == 1
    advice = "mend that and run the same command again"
    assert done.stderr == f"error: [Errno 27] File too large: '{target}'; {advice}\n"
    assert target.read_text() == "what was there"
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("command", "half_kilobytes", "file"),
    [
        (
            ("python", "workflow/scripts/download.py", "data/SHA256SUMS", "data/raw"),
            200,
            "data/raw/train-images-idx3-ubyte",
        ),
        (
            ("dvc", "repro", "--force", "--single-item", "train@baseline-0"),
            4000,
            "models/baseline/0.weights.h5",
        ),
    ],
    ids=["download", "train"],
)
def test_a_stage_on_a_full_disk_says_so_and_is_run_again(
    project: Project, command: tuple[str, ...], half_kilobytes: int, file: str
) -> None:
    path = project.folder / file
    whole = path.read_bytes()
    path.unlink()
    limit = f'ulimit -f {half_kilobytes}; exec "$@"'
    done = project.run("sh", "-c", limit, "sh", str(BIN / command[0]), *command[1:], check=False)
    assert done.returncode
    assert f"File too large: '{file}'; mend that and run the same command again" in done.stdout
    assert "Traceback" not in done.stdout
    assert not path.exists()
    project.run(*command)
    assert path.read_bytes() == whole
    project.snakemake()
    project.assert_up_to_date()


def test_a_read_only_folder_is_named(project: Project) -> None:
    labels = project.folder / "data" / "raw" / "train-labels-idx1-ubyte"
    labels.unlink()
    labels.parent.chmod(0o555)
    by_somebody = ["unshare", "--mount", "sh", "-c", MOUNT_READ_ONLY, "sh", str(labels.parent)]
    prefix = by_somebody if os.geteuid() == 0 else []  # permissions do not stop root
    if prefix and subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("root may not mount here, and nothing else is read-only to root")
    command = [sys.executable, "workflow/scripts/download.py", "data/SHA256SUMS", "data/raw"]
    done = project.run(*prefix, *command, check=False)
    assert done.returncode
    [error] = [line for line in done.stdout.splitlines() if "error: " in line]
    assert "data/raw" in error and "mend that and run the same command again" in error
    assert "Traceback" not in done.stdout
    labels.parent.chmod(0o755)
    project.run(*command)
    project.assert_up_to_date()


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f"{PARTIAL}{ended.pid}-out.csv").write_text("half")
    alive = tmp_path / f"{PARTIAL}{os.getppid()}-out.csv"
    alive.write_text("of a process that still writes")
    with written_whole(tmp_path / "out.csv") as partial:
        partial.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([alive, tmp_path / "out.csv"])


def test_make_finds_the_programs_it_needs() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("make all", "make test", "make lint", "make check", "make lock"):
        assert target in done.stdout
    assert shutil.which("git")
