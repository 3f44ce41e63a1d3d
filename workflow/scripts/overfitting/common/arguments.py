"""Command-line arguments of the scripts, which distinguish input paths from output paths."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path


class ScriptArgumentParser(argparse.ArgumentParser):
    """A parser that rejects an output path that is also an input or another output."""

    def __init__(self, description: str | None):
        super().__init__(description=description)
        self._inputs: list[str] = []
        self._outputs: list[str] = []

    def add_input(self, name: str, description: str) -> None:
        """Add the path of an input."""
        self.add_argument(name, type=Path, help=description)
        self._inputs.append(name)

    def add_output(self, name: str, description: str, suffix: str = "") -> None:
        """Add the path of an output, whose name must end in `suffix`."""
        help_text = f"output: {description} ({suffix})" if suffix else f"output: {description}"
        self.add_argument(name, type=_path_ending_in(suffix), help=help_text)
        self._outputs.append(name)

    def parse(self, argv: list[str]) -> argparse.Namespace:
        """Return the parsed arguments; on an error, print the usage and exit with status 2."""
        if argv.count("--") > 1:  # Python 3.11's argparse parses the second as an empty list
            self.error("-- may be given only once")
        arguments = self.parse_args(argv)
        used: dict[Path, str] = {_location(getattr(arguments, name)): name for name in self._inputs}
        for name in self._outputs:
            path = getattr(arguments, name)
            if other := used.get(_location(path)):
                self.error(f"argument {name}: {path} is already used for {other}; use another path")
            used[_location(path)] = name
        return arguments


def _path_ending_in(suffix: str) -> Callable[[str], Path]:
    def path(text: str) -> Path:
        if not text.endswith(suffix):
            raise argparse.ArgumentTypeError(f"{text!r} must end in {suffix}")
        return Path(text)

    return path


def _location(path: Path) -> Path:
    """Resolve links in the parent folder only: a link at `path` itself would be replaced."""
    return Path(os.path.realpath(path.parent), path.name)
