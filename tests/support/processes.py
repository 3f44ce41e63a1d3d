"""Processes of a project: starting, watching and waiting for them."""

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil

from support.project import Project, program


def start(project: Project, *command: str) -> subprocess.Popen[str]:
    """Start a command as the leader of a process group, its output in a file."""
    return subprocess.Popen(
        [program(command[0]), *command[1:]],
        cwd=project.folder,
        env=project.environment(),
        stdout=(project.folder.parent / "output.txt").open("a"),
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # As in a terminal; tests that run in the background inherit that it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def output_of(project: Project) -> str:
    return (project.folder.parent / "output.txt").read_text()


def wait_until(condition: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return result


def running_processes(project: Project, name: str = "") -> list[psutil.Process]:
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
