"""What Snakemake must know of a `dvc.yaml`: the stages, what they read, and which are stale.

The Snakemake that a user starts asks DVC (see `planner`) and writes the answer down. Its jobs,
which on a cluster are processes of their own, read it from there, without DVC.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .errors import BridgeError
from .files import atomic_write

PIPELINE = "dvc.yaml"
PLAN = Path(".snakemake", "dvc", "plan.json")
MAX_FILE_NAME = 150
"""Bytes of the address in a file's name; most file systems allow 255 for the whole name."""
PERIODIC = re.compile(r"(.+?)\1{15}$")
"""Fewer repetitions than the 20 that Snakemake refuses."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage as Snakemake needs it."""

    group: str
    """The address without the values of its `matrix` or `foreach`, which all its stages share."""
    message: str
    """Its `desc`."""
    inputs: dict[str, list[str]]
    """The addresses of the stages upstream, each with those of its outs that this stage reads."""
    stale: bool
    """Whether DVC would run it, or a stage upstream of it."""
    threads: int = 1
    """How many threads its command uses."""
    resources: dict[str, int | str] = field(default_factory=dict)
    """Snakemake's resources that it requests, such as `mem_mb`."""

    def files(self) -> list[str]:
        """Return the outs of other stages that it reads."""
        return [path for paths in self.inputs.values() for path in paths]


@dataclass(frozen=True)
class Plan:
    """The stages that `dvc repro` would look at, in its order."""

    stages: dict[str, PlannedStage]
    """By address: as `dvc repro` takes a stage, such as `fit@a-0` or `sub/dvc.yaml:fit`."""
    lock_order: dict[str, list[str]]
    """For each dvc.lock, by its relative path, the order in which `dvc repro` would leave it."""
    ignored: dict[str, list[str]]
    """For each `.gitignore` that does not exist yet, the lines that `dvc repro` would write."""
    machine: str
    """The machine on which the plan was made: PIDs are valid there alone."""

    def stale(self) -> list[str]:
        """Return the addresses of the stages that must run, or be looked at by DVC again."""
        return [address for address, stage in self.stages.items() if stage.stale]

    def write(self) -> None:
        """Write it for the jobs of this run."""
        atomic_write(PLAN, json.dumps(asdict(self)))

    @classmethod
    def read(cls) -> "Plan":
        """Read the plan of the Snakemake that a user started last.

        Raises:
            BridgeError: it is missing or corrupt.
        """
        try:
            written = json.loads(PLAN.read_text(encoding="utf-8"))
            stages = {
                address: PlannedStage(**stage) for address, stage in written["stages"].items()
            }
            return cls(**written | {"stages": stages})
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            raise BridgeError(
                f"{PLAN} is missing or corrupt; run the same `snakemake` command again"
            ) from None


def file_name(address: str) -> str:
    """Return the name, or relative path, of the files that belong to one stage.

    It is the address of the stage, if possible. Braces, which Snakemake takes for wildcards, and
    slashes in the values of a matrix are quoted. An address that is too long, or ends in many
    repetitions, which Snakemake takes for an endless recursion, is cut off and gets a hash.
    """
    stage, at, values = address.partition("@")
    name = _quoted(stage, "{}%") + at + _quoted(values, "{}%/")
    if len(name.encode()) <= MAX_FILE_NAME and not PERIODIC.search(name):
        return name
    digest = hashlib.sha256(address.encode()).hexdigest()[:16]
    return f"{name.encode()[:MAX_FILE_NAME].decode(errors='ignore')}~{digest}"


def _quoted(text: str, characters: str) -> str:
    return re.sub(rf"[{re.escape(characters)}\x00-\x1f]", lambda c: f"%{ord(c[0]):02X}", text)


def require_project(root: Path, pipeline: bool = True) -> None:
    """Refuse a folder without a DVC project; nothing may be written there.

    Args:
        root: the folder.
        pipeline: whether it must have a `dvc.yaml`.

    Raises:
        BridgeError: it has no `.dvc`, or no `dvc.yaml`.
    """
    needed = [".dvc", *[PIPELINE] * pipeline]
    lacking = [name for name in needed if not (root / name).exists()]
    if lacking:
        raise BridgeError(
            f"{root} has no {' and no '.join(lacking)}; start Snakemake in the folder of a DVC "
            "project, or name that folder with --directory"
        )
