"""After a fault: a clear message, no incomplete output, and the same command finishes the work."""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import zc.lockfile
from support.processes import output_of, running_processes, start, wait_until
from support.project import BIN, ROOT, Project, executed_stages, reports, run_without_engine

from overfitting.common.files import PARTIAL, atomic_write, read_record, sha256, write_record

WEIGHTS = "models/regularized/0.weights.h5"
EPOCHS = 40
MOUNT_READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"; shift; exec "$@"'


def lengthen(project: Project, epochs: int = EPOCHS) -> None:
    """Make the training of `regularized` long enough to be killed in the middle of it."""
    project.edit(lambda params: params["models"]["regularized"].update(training={"epochs": epochs}))


def wait_for_training(project: Project) -> None:
    """Wait until the training of `regularized` is in its fourth epoch."""
    log = project.folder / "logs" / "train" / "regularized-0.log"
    wait_until(lambda: log.exists() and re.search(r"epoch +4/", log.read_text()))


def training_scripts(project: Project) -> list[psutil.Process]:
    return [p for p in running_processes(project, "scripts/train.py") if "python" in p.name()]


def kill_group(leader: subprocess.Popen[str], project: Project) -> None:
    os.killpg(leader.pid, signal.SIGKILL)


def kill_leader(leader: subprocess.Popen[str], project: Project) -> None:
    leader.kill()


def kill_dvc(leader: subprocess.Popen[str], project: Project) -> None:
    shells = {"sh", "bash", "dash"}  # in which Snakemake runs DVC
    jobs = [*running_processes(project, "repro"), *running_processes(project, "dvc_bridge job")]
    victims = [process for process in jobs if process.name() not in shells]
    assert victims
    for process in victims:
        process.kill()


def kill_script(leader: subprocess.Popen[str], project: Project) -> None:
    victims = training_scripts(project)
    assert victims
    for process in victims:
        process.kill()


def interrupt_group(leader: subprocess.Popen[str], project: Project) -> None:
    os.killpg(leader.pid, signal.SIGINT)  # what Ctrl-C in a terminal does


def terminate_leader(leader: subprocess.Popen[str], project: Project) -> None:
    leader.terminate()


def assert_trained(project: Project, epochs: int) -> None:
    """Assert that the training has finished and that DVC has nothing to do for it."""
    assert "train@regularized-0" not in project.status()
    log = (project.folder / "logs" / "train" / "regularized-0.log").read_text()
    assert re.search(rf"epoch +{epochs}/{epochs}\b", log)


SNAKEMAKE = ("snakemake", "--cores", "4")
DVC = ("dvc", "repro")


BY_SNAKEMAKE = (*SNAKEMAKE, WEIGHTS)  # only up to the training that is killed
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
def test_killed_during_training(
    stub_project: Project,
    command: tuple[str, ...],
    fault: Callable[[subprocess.Popen[str], Project], None],
) -> None:
    before = (stub_project.folder / WEIGHTS).read_bytes()
    lengthen(stub_project)
    leader = start(stub_project, *command)
    wait_for_training(stub_project)
    fault(leader, stub_project)
    leader.wait(60)
    wait_until(lambda: not running_processes(stub_project), seconds=15)  # no process is left
    weights = stub_project.folder / WEIGHTS  # DVC has removed the old file
    if command == BY_SNAKEMAKE and fault is terminate_leader:  # it lets the running job finish
        assert not weights.exists() or weights.stat().st_size == len(before)
    elif fault in (kill_script, kill_dvc):  # Snakemake restores the old file
        assert not weights.exists() or weights.read_bytes() == before
    else:
        assert not weights.exists()
    stub_project.run(*command)  # the same command again, without any cleanup
    assert_trained(stub_project, EPOCHS)
    assert_nothing_partial(stub_project)


def assert_nothing_partial(project: Project) -> None:
    partial = [p for p in project.folder.rglob(f"{PARTIAL}*") if ".dvc" not in p.parts]
    assert partial == []


def test_a_run_killed_twice_gives_the_results_of_an_uninterrupted_one(
    project: Project, tmp_path: Path
) -> None:
    """With real trainings: once only DVC is killed, once Ctrl-C interrupts TensorFlow."""
    lengthen(project, epochs=160)  # an epoch takes milliseconds
    uninterrupted = project.copy(tmp_path / "uninterrupted" / "copy")
    with ThreadPoolExecutor() as both:
        other = both.submit(uninterrupted.run, *DVC)
        for command, fault in ((DVC, kill_leader), (SNAKEMAKE, interrupt_group)):
            leader = start(project, *command)
            wait_for_training(project)
            fault(leader, project)
            leader.wait(60)
            wait_until(lambda: not running_processes(project), seconds=15)
            assert not (project.folder / WEIGHTS).exists()
            (project.folder / "logs" / "train" / "regularized-0.log").unlink()
        project.run(*SNAKEMAKE)
        other.result()
    project.assert_up_to_date()
    assert_nothing_partial(project)
    for name in ("reports/metrics.json", "reports/report.html", "dvc.lock", WEIGHTS):
        assert (project.folder / name).read_bytes() == (uninterrupted.folder / name).read_bytes()


@pytest.mark.parametrize("command", [SNAKEMAKE, ("snakemake", "-n")], ids=["run", "look"])
def test_dvc_lock_is_not_read_while_dvc_writes_it(
    stub_project: Project, command: tuple[str, ...]
) -> None:
    """DVC writes dvc.lock in place while it holds its lock; in between, the file is incomplete."""
    lock = stub_project.folder / "dvc.lock"
    complete = lock.read_text()
    writer = zc.lockfile.LockFile(str(stub_project.folder / ".dvc" / "tmp" / "lock"))
    try:
        lock.write_text(complete[: len(complete) // 2])
        reader = start(stub_project, *command)
        wait_until(lambda: "Building DAG" in output_of(stub_project))
        time.sleep(1)
        lock.write_text(complete)
    finally:
        writer.close()
    assert reader.wait(60) == 0, output_of(stub_project)
    assert "Nothing to be done" in output_of(stub_project)
    assert lock.read_text() == complete


def test_two_snakemakes_at_once(stub_project: Project) -> None:
    lengthen(stub_project, 10 * EPOCHS)  # longer than both others need to start, on any machine
    first = start(stub_project, *BY_SNAKEMAKE)
    wait_for_training(stub_project)
    with ThreadPoolExecutor() as both:
        waiting = both.submit(stub_project.run, *BY_SNAKEMAKE)
        experiment = stub_project.run("dvc", "exp", "run", check=False)
        second = waiting.result()
    holder = f"snakemake, PID {first.pid} on {socket.gethostname()}"
    busy = f"another run is at work in this folder ({holder}); waiting"
    assert busy in second.stdout
    assert executed_stages(second.stdout) == set()
    assert experiment.returncode
    assert "busy, it is being blocked by" in experiment.stdout
    assert first.wait(60) == 0
    assert_trained(stub_project, 10 * EPOCHS)


@pytest.mark.parametrize("commands", [(SNAKEMAKE, DVC), (DVC, SNAKEMAKE)], ids=lambda c: c[0][0])
def test_both_engines_at_once(
    stub_project: Project, tmp_path: Path, commands: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    """With several stages to run: no stage is run twice, and everything is up to date."""
    stub_project.edit(lambda params: params.update(seeds=[1]))
    first_command, second_command = commands
    first = start(stub_project, *first_command)
    wait_until(lambda: "Running stage 'train" in output_of(stub_project))
    second = stub_project.run(*second_command, check=False)
    status = first.wait(90)
    if second_command == SNAKEMAKE:
        assert second.returncode == 0, second.stdout  # it waits for the first
    else:
        assert status == 0, output_of(stub_project)
        assert second.returncode == 0 or "busy, it is being blocked by" in second.stdout
    again = stub_project.run(*DVC).stdout
    runs = re.findall(r"Running stage '([^']+)'", output_of(stub_project) + second.stdout + again)
    assert sorted(runs) == sorted(
        [
            *("params", "train@baseline-1", "train@regularized-1", "report"),
            *("evaluate@baseline-1", "evaluate@regularized-1"),
        ]
    )
    stub_project.assert_up_to_date()
    assert reports(stub_project.folder) == reports(run_without_engine(stub_project, tmp_path))


def test_two_dvcs_at_once(stub_project: Project) -> None:
    lengthen(stub_project, 3 * EPOCHS)
    first = start(stub_project, *BY_DVC)
    wait_for_training(stub_project)
    second = stub_project.run(*BY_DVC, check=False)
    assert second.returncode
    assert "busy, it is being blocked by" in second.stdout
    assert first.wait(60) == 0
    assert_trained(stub_project, 3 * EPOCHS)


def test_divergence_stops_only_that_model(project: Project) -> None:
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
        pytest.fail(f"expected the loss to become infinite or NaN:\n{done.stdout}")
    assert "lower it in params.yaml" in done.stdout
    assert "logs/train/baseline-0.log" in done.stdout
    assert (project.folder / "results" / "regularized" / "0" / "evaluation.json").exists()
    assert f"in epoch 1 of {project.params()['training']['epochs']}" in done.stdout
    assert weights.read_bytes() == weights_before  # Snakemake restores the old file
    metrics = project.folder / "reports" / "metrics.json"
    assert not metrics.exists() or project.metrics() == before
    done = project.run(*DVC, check=False)
    assert done.returncode
    assert "diverged" in done.stdout
    assert not weights.exists()
    assert not (project.folder / "results" / "baseline" / "0" / "training.json").exists()


INVALID = [
    (
        ("  epochs: 2", "  epcohs: 2"),
        "training.epcohs = 2: extra inputs are not permitted; did you mean 'epochs'",
    ),
    (("conv: 0.25", "conv: 1.5"), "dropout.conv = 1.5: input should be less than 1"),
    (("seeds: [0]", "seeds: [0, 0]"), "seeds = [0, 0]: 0 is listed twice"),
    (("  epochs: 2", "  epochs: 2\n  epochs: 3"), "the key 'epochs' is listed twice"),
    (("seeds: [0]", "seeds: 3"), "seeds = 3: input should be a valid list"),
    (("compare: [", "compare: ['x; touch hacked #', "), "compare.0 = 'x; touch hacked #': "),
    (("  epochs: 2", "  epochs: !!python/object/apply:os.mkdir [hacked]"), "os.mkdir"),
]


REPORTED_BY_DVC = {"the key 'epochs' is listed twice", "seeds = 3: input should", "os.mkdir"}
DRY_RUN = ("snakemake", "--dry-run")


@pytest.mark.parametrize("command", [SNAKEMAKE, DRY_RUN, DVC], ids=lambda command: command[-1])
def test_both_engines_reject_invalid_params_before_any_work(
    stub_project: Project, command: tuple[str, ...]
) -> None:
    """DVC runs the stage `params`, which checks them, unless DVC cannot parse params.yaml."""
    path = stub_project.folder / "params.yaml"
    text = path.read_text()
    before = stub_project.metrics()
    for edit, message in INVALID:
        assert edit[0] in text
        path.write_text(text.replace(*edit, 1))
        done = stub_project.run(*command, check=False)
        errors = [line for line in done.stdout.splitlines() if "error: " in line]
        if command != DVC:
            assert done.returncode == 1
            assert len(errors) == 1
        if command != DVC or not any(message.startswith(start) for start in REPORTED_BY_DVC):
            assert errors[0].startswith("error: params.yaml") and message in errors[0]
        assert done.returncode
        assert executed_stages(done.stdout) <= ({"params"} if command == DVC else set())
        assert "Traceback" not in done.stdout
        assert not (stub_project.folder / "hacked").exists()
        assert stub_project.metrics() == before
    path.write_text(text.replace("dense: 0.5", "dense: 0.45"))
    if command != DRY_RUN:
        assert executed_stages(stub_project.run(*command).stdout) == {
            *("params", "train@regularized-0", "evaluate@regularized-0", "report"),
        }
        stub_project.assert_up_to_date()


@pytest.mark.parametrize("command", [SNAKEMAKE, DVC], ids=lambda command: command[0])
def test_all_sources_fail_until_one_is_available(
    project: Project, command: tuple[str, ...]
) -> None:
    sources = {
        "http://127.0.0.1:9/closed": "unreachable or not responding",
        "/nowhere": "there is no such folder",
        "$FASHION_MNIST_DIR": "that environment variable is not set",
    }
    project.edit(lambda params: params["data"].update(sources=list(sources)))
    labels = project.folder / "data" / "raw" / "train-labels-idx1-ubyte"
    original = labels.read_bytes()
    labels.unlink()
    before = project.metrics()
    without_variable = ["env", "-u", "FASHION_MNIST_DIR", str(BIN / command[0]), *command[1:]]
    done = project.run(*without_variable, check=False)
    assert done.returncode
    assert f"no source has {labels.name}:" in done.stdout
    for source, reason in sources.items():
        assert re.search(rf"^  {re.escape(source)}: .*{reason}", done.stdout, flags=re.M)
    assert "set FASHION_MNIST_DIR to that folder, and run the same command again" in done.stdout
    assert "full log: logs/download.log" in done.stdout
    assert "Traceback" not in done.stdout
    assert executed_stages(done.stdout) == {"params", "download"}
    assert project.metrics() == before
    project.run(*command)
    assert labels.read_bytes() == original
    project.assert_up_to_date()
    assert project.metrics() == before


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
    assert done.stdout.count("No space left on device") >= 2  # at once and in the log shown
    assert "Traceback" not in done.stdout


EVALUATE = [
    *("python", "workflow/scripts/evaluate.py", "regularized", "0"),
    *(f"data/{name}.npz" for name in ("subset/train", "subset/test", "subset/whole_test")),
    *("data/corrupted.npz", WEIGHTS, "results/regularized/0/training.json"),
    *("evaluation.json", "predictions.npz", "augmented.npz"),
]


def test_corrupt_or_unrelated_weights_are_rejected(project: Project) -> None:
    weights = project.folder / WEIGHTS
    assert project.run(*EVALUATE).returncode == 0
    for content in (weights.read_bytes()[:-1] + b"?", b"PK\x03\x04 not weights at all"):
        weights.unlink()
        weights.write_bytes(content)
        done = project.run(*EVALUATE, check=False)
        assert done.returncode == 1
        assert f"{WEIGHTS} is corrupt, or not what the training saved" in done.stdout
        assert "Traceback" not in done.stdout


MALICIOUS_MODELS = """
import sys
import time
from pathlib import Path
import keras

marker = Path("hacked")
code = keras.layers.Lambda(lambda x: (__import__("pathlib").Path("hacked").touch(), x)[1])
model = keras.Sequential([keras.Input((28, 28, 1)), code])
for name in sys.argv[1:]:
    model.save(name)
    marker.unlink(missing_ok=True)
    keras.models.load_model(name, safe_mode=False)
    assert marker.exists(), f"{name} runs no code, so rejecting it proves nothing"
    marker.unlink()
"""


def test_a_model_that_contains_code_is_rejected_as_weights(project: Project) -> None:
    """With the file name of the weights, and also with their checksum in training.json."""
    models = ["malicious.keras", "malicious.h5"]
    project.run("python", "-c", MALICIOUS_MODELS, *models)
    history = project.folder / "results" / "regularized" / "0" / "training.json"
    trained = read_record(history)
    weights = project.folder / WEIGHTS
    for model in models:
        weights.unlink()
        shutil.copy(project.folder / model, weights)
        done = project.run(*EVALUATE, check=False)
        assert done.returncode == 1
        assert f"{WEIGHTS} is corrupt, or not what the training saved" in done.stdout
        write_record(history, trained | {"weights_sha256": sha256(weights)})
        done = project.run(*EVALUATE, check=False)
        assert done.returncode == 1
        assert f"error: {WEIGHTS} does not match the network in params.yaml: " in done.stdout
        assert "Traceback" not in done.stdout
        assert not (project.folder / "hacked").exists()
        write_record(history, trained)
    assert not (project.folder / "evaluation.json").exists()


def test_corrupt_raw_data_are_replaced(project: Project) -> None:
    raw = project.folder / "data" / "raw" / "train-labels-idx1-ubyte"
    raw.chmod(0o644)
    raw.write_bytes(b"\0" * raw.stat().st_size)
    assert executed_stages(project.repro()) <= {"download"}
    project.assert_up_to_date()
    assert raw.read_bytes() == (project.folder / "by hand" / raw.name).read_bytes()


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
from overfitting.common.console import run_script
from overfitting.common.files import write_text

def main(argv):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    write_text(Path(argv[0]), "x" * 5000)

run_script(main)
"""
    target = tmp_path / "metrics.json"
    target.write_text("old contents")
    done = subprocess.run(
        [sys.executable, "-c", program, str(target)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow" / "scripts")},
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    assert done.returncode == 1
    advice = "fix that and run the same command again"
    assert done.stderr == f"error: [Errno 27] File too large: '{target}'; {advice}\n"
    assert target.read_text() == "old contents"
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("command", "blocks", "file"),
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
def test_a_stage_reports_a_full_disk_and_can_be_run_again(
    project: Project, command: tuple[str, ...], blocks: int, file: str
) -> None:
    path = project.folder / file
    original = path.read_bytes()
    path.unlink()
    limit = f'ulimit -f {blocks}; exec "$@"'
    done = project.run("sh", "-c", limit, "sh", str(BIN / command[0]), *command[1:], check=False)
    assert done.returncode
    assert f"File too large: '{file}'; fix that and run the same command again" in done.stdout
    assert "Traceback" not in done.stdout
    assert not path.exists()
    project.run(*command)
    assert path.read_bytes() == original
    project.snakemake()
    project.assert_up_to_date()


def test_a_read_only_folder_is_named(project: Project) -> None:
    labels = project.folder / "data" / "raw" / "train-labels-idx1-ubyte"
    labels.unlink()
    labels.parent.chmod(0o555)
    with_read_only_mount = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        MOUNT_READ_ONLY,
        "sh",
        str(labels.parent),
    ]
    prefix = with_read_only_mount if os.geteuid() == 0 else []  # root may ignore permissions
    if prefix and subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("root cannot mount here, and can write to any folder that is not so mounted")
    command = [sys.executable, "workflow/scripts/download.py", "data/SHA256SUMS", "data/raw"]
    done = project.run(*prefix, *command, check=False)
    assert done.returncode
    [error] = [line for line in done.stdout.splitlines() if "error: " in line]
    assert "data/raw" in error and "fix that and run the same command again" in error
    assert "Traceback" not in done.stdout
    labels.parent.chmod(0o755)
    project.run(*command)
    project.assert_up_to_date()


def test_temporary_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f"{PARTIAL}{ended.pid}-out.csv").write_text("half")
    alive = tmp_path / f"{PARTIAL}{os.getppid()}-out.csv"
    alive.write_text("of a process that is still running")
    with atomic_write(tmp_path / "out.csv") as partial:
        partial.write_text("complete")
    assert sorted(tmp_path.iterdir()) == sorted([alive, tmp_path / "out.csv"])


def test_make_help_lists_the_targets() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("make all", "make test", "make lint", "make check", "make lock"):
        assert target in done.stdout
    assert shutil.which("git")


@pytest.mark.parametrize("command", [SNAKEMAKE, DVC], ids=lambda command: command[0])
def test_a_failed_report_leaves_the_old_one(
    stub_project: Project, command: tuple[str, ...]
) -> None:
    before = reports(stub_project.folder)
    script = stub_project.folder / "workflow" / "scripts" / "report.py"
    script.write_text("import sys\nsys.exit('no report today')\n")
    done = stub_project.run(*command, check=False)
    assert done.returncode
    assert "no report today" in done.stdout
    assert reports(stub_project.folder) == before


def test_a_python_without_packages_is_reported(stub_project: Project, tmp_path: Path) -> None:
    """Every script says in one line that the environment is not activated."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    python = bare / "bin" / "python"
    for script in (stub_project.folder / "workflow" / "scripts").glob("*.py"):
        shutil.copy(ROOT / "workflow" / "scripts" / script.name, script)  # not the stubs
        done = stub_project.run(str(python), str(script), check=False)
        assert done.returncode == 1
        [line] = done.stdout.splitlines()
        assert line.startswith(f"error: this Python ({python}) lacks ") and "numpy" in line
        assert "`source .venv/bin/activate`" in line
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    done = stub_project.run(str(BIN / "dvc"), "repro", check=False, PATH=path)
    assert done.returncode
    assert f"error: this Python ({python}) lacks " in done.stdout
    assert "Traceback" not in done.stdout
