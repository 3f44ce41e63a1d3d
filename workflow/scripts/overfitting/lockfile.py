"""dvc.lock as text: the entry of one stage is read or replaced without parsing those of the others.

DVC parses the whole file and writes it anew at the end of every stage. That takes as long as there
are stages: a hundred times as many stages would cost ten thousand times as much. DVC always writes
the same form: a line a stage at two spaces, and what belongs to it further in.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .files import write_text

HEAD = "schema: '2.0'\nstages:\n"


@dataclass
class Lock:
    """The text of a dvc.lock, in parts; together they are the whole."""

    head: str = HEAD
    stages: dict[str, str] = field(default_factory=dict)
    """The lines of each stage, by its name, in their order."""
    tail: str = ""

    @classmethod
    def read(cls, path: Path) -> "Lock":
        """Read a dvc.lock; one that is not there has no stages."""
        return cls.of(path.read_text(encoding="utf-8") if path.is_file() else "")

    def write(self, path: Path) -> None:
        """Write it, whole or not at all, which DVC itself does not."""
        write_text(path, str(self))

    @classmethod
    def of(cls, text: str) -> "Lock":
        """Take the text of a dvc.lock apart; none is one without stages."""
        if not text:
            return cls()
        text = text.replace("\nstages: {}\n", "\nstages:\n")
        before, opening, after = text.partition("\nstages:\n")
        lock, name = cls(before + opening), ""
        lines = after.splitlines(keepends=True)
        for number, line in enumerate(lines):
            if not line.startswith(" "):  # a key beside `stages`
                lock.tail = "".join(lines[number:])
                break
            if line.startswith("   "):
                lock.stages[name] += line
            else:
                name = line.strip(" :\n")
                lock.stages[name] = line
        return lock

    def __str__(self) -> str:
        return "".join((self.head, *self.stages.values(), self.tail))

    def alone(self, name: str) -> str:
        """Return a dvc.lock with only one stage in it; without any, if it has no such stage."""
        return HEAD + self.stages[name] if name in self.stages else "schema: '2.0'\n"

    def in_order(self, names: Iterable[str]) -> None:
        """Put the stages that are named first, in that order; the others stay behind them."""
        first = {name: self.stages.pop(name) for name in names if name in self.stages}
        self.stages = first | self.stages
