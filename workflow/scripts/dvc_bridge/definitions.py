"""Stages as they are written in `dvc.yaml`, with Snakemake's wildcards in place of a matrix."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ruamel.yaml

from .errors import BridgeError
from .plan import PIPELINE

ITEM = re.compile(r"\$\{\{\s*item\.(\w+)\s*\}\}")
"""Where the definition of a stage with a `matrix` takes one of its values, braces doubled."""


@dataclass(frozen=True)
class Definition:
    """A stage of `dvc.yaml`; its texts have a wildcard for each value of its matrix."""

    name: str
    content: dict[str, Any]

    @property
    def wildcards(self) -> list[str]:
        """The names of the values of its matrix."""
        return list(self.content.get("matrix", {}))

    @property
    def address(self) -> str:
        """The address by which `dvc repro` takes it."""
        values = "-".join(f"{{{name}}}" for name in self.wildcards)
        return f"{self.name}@{values}" if values else self.name

    @property
    def message(self) -> str:
        """Its `desc`."""
        return _with_wildcards(self.content.get("desc", f"Stage {self.name}"))

    @property
    def is_local(self) -> bool:
        """Whether it has `local` in its `meta.snakemake`."""
        return bool(_meta(self.content).get("local"))

    def outs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give its outs by their paths, and what the `meta.snakemake` of each says."""
        for kind in ("outs", "metrics", "plots"):
            for entry in self.content.get(kind, []):
                [(path, about)] = entry.items() if isinstance(entry, dict) else [(entry, {})]
                path = os.path.normpath(Path(self.content.get("wdir", "."), path))
                yield _with_wildcards(path), _meta(about or {})


def read_definitions(root: Path) -> dict[str, Definition]:
    """Return the stages of the `dvc.yaml` in a folder by name.

    Raises:
        BridgeError: the file is not valid YAML, or has no stages.
    """
    if not (root / PIPELINE).exists():
        return {}
    try:
        content = ruamel.yaml.YAML(typ="safe").load(root / PIPELINE)
    except (ruamel.yaml.error.YAMLError, UnicodeDecodeError) as error:
        raise BridgeError(f"{PIPELINE} is not valid YAML: {' '.join(str(error).split())}") from None
    stages = content.get("stages") if isinstance(content, dict) else None
    if not isinstance(stages, dict):
        raise BridgeError(f"{PIPELINE} has no stages")
    return {name: Definition(name, stage or {}) for name, stage in stages.items()}


def _meta(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what is written for Snakemake in the free `meta` of a stage or an out."""
    meta = entry.get("meta")
    return (meta.get("snakemake") if isinstance(meta, dict) else None) or {}


def _with_wildcards(text: str) -> str:
    """Put Snakemake's wildcards in place of DVC's `${item.…}`."""
    return ITEM.sub(r"{\1}", text.replace("{", "{{").replace("}", "}}"))
