"""Start the commands of a project in the background and wait for them."""

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil

from support.project import Project, program


def start(project: Project, *command: str) -> subprocess.Popen[str]:
    """Start a command as the leader of a new process group; `output_of` returns its output."""
    return subprocess.Popen(
        [program(command[0]), *command[1:]],
        cwd=project.folder,
        env=project.environment(),
        stdout=(project.folder.parent / "output.txt").open("a"),
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # As in a terminal. Tests that run in the background inherit that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def output_of(project: Project) -> str:
    """Return what all commands that `start` has started in a project have printed so far."""
    return (project.folder.parent / "output.txt").read_text()


def wait_until(condition: Callable[[], Any], seconds: float = 90) -> Any:
    """Wait until `condition` returns something true, and return that; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"timed out after {seconds} s"
        time.sleep(0.1)
    return result


def running_processes(project: Project, name: str = "") -> list[psutil.Process]:
    """Return the processes whose working directory is the project's folder.

    Args:
        project: the project.
        name: return only processes whose command line contains this.
    """
    running = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if process.cwd() == str(project.folder) and name in command and command:
                running.append(process)
        except psutil.Error:
            continue
    return running
