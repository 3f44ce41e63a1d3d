"""The pipeline on a cluster: `snakemake --profile profiles/slurm`, with Debian's Slurm."""

import re
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
from support.slurm_cluster import NODES, Cluster, lacking, no_namespaces, wait_until

pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking())

SNAKEMAKE = (
    *(".venv/bin/python", "-m", "snakemake", "--profile", "profiles/slurm"),
    *("--slurm-init-seconds-before-status-checks", "3"),  # jobs are shorter here
    "--slurm-keep-successful-logs",  # they say what has been run
)

MISHAPS = """
if sys.argv[1] == "baseline" and not Path("failed").exists():
    Path("failed").touch()
    sys.exit("a mishap that comes once")
if sys.argv[1] == "regularized":
    taken = b"x" * (800 * 2**20)
    time.sleep(4)
"""
WEIGHTS = "models/baseline/0.weights.h5"
LESS_MEMORY = ("--set-resources", "evaluate:mem_mb=700 * attempt")

SAY_THREADS = """
    import os
    from overfitting.training.determinism import tf
    used = tf.config.threading.get_intra_op_parallelism_threads()
    print(f"computed with {used} of {os.environ.get('SLURM_CPUS_PER_TASK')} processors")
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


def jobs(project: Project, cluster: Cluster) -> dict[str, list[dict[str, str]]]:
    """The jobs that Slurm has done, by stage, in order: Slurm's words of each, and its log."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    logs = project.folder / ".snakemake" / "slurm_logs"
    for job in sorted(cluster.finished(), key=lambda job: int(job["JobId"])):
        [log] = logs.rglob(f"{job['JobId']}.log")
        rule, run = log.parts[-3:-1]
        stage = f"{rule.removeprefix('rule_')}@{run.replace('_', '-')}"
        found[stage].append({**job, "log": log.read_text()})
    return found


def test_a_disturbed_run_ends_as_an_undisturbed_one(cluster: Cluster, tmp_path: Path) -> None:
    """The submitting process is killed in a training; one job fails, another takes much memory."""
    project = make_stub_project(tmp_path / "a shared folder")
    (project.folder / ".venv").symlink_to(sys.prefix)
    script = project.folder / "workflow" / "scripts" / "evaluate.py"
    script.write_text(script.read_text().replace("\n\nif __name__", f"{MISHAPS}\n\nif __name__"))
    project.edit(lambda params: params["models"]["regularized"].update(training={"epochs": 80}))
    command = [*cluster.prefix, *SNAKEMAKE, *LESS_MEMORY]
    environment = cluster.environment(project.environment())

    said = tmp_path / "said.txt"
    with said.open("w") as file:
        first = subprocess.Popen(
            command, cwd=project.folder, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    log = project.folder / "logs" / "train" / "regularized-0.log"
    wait_until(lambda: log.exists() and re.search(r"epoch +4/", log.read_text()), 90)
    first.kill()
    assert first.wait() < 0
    again = project.run(*command, check=True, **environment)  # at once
    second = again.stdout

    assert "another run is at work in this folder (train@regularized-0, PID " in second
    project.assert_up_to_date()
    assert reports(project.folder) == reports(run_without_engine(project, tmp_path))
    # What takes seconds was done here, and what takes long by Slurm, each once.
    assert executed_stages(said.read_text() + second) == {
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
    # What failed was tried once more, with twice the memory.
    for stage, why in (
        ("evaluate@baseline-0", "a mishap that comes once"),
        ("evaluate@regularized-0", "exceeded memory limit"),
    ):
        failed, repeated = done[stage]
        assert (failed["JobState"], repeated["JobState"]) == ("FAILED", "COMPLETED")
        assert why in failed["log"] and why not in repeated["log"]
        assert "mem=700M" in failed["Tres"] and "mem=1400M" in repeated["Tres"]
        assert f"SLURM-job '{failed['JobId']}' failed" in second
        assert f"{failed['JobId']}.log (check log file(s) for error details)" in second


def test_a_training_on_a_node_gives_the_same_bytes(cluster: Cluster, tmp_path: Path) -> None:
    """A real one, with as many threads as processors were asked for; and its evaluation."""
    project = make_project(tmp_path / "a shared é folder")
    (project.folder / ".venv").symlink_to(sys.prefix)
    with (project.folder / "workflow" / "scripts" / "train.py").open("a") as script:
        script.write(SAY_THREADS)
    evaluation = "results/baseline/0/evaluation.json"
    environment = cluster.environment(project.environment())
    project.run(*cluster.prefix, *SNAKEMAKE, evaluation, check=True, **environment)
    done = jobs(project, cluster)
    assert set(done) == {"train@baseline-0", "evaluate@baseline-0"}
    [training] = done["train@baseline-0"]
    assert "computed with 1 of 1 processors" in training["log"]
    made = {name: (project.folder / name).read_bytes() for name in (WEIGHTS, evaluation)}
    project.repro("--force", "--single-item", "train@baseline-0")
    project.repro("--force", "--single-item", "evaluate@baseline-0")
    for name, content in made.items():
        assert (project.folder / name).read_bytes() == content


def test_nothing_is_left_of_a_cluster() -> None:
    started = Cluster()

    def asleep() -> list[psutil.Process]:
        found = started.processes()
        return [process for process in found if process.cmdline() == ["/usr/bin/sleep", "1000"]]

    with started:
        job = ["sbatch", "--ntasks=2", "--nodes=2", "--output=/dev/null"]
        started.run(*job, "--wrap", "srun /usr/bin/sleep 1000")
        wait_until(lambda: len(asleep()) == len(NODES))
        above = [process.parent() for process in asleep()]
        seen = [*started.processes(), *(process for process in above if process)]
        names = {process.name() for process in seen}
        assert names >= {"munged", "slurmctld", "slurmd", "slurmstepd", "sleep"}
    assert not [process for process in seen if process.is_running()]
    assert not started.folder.exists()


def test_a_cluster_for_a_command() -> None:
    command = [sys.executable, str(ROOT / "tests" / "support" / "slurm_cluster.py"), "--"]
    asked = ["sh", "-c", "sinfo --noheader --format=%D; exit 3"]
    done = subprocess.run([*command, *asked], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (3, str(len(NODES)))


@pytest.mark.skipif(bool(no_namespaces()), reason=f"both nodes on the loopback: {no_namespaces()}")
def test_nodes_are_as_two_machines(cluster: Cluster) -> None:
    """A network, a name and processes of their own; a folder that they share."""
    ask = "hostname; readlink /proc/self/ns/net /proc/self/ns/pid; ls -d $SLURM_CONF"
    seen = {cluster.run("srun", f"--nodelist={node}", "sh", "-c", ask) for node in NODES}
    answers = [answer.split() for answer in sorted(seen)]
    assert [answer[0] for answer in answers] == list(NODES)
    for column in (1, 2):
        assert answers[0][column] != answers[1][column]
    assert answers[0][3] == answers[1][3] == str(cluster.folder / "slurm.conf")
