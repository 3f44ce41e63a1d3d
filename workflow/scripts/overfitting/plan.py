"""What the Snakefile must know of dvc.yaml: rules, their files, and what DVC says is stale.

The Snakemake that a user starts asks DVC for it, once, and writes it down. Its jobs on a cluster
read the Snakefile again, each in a process of its own, and take it from there.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import UserError
from .files import write_text

PLAN = Path(".snakemake", "plan.json")
VERDICTS = Path(".snakemake", "verdicts")


@dataclass(frozen=True)
class Plan:
    """The stages of `dvc.yaml` as rules and jobs."""

    outputs: dict[str, list[str]]
    """The outs of each rule; `{model}` stands where `dvc.yaml` has `${item.model}`."""
    wildcards: dict[str, list[str]]
    """The names of the wildcards of each rule, in the order in which DVC names its stages."""
    inputs: dict[str, list[str]]
    """The files that each stage reads, by the name by which DVC knows it: `train@baseline-0`."""
    stale: set[str]
    """The stages that DVC would look at: see `Pipeline.stale`."""

    def address(self, rule: str, wildcards: Mapping[str, str]) -> str:
        """Return the name by which DVC knows a job: `train@baseline-0`.

        Raises:
            UserError: `params.yaml` does not ask for that model and seed.
        """
        values = [wildcards[name] for name in self.wildcards[rule]]
        address = f"{rule}@{'-'.join(values)}" if values else rule
        if address not in self.inputs:
            raise UserError(f"there is no stage {address}: see compare and seeds in params.yaml")
        return address

    def write(self) -> None:
        """Leave it for other processes."""
        write_text(PLAN, json.dumps(asdict(self) | {"stale": sorted(self.stale)}))

    @classmethod
    def read(cls) -> "Plan":
        """Read what the Snakemake that a user has started has left."""
        written = json.loads(PLAN.read_text(encoding="utf-8"))
        return cls(**written | {"stale": set(written["stale"])})


def verdict(address: str) -> Path:
    """Return the file whose time tells Snakemake whether a stage is stale."""
    return VERDICTS / address
