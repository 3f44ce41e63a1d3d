"""Stands in for the script of a stage where only the engines matter: quick, and without TensorFlow.

Each out says, by a hash, from which files and params it was made. Copied over the scripts of a
project; `python workflow/scripts/train.py baseline 0 …` then makes the outs of that stage.
"""

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from overfitting.common import params, yaml_files
from overfitting.common.console import run_script, start_log
from overfitting.common.files import PARTIAL, write_text

SECONDS_AN_EPOCH = 0.1


def make(stage: str, arguments: list[str]) -> None:
    """Make the outs of a stage in the current folder."""
    definition = yaml_files.load_yaml(Path("dvc.yaml"))["stages"][stage]
    wildcards = dict(zip(definition.get("matrix", {}), arguments, strict=False))
    declared = params.stage_params(stage, wildcards)
    if stage == "report":
        remove_other_runs(declared)
    if stage == "train":
        pretend_to_train(declared, wildcards["model"], wildcards["seed"])
    deps = [Path(filled(dep, wildcards)) for dep in definition["deps"]]
    seen = digest(repr(declared), deps)
    for entry in definition.get("outs", []) + definition.get("metrics", []):
        path = Path(filled(entry if isinstance(entry, str) else next(iter(entry)), wildcards))
        write_text(path, metrics(declared) if path.name == "metrics.json" else f"{path} {seen}\n")


def pretend_to_train(declared: dict[str, Any], model: str, seed: str) -> None:
    """Take time, and say how far it is; what counts is that somebody can be killed meanwhile."""
    log = start_log("train", f"{model}-{seed}")
    trained_as = params.effective_training(declared["training"], declared[f"models.{model}"])
    for epoch in range(1, trained_as.epochs + 1):
        time.sleep(SECONDS_AN_EPOCH)
        log.info("epoch %2d/%d", epoch, trained_as.epochs)


def metrics(declared: dict[str, Any]) -> str:
    """As the report's: something for each model that changes if its results do."""
    made = {
        model: {"made of": digest("", [Path("results", model)])} for model in declared["compare"]
    }
    return json.dumps(made, indent=2) + "\n"


def digest(text: str, paths: list[Path]) -> str:
    """A hash of a text and of all files that stand at paths."""
    seen = hashlib.sha256(text.encode())
    for path in paths:
        for file in files_in(path):
            seen.update(file.as_posix().encode() + file.read_bytes())
    return seen.hexdigest()


def remove_other_runs(declared: dict[str, Any]) -> None:
    """As the report does: what a removed model or seed left would count as a change."""
    for run in Path("results").glob("*/*"):
        if not (run.parent.name in declared["compare"] and int(run.name) in declared["seeds"]):
            shutil.rmtree(run)


def files_in(path: Path) -> Iterator[Path]:
    """Give the files that a dep stands for, in order."""
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    yield from (one for one in found if one.is_file() and not one.name.startswith(PARTIAL))


def filled(text: str, wildcards: dict[str, str]) -> str:
    """Put model and seed where dvc.yaml has `${item.model}` and `${item.seed}`."""
    for name, value in wildcards.items():
        text = text.replace(f"${{item.{name}}}", value)
    return text


if __name__ == "__main__":
    run_script(partial(make, Path(sys.argv[0]).stem))
