"""Kill runs repeatedly at random times, and check that the same command finishes the work.

    make soak                                    at least 50 kills, at most an hour
    make soak SOAK="--kills 500 --minutes 500"   more

Each round runs the pipeline with a new seed in two folders. In the first, the run is not
interrupted. In the second, Snakemake, DVC, the script of a stage or all of them are killed by
SIGINT, SIGTERM or SIGKILL, up to six times, and the same command is run again. After each kill no
process is left, and each output is byte for byte the old one or that of the uninterrupted run.
At the end of a round both folders have the same contents.
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from support.processes import output_of, running_processes, start
from support.project import Project, make_project

from overfitting.common.files import PARTIAL
from overfitting.common.yaml_files import load_yaml

COMMANDS = [("snakemake", "--cores", "4"), ("dvc", "repro")]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
TARGETS = ["leader", "group", "dvc", "script"]
MAX_DELAY = 12  # seconds until a kill
KILLS_PER_ROUND = 6  # after these, the run may finish
GRACE = 60  # seconds in which all processes must end; SIGTERM lets a running stage finish
KILL_GRACE = 15  # the same after SIGKILL, on a busy machine


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    rng = random.Random(arguments.seed)
    deadline = time.monotonic() + 60 * arguments.minutes
    kills = 0
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        uninterrupted = make_project(Path(folder, "uninterrupted", "project"))
        interrupted = make_project(Path(folder, "interrupted", "project é 'x"))
        seed = 0
        while kills < arguments.kills and time.monotonic() < deadline:
            seed += 1
            before = contents(interrupted)
            for project in (uninterrupted, interrupted):
                project.edit(partial(dict.update, seeds=[seed]))
            uninterrupted.snakemake()
            allowed = [before, contents(uninterrupted)]
            command = rng.choice(COMMANDS)
            for _ in range(KILLS_PER_ROUND):
                description = run_and_kill(interrupted, command, rng)
                if description is None:
                    break  # the command finished before the kill
                kills += 1
                print(f"{kills:4d}  seed {seed}  {' '.join(command)}: {description}", flush=True)
                assert_nothing_partial(interrupted, allowed)
                if kills >= arguments.kills or time.monotonic() > deadline:
                    break
            interrupted.run(*command)
            for part in (contents, partial(recorded, seed=seed)):
                actual, expected = part(interrupted), part(uninterrupted)
                keys = actual | expected
                different = {key for key in keys if actual.get(key) != expected.get(key)}
                assert not different, f"differs from an uninterrupted run: {sorted(different)}"
            interrupted.assert_up_to_date()
            print(f"      seed {seed}: same as uninterrupted", flush=True)
    assert kills >= arguments.kills, f"only {kills} kills in {arguments.minutes} minutes"
    print(f"{kills} kills, {seed} rounds: nothing lost, nothing incomplete")


def run_and_kill(project: Project, command: tuple[str, ...], rng: random.Random) -> str | None:
    """Start a command and kill a random process of it at a random time.

    Returns:
        A description of the kill, or None if the command finished first.
    """
    leader = start(project, *command)
    started = time.monotonic()
    delay = rng.uniform(0.2, MAX_DELAY)
    while leader.poll() is None and time.monotonic() - started < delay:
        time.sleep(0.02)
    if leader.poll() is not None:
        assert leader.returncode == 0, output_of(project)[-3000:]
        return None
    target, by = rng.choice(TARGETS), rng.choice(SIGNALS)
    pids = target_pids(project, target, leader.pid)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it has ended in the meantime
            os.killpg(pid, by) if target == "group" else os.kill(pid, by)
    if target in {"dvc", "script"}:  # the leader may still run other stages
        leader.wait(300)
    else:
        leader.wait(GRACE + 60)
    end = time.monotonic() + (KILL_GRACE if by == signal.SIGKILL else GRACE)
    while remaining := running_processes(project):
        assert time.monotonic() < end, f"after {by.name} to {target}, still running: {remaining}"
        time.sleep(0.1)
    return f"{by.name} to {target} ({len(pids)}) after {delay:.1f} s"


def target_pids(project: Project, target: str, leader: int) -> list[int]:
    """Return the IDs of the processes to kill; the leader's if there is none of the target."""
    if target in {"leader", "group"}:
        return [leader]
    jobs = set(running_processes(project, "dvc_bridge job"))
    if target == "dvc":
        found = jobs | set(running_processes(project, "repro"))
    else:
        found = set(running_processes(project, "workflow/scripts/")) - jobs
    return [process.pid for process in found] or [leader]


def contents(project: Project) -> dict[str, bytes]:
    """Return the contents of all outputs of the stages, by path, without temporary files."""
    folders = ("data", "models", "results", "reports")
    return {
        path.relative_to(project.folder).as_posix(): path.read_bytes()
        for folder in folders
        for path in (project.folder / folder).rglob("*")
        if path.is_file() and not path.name.startswith(PARTIAL) and path.name != ".gitignore"
    }


def recorded(project: Project, seed: int) -> dict[str, object]:
    """Return the entries of dvc.lock without those of other seeds, which DVC keeps."""
    stages = load_yaml(project.folder / "dvc.lock")["stages"]
    return {
        name: entry
        for name, entry in stages.items()
        if "@" not in name or name.endswith(f"-{seed}")
    }


def assert_nothing_partial(project: Project, allowed: list[dict[str, bytes]]) -> None:
    """Assert that each output has one of its allowed contents."""
    for path, content in contents(project).items():
        assert any(content == version.get(path) for version in allowed), f"{path} is incomplete"


if __name__ == "__main__":
    main(sys.argv[1:])
