"""Stages as they are written in `dvc.yaml`: what Snakemake must know before DVC resolves them.

The values of a `matrix` or a `foreach` become wildcards. What else DVC puts in place of `${…}` is
known only after DVC has resolved the file, which would take too long at every start of Snakemake.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ruamel.yaml

from .errors import BridgeError
from .files import find_files
from .plan import PIPELINE

VALUE = re.compile(r"\$\{\s*(item(?:\.\w+)?|key)\s*\}")
KEY = "key"
"""The wildcard for the values of a `foreach`."""


@dataclass(frozen=True)
class Definition:
    """A stage as it is written in a `dvc.yaml`."""

    group: str
    """How DVC addresses the stage, without the values of its `matrix` or `foreach`."""
    content: dict[str, Any]

    @property
    def wildcards(self) -> dict[str, str]:
        """The wildcard for each value of its `matrix` or `foreach`, by the name used in `${…}`."""
        if matrix := self.content.get("matrix"):
            return {f"item.{name}": name for name in matrix}
        if values := self.content.get("foreach"):
            scalars = isinstance(values, list) and not any(isinstance(v, dict) for v in values)
            return {"key": KEY, **({"item": KEY} if scalars else {})}
        return {}

    @property
    def address(self) -> str:
        """How DVC addresses the stage, with wildcards."""
        values = "-".join(f"{{{name}}}" for name in dict.fromkeys(self.wildcards.values()))
        return f"{self.group}@{values}" if values else self.group

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings for Snakemake, below `meta.snakemake`: `local`, `threads`, `resources`."""
        return snakemake_meta(self._stage)

    def outs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give its outs by their paths, and what the `meta.snakemake` of each says.

        Outs whose paths are not known before DVC resolves them are left out.
        """
        for kind in ("outs", "metrics", "plots"):
            for entry in self._stage.get(kind, []):
                [(path, about)] = entry.items() if isinstance(entry, dict) else [(entry, {})]
                path = os.path.normpath(Path(self._stage.get("wdir", "."), path))
                if (pattern := self._with_wildcards(path)) is not None:
                    yield pattern, snakemake_meta(about or {})

    @property
    def _stage(self) -> dict[str, Any]:
        return self.content.get("do", self.content)

    def _with_wildcards(self, text: str) -> str | None:
        """Put wildcards in place of `${…}`; None where that is not enough, or where one is missing.

        Snakemake needs every wildcard in each output of a rule.
        """
        wildcards = self.wildcards
        parts = VALUE.split(text)
        used = {wildcards.get(name) for name in parts[1::2]}
        if any("${" in part for part in parts[::2]) or used != set(wildcards.values()):
            return None
        parts[::2] = [part.replace("{", "{{").replace("}", "}}") for part in parts[::2]]
        parts[1::2] = [f"{{{wildcards[name]}}}" for name in parts[1::2]]
        return "".join(parts)


def read_definitions(root: Path) -> dict[str, Definition]:
    """Return the stages of all `dvc.yaml` files in and below a folder, by their groups.

    Files below it that are not valid are left to DVC, which may be told to ignore them.

    Raises:
        BridgeError: the file in the folder itself is not valid YAML.
    """
    definitions: dict[str, Definition] = {}
    for path in find_files(root, PIPELINE):
        name = path.relative_to(root).as_posix()
        try:
            content = ruamel.yaml.YAML(typ="safe").load(path)
        except (ruamel.yaml.error.YAMLError, UnicodeDecodeError) as error:
            if name != PIPELINE:
                continue
            raise BridgeError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from None
        stages = content.get("stages") if isinstance(content, dict) else None
        for stage, written in (stages if isinstance(stages, dict) else {}).items():
            if isinstance(written, dict):
                group = stage if name == PIPELINE else f"{name}:{stage}"
                definitions[group] = Definition(group, written)
    return definitions


def requested_resources(address: str, meta: Any) -> dict[str, Any]:
    """Return the threads and resources that a stage requests in its `meta.snakemake`.

    Raises:
        BridgeError: they are not what Snakemake takes.
    """
    settings = snakemake_meta({"meta": meta})
    threads, resources = settings.get("threads", 1), settings.get("resources", {})
    if type(threads) is not int or threads < 1:
        raise BridgeError(f"{address}: meta.snakemake.threads = {threads!r}: must be 1 or more")
    if not isinstance(resources, dict):
        raise BridgeError(f"{address}: meta.snakemake.resources = {resources!r}: must be a mapping")
    for name, value in resources.items():
        if type(value) not in (int, str):
            raise BridgeError(
                f"{address}: meta.snakemake.resources.{name} = {value!r}: must be an integer or "
                "a string"
            )
    return {"threads": threads, "resources": resources}


def snakemake_meta(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what is written for Snakemake in the free `meta` of a stage or an out."""
    meta = entry.get("meta")
    return (meta.get("snakemake") if isinstance(meta, dict) else None) or {}
