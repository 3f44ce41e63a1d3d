"""A dvc.lock as text: the entry of one stage is read or replaced without parsing the others.

DVC parses the whole file when it starts, and parses and writes it again at the end of each stage.
That takes time in proportion to the number of stages, for each stage. DVC always writes the same
layout: below `stages:`, the name of each stage, indented by two spaces, and its entry indented
further. YAML quotes some names, and writes those above 128 characters as `? name`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from dvc.utils.serialize import dumps_yaml, parse_yaml

from .files import atomic_write

HEAD = "schema: '2.0'\n"
OPENING = "stages:\n"
KEY = re.compile(r"^\S", re.MULTILINE)
"""Where a key of the file begins, beside `stages`."""
ENTRY = re.compile(r"^  (?=[^ :])", re.MULTILINE)
"""Where the lines of a stage begin."""
PLAIN_NAME = re.compile(r"  ([^'\"?].*):\n")


@dataclass
class LockText:
    """The text of a dvc.lock in three parts: what precedes the stages, the stages, the rest."""

    head: str = HEAD
    stages: str = ""
    tail: str = ""

    @classmethod
    def read(cls, path: Path) -> "LockText":
        """Read a dvc.lock; one that does not exist has no stages."""
        return cls.of(path.read_text(encoding="utf-8") if path.is_file() else "")

    @classmethod
    def of(cls, text: str) -> "LockText":
        """Split the text of a dvc.lock into its parts."""
        if not text:
            return cls()
        head, _, rest = text.replace("stages: {}\n", OPENING).partition(OPENING)
        end = KEY.search(rest)
        middle = end.start() if end else len(rest)
        return cls(head, rest[:middle], rest[middle:])

    def write(self, path: Path) -> None:
        """Write it atomically, which DVC itself does not do."""
        atomic_write(path, str(self))

    def __str__(self) -> str:
        return f"{self.head}{OPENING}{self.stages}{self.tail}"

    def names(self) -> list[str]:
        """Return the names of its stages, in their order."""
        return [_name(entry) for entry in self._entries()]

    def entry(self, name: str) -> str:
        """Return the lines of a stage, or an empty text if there is no such stage."""
        start, end = self._place(name)
        return self.stages[start:end]

    def put(self, name: str, entry: str) -> None:
        """Replace the lines of a stage, or append them if there is no such stage."""
        start, end = self._place(name)
        self.stages = self.stages[:start] + entry + self.stages[end:]

    def sort(self, names: Iterable[str]) -> None:
        """Sort the named stages to the front, in that order; the others follow as they are."""
        entries = {_name(entry): entry for entry in self._entries()}
        first = [entries.pop(name) for name in names if name in entries]
        self.stages = "".join((*first, *entries.values()))

    def _entries(self) -> list[str]:
        starts = [*(found.start() for found in ENTRY.finditer(self.stages)), len(self.stages)]
        return [self.stages[start:end] for start, end in pairwise(starts)]

    def _place(self, name: str) -> tuple[int, int]:
        opening = _opening(name)
        if self.stages.startswith(opening):
            start = 0
        elif (before := self.stages.find(f"\n{opening}")) >= 0:
            start = before + 1
        else:
            return len(self.stages), len(self.stages)
        end = ENTRY.search(self.stages, start + len(opening))
        return start, end.start() if end else len(self.stages)


@cache
def _opening(name: str) -> str:
    """Return how the lines of a stage begin: its name, as DVC writes it."""
    text = dumps_yaml({"stages": {name: {"cmd": ""}}}).removeprefix(OPENING)
    return text[: text.rindex("cmd:")].rstrip(" ")


def _name(entry: str) -> str:
    """Return the name with which the lines of a stage begin."""
    if plain := PLAIN_NAME.match(entry):
        return plain[1]
    return next(iter(parse_yaml(OPENING + entry, "dvc.lock")["stages"]))
