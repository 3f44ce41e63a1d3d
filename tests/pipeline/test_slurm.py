"""The pipeline on a cluster: `snakemake --profile profiles/slurm`, with Debian's Slurm."""

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.project import (
    ROOT,
    Project,
    executed_stages,
    make_project,
    make_stub_project,
    reports,
    run_without_engine,
)
from support.slurm_cluster import (
    NODES,
    Cluster,
    missing_programs,
    namespace_error,
    wait_until,
)

pytestmark = pytest.mark.skipif(bool(missing_programs()), reason=missing_programs())

SNAKEMAKE = (
    *(".venv/bin/python", "-m", "snakemake", "--profile", "profiles/slurm"),
    *("--slurm-init-seconds-before-status-checks", "3"),  # jobs are short in tests
    "--slurm-keep-successful-logs",  # the test reads them
)

FAULTS = """
if sys.argv[1] == "baseline" and not Path("failed").exists():
    Path("failed").touch()
    sys.exit("a fault that occurs once")
if sys.argv[1] == "regularized":
    allocated = b"x" * (800 * 2**20)
    time.sleep(4)
"""
WEIGHTS = "models/baseline/0.weights.h5"
LESS_MEMORY = ("--set-resources", "evaluate:mem_mb=700 * attempt")

PRINT_THREADS = """
    import os
    from overfitting.training.determinism import tf
    used = tf.config.threading.get_intra_op_parallelism_threads()
    print(f"computed with {used} of {os.environ.get('SLURM_CPUS_PER_TASK')} processors")
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


def activated(project: Project, cluster: Cluster) -> dict[str, str]:
    """Return the environment of a user with the `.venv` of the project, whose path has a space."""
    path = f"{project.folder}/.venv/bin{os.pathsep}{os.environ['PATH']}"
    return cluster.environment(project.environment(PATH=path))


def jobs(project: Project, cluster: Cluster) -> dict[str, list[dict[str, str]]]:
    """Return the finished jobs of each stage, in order: Slurm's record of each, and its log."""
    by_stage: dict[str, list[dict[str, str]]] = defaultdict(list)
    logs = project.folder / ".snakemake" / "slurm_logs"
    for job in sorted(cluster.finished_jobs(), key=lambda job: int(job["JobId"])):
        [log] = logs.rglob(f"{job['JobId']}.log")
        rule, run = log.parts[-3:-1]
        stage = f"{rule.removeprefix('rule_')}@{run.replace('_', '-')}"
        by_stage[stage].append({**job, "log": log.read_text()})
    return by_stage


def test_a_run_with_faults_gives_the_same_report(cluster: Cluster, tmp_path: Path) -> None:
    """Snakemake is killed during a training; one job fails, another exceeds its memory limit."""
    project = make_stub_project(tmp_path / "a shared folder")
    (project.folder / ".venv").symlink_to(sys.prefix)
    script = project.folder / "workflow" / "scripts" / "evaluate.py"
    script.write_text(script.read_text().replace("\n\nif __name__", f"{FAULTS}\n\nif __name__"))
    project.edit(lambda params: params["models"]["regularized"].update(training={"epochs": 80}))
    command = [*cluster.prefix, *SNAKEMAKE, *LESS_MEMORY]
    environment = activated(project, cluster)

    output = tmp_path / "output.txt"
    with output.open("w") as file:
        first = subprocess.Popen(
            command, cwd=project.folder, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    log = project.folder / "logs" / "train" / "regularized-0.log"
    wait_until(lambda: log.exists() and re.search(r"epoch +4/", log.read_text()), 90)
    first.kill()
    assert first.wait() < 0
    second = project.run(*command, check=True, **environment).stdout  # without waiting

    assert "another run is at work in this folder (train@regularized-0, PID " in second
    project.assert_up_to_date()
    assert reports(project.folder) == reports(run_without_engine(project, tmp_path))
    # Short stages ran on the login node, long ones were submitted to Slurm; each ran once.
    assert executed_stages(output.read_text() + second) == {
        *("params", "download", "subset", "corruptions", "report")
    }
    done = jobs(project, cluster)
    assert set(done) == {
        *("train@baseline-0", "train@regularized-0"),
        *("evaluate@baseline-0", "evaluate@regularized-0"),
    }
    for stage in ("train@baseline-0", "train@regularized-0"):
        assert {job["JobState"] for job in done[stage]} == {"COMPLETED"}
        assert {(job["Tres"], job["TimeLimit"]) for job in done[stage]} == {
            ("cpu=1,mem=2000M,node=1,billing=1", "30"),
        }
        assert sum("Running stage" in job["log"] for job in done[stage]) == 1
    assert {done[stage][0]["NodeList"] for stage in list(done)[:2]} == set(NODES)
    # Failed jobs were retried once, with twice the memory.
    for stage, reason in (
        ("evaluate@baseline-0", "a fault that occurs once"),
        ("evaluate@regularized-0", "exceeded memory limit"),
    ):
        failed, repeated = done[stage]
        assert (failed["JobState"], repeated["JobState"]) == ("FAILED", "COMPLETED")
        assert reason in failed["log"] and reason not in repeated["log"]
        assert "mem=700M" in failed["Tres"] and "mem=1400M" in repeated["Tres"]
        assert f"SLURM-job '{failed['JobId']}' failed" in second
        assert f"{failed['JobId']}.log (check log file(s) for error details)" in second


def test_a_training_on_a_node_gives_the_same_bytes(cluster: Cluster, tmp_path: Path) -> None:
    """A real training, with one thread per requested processor; and its evaluation."""
    project = make_project(tmp_path / "a shared é folder")
    (project.folder / ".venv").symlink_to(sys.prefix)
    with (project.folder / "workflow" / "scripts" / "train.py").open("a") as script:
        script.write(PRINT_THREADS)
    evaluation = "results/baseline/0/evaluation.json"
    environment = activated(project, cluster)
    project.run(*cluster.prefix, *SNAKEMAKE, evaluation, check=True, **environment)
    done = jobs(project, cluster)
    assert set(done) == {"train@baseline-0", "evaluate@baseline-0"}
    [training] = done["train@baseline-0"]
    assert "computed with 1 of 1 processors" in training["log"]
    on_a_node = {name: (project.folder / name).read_bytes() for name in (WEIGHTS, evaluation)}
    project.repro("--force", "--single-item", "train@baseline-0")
    project.repro("--force", "--single-item", "evaluate@baseline-0")
    for name, content in on_a_node.items():
        assert (project.folder / name).read_bytes() == content


def test_a_study_runs_on_a_cluster(cluster: Cluster, tmp_path: Path) -> None:
    project = make_stub_project(tmp_path / "a shared folder")
    (project.folder / ".venv").symlink_to(sys.prefix)
    folder = project.folder / "studies" / "mine"
    folder.mkdir(parents=True)
    shutil.copy(project.folder / "params.yaml", folder)
    environment = activated(project, cluster)
    project.run("python", "workflow/scripts/study.py", "prepare", "mine", check=True)
    work = Project(folder / "work")
    work.run(*cluster.prefix, *SNAKEMAKE, check=True, **environment)
    work.assert_up_to_date()
    assert set(jobs(work, cluster)) == {
        *("train@baseline-0", "train@regularized-0"),
        *("evaluate@baseline-0", "evaluate@regularized-0"),
    }
    assert not (project.folder / "dvc.lock").exists()


def test_stopping_a_cluster_leaves_nothing() -> None:
    cluster = Cluster()

    def asleep() -> list[psutil.Process]:
        running = cluster.processes()
        return [process for process in running if process.cmdline() == ["/usr/bin/sleep", "1000"]]

    with cluster:
        job = ["sbatch", "--ntasks=2", "--nodes=2", "--output=/dev/null"]
        cluster.run(*job, "--wrap", "srun /usr/bin/sleep 1000")
        wait_until(lambda: len(asleep()) == len(NODES))
        parents = [process.parent() for process in asleep()]
        processes = [*cluster.processes(), *(parent for parent in parents if parent)]
        names = {process.name() for process in processes}
        assert names >= {"munged", "slurmctld", "slurmd", "slurmstepd", "sleep"}
    assert not [process for process in processes if process.is_running()]
    assert not cluster.folder.exists()


def test_a_command_runs_with_a_cluster_of_its_own() -> None:
    command = [sys.executable, str(ROOT / "tests" / "support" / "slurm_cluster.py"), "--"]
    script = ["sh", "-c", "sinfo --noheader --format=%D; exit 3"]
    done = subprocess.run([*command, *script], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (3, str(len(NODES)))


@pytest.mark.skipif(bool(namespace_error()), reason=f"no namespaces: {namespace_error()}")
def test_nodes_are_isolated_like_two_machines(cluster: Cluster) -> None:
    """Each has its own network, host name and process IDs; they share a folder."""
    ask = "hostname; readlink /proc/self/ns/net /proc/self/ns/pid; ls -d $SLURM_CONF"
    outputs = {cluster.run("srun", f"--nodelist={node}", "sh", "-c", ask) for node in NODES}
    answers = [answer.split() for answer in sorted(outputs)]
    assert [answer[0] for answer in answers] == list(NODES)
    for column in (1, 2):
        assert answers[0][column] != answers[1][column]
    assert answers[0][3] == answers[1][3] == str(cluster.folder / "slurm.conf")
