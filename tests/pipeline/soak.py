"""Kill runs at random moments, again and again, and see that the same command finishes the work.

    make soak                                    at least 50 kills, at most an hour
    make soak SOAK="--kills 500 --minutes 500"   more

Each round has one undisturbed run with a new seed in one folder, and in another the same work,
killed until it is done: Snakemake, DVC, the script or all of them, by SIGINT, SIGTERM or SIGKILL.
After each kill nobody works on, and what stands under its final name is what it was before or
what the undisturbed run made of it, to the byte. In the end both folders are the same.
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
LONGEST = 12  # seconds until a kill
KILLS_IN_A_ROUND = 6  # then the work is let go to its end
GRACE = 60  # seconds until all must have ended; SIGTERM lets a running stage end
AT_ONCE = 15  # seconds until nobody works on after SIGKILL, on a machine with much to do


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    chance = random.Random(arguments.seed)
    deadline = time.monotonic() + 60 * arguments.minutes
    kills = 0
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        undisturbed = make_project(Path(folder, "undisturbed", "project"))
        disturbed = make_project(Path(folder, "disturbed", "project é 'x"))
        seed = 0
        while kills < arguments.kills and time.monotonic() < deadline:
            seed += 1
            before = contents(disturbed)
            for project in (undisturbed, disturbed):
                project.edit(partial(dict.update, seeds=[seed]))
            undisturbed.snakemake()
            allowed = [before, contents(undisturbed)]
            command = chance.choice(COMMANDS)
            for _ in range(KILLS_IN_A_ROUND):
                what = kill_somebody(disturbed, command, chance)
                if what is None:
                    break  # it had ended first
                kills += 1
                print(f"{kills:4d}  seed {seed}  {' '.join(command)}: {what}", flush=True)
                assert_nothing_partial(disturbed, allowed)
                if kills >= arguments.kills or time.monotonic() > deadline:
                    break
            disturbed.run(*command)
            for part in (contents, partial(recorded, seed=seed)):
                made, expected = part(disturbed), part(undisturbed)
                different = {key for key in made | expected if made.get(key) != expected.get(key)}
                assert not different, f"not as in an undisturbed run: {sorted(different)}"
            disturbed.assert_up_to_date()
            print(f"      seed {seed}: as undisturbed", flush=True)
    assert kills >= arguments.kills, f"only {kills} kills in {arguments.minutes} minutes"
    print(f"{kills} kills, {seed} rounds: nothing lost, nothing half-written")


def kill_somebody(project: Project, command: tuple[str, ...], chance: random.Random) -> str | None:
    """Start a command, kill at a random moment, and return what was done; None if it had ended."""
    leader = start(project, *command)
    begun = time.monotonic()
    moment = chance.uniform(0.2, LONGEST)
    while leader.poll() is None and time.monotonic() - begun < moment:
        time.sleep(0.02)
    if leader.poll() is not None:
        assert leader.returncode == 0, output_of(project)[-3000:]
        return None
    target, by = chance.choice(TARGETS), chance.choice(SIGNALS)
    victims = chosen(project, target, leader.pid)
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):  # it ended just now
            os.killpg(pid, by) if target == "group" else os.kill(pid, by)
    if target in {"dvc", "script"}:  # who waits for it ends, or goes on with the rest
        leader.wait(300)
    else:
        leader.wait(GRACE + 60)
    end = time.monotonic() + (AT_ONCE if by == signal.SIGKILL else GRACE)
    while working := running_processes(project):
        assert time.monotonic() < end, f"after {by.name} to {target}, still at work: {working}"
        time.sleep(0.1)
    return f"{by.name} to {target} ({len(victims)}) after {moment:.1f} s"


def chosen(project: Project, target: str, leader: int) -> list[int]:
    """The processes that are to be killed."""
    if target in {"leader", "group"}:
        return [leader]
    words = {"dvc": "repro", "script": "workflow/scripts/"}[target]
    found = [process.pid for process in running_processes(project, words)]
    return found or [leader]


def contents(project: Project) -> dict[str, bytes]:
    """What stands under the final names of all that the stages make."""
    folders = ("data", "models", "results", "reports")
    return {
        path.relative_to(project.folder).as_posix(): path.read_bytes()
        for folder in folders
        for path in (project.folder / folder).rglob("*")
        if path.is_file() and not path.name.startswith(PARTIAL) and path.name != ".gitignore"
    }


def recorded(project: Project, seed: int) -> dict[str, object]:
    """What dvc.lock says of each stage; DVC keeps those of seeds that are gone."""
    stages = load_yaml(project.folder / "dvc.lock")["stages"]
    return {
        name: entry
        for name, entry in stages.items()
        if "@" not in name or name.endswith(f"-{seed}")
    }


def assert_nothing_partial(project: Project, allowed: list[dict[str, bytes]]) -> None:
    """Each file is what it was before, or what it is to become."""
    for path, content in contents(project).items():
        assert any(content == one.get(path) for one in allowed), f"{path} is half-written"


if __name__ == "__main__":
    main(sys.argv[1:])
