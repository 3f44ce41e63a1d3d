"""The command line of a script: what it reads and what it writes, told apart."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path


class Arguments(argparse.ArgumentParser):
    """A parser that lets no script write over what it reads, or two things to one place."""

    def __init__(self, description: str | None):
        super().__init__(description=description)
        self._read: list[str] = []
        self._written: list[str] = []

    def reads(self, name: str, what: str) -> None:
        """Add the path of something to read."""
        self.add_argument(name, type=Path, help=what)
        self._read.append(name)

    def writes(self, name: str, what: str, suffix: str = "") -> None:
        """Add the path of something to write, whose name must end in `suffix`."""
        help = f"{what}, to write ({suffix})" if suffix else f"{what}, to write to"
        self.add_argument(name, type=_path_ending_in(suffix), help=help)
        self._written.append(name)

    def parsed(self, argv: list[str]) -> argparse.Namespace:
        """Return the values by name; a wrong one ends the script, in a line, with status 2."""
        if argv.count("--") > 1:  # Python 3.11's argparse takes the second for an empty list
            self.error("-- may stand once")
        found = self.parse_args(argv)
        taken: dict[Path, str] = {_place(getattr(found, name)): name for name in self._read}
        for name in self._written:
            path = getattr(found, name)
            if other := taken.get(_place(path)):
                self.error(f"argument {name}: {path} is {other} already; name another path")
            taken[_place(path)] = name
        return found


def _path_ending_in(suffix: str) -> Callable[[str], Path]:
    def path(text: str) -> Path:
        if not text.endswith(suffix):
            raise argparse.ArgumentTypeError(f"{text!r} must end in {suffix}")
        return Path(text)

    return path


def _place(path: Path) -> Path:
    """Where a file would be written: a link there would be replaced, links to its folder not."""
    return Path(os.path.realpath(path.parent), path.name)
