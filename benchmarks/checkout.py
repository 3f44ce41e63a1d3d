"""A folder in which commands are timed as a user would type them."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from support.project import Project, program

from overfitting.common.errors import UserError

Measured = Iterator[tuple[str, Mapping[str, float | str]]]
"""Cases, and the figures of each: numbers, or what was found in words."""
Measure = Callable[[], Measured]


@dataclass(frozen=True)
class Checkout(Project):
    """A project, and what the last command that was timed in it has printed."""

    lines: list[tuple[float, str]] = field(default_factory=list)
    """Each line, after seconds since the start of the command."""

    def environment(self, **changes: str) -> dict[str, str]:
        """Return a user's environment."""
        inherited = super().environment(TF_CPP_MIN_LOG_LEVEL="3")
        inherited["FASHION_MNIST_DIR"] = os.environ.get("FASHION_MNIST_DIR", "")
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)  # would make each import of TensorFlow slow
        return inherited | changes

    def timed(self, *command: str, **environment: str) -> dict[str, float]:
        """Run a command, keep the lines it prints, return what it took.

        Returns:
            `wall` and `cpu` in seconds, `peak` in MiB: the memory of the largest process, but
            never less than this one has, which a command inherits for a moment.

        Raises:
            UserError: it failed.
        """
        begun = time.perf_counter()
        process = subprocess.Popen(
            [program(command[0]), *command[1:]],
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout
        self.lines[:] = [(time.perf_counter() - begun, line.rstrip()) for line in process.stdout]
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - begun
        if process.returncode:
            last = "\n".join(line for _, line in self.lines[-20:])
            raise UserError(f"{' '.join(command)} failed:\n{last}")
        seconds = {"wall": wall, "cpu": used.ru_utime + used.ru_stime}
        return seconds | {"peak": used.ru_maxrss / 1024}
