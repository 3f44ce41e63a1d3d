"""A stub for the scripts of all stages, for tests of the engines: fast, and without TensorFlow.

Each output contains a hash of the files and params that the stage depends on. The stub replaces the
scripts of a project; `python workflow/scripts/train.py baseline 0 …` then writes the outputs of
that stage.
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

SECONDS_PER_EPOCH = 0.1


def make(stage: str, arguments: list[str]) -> None:
    """Write the outputs of a stage in the current folder."""
    definition = yaml_files.load_yaml(Path("dvc.yaml"))["stages"][stage]
    wildcards = dict(zip(definition.get("matrix", {}), arguments, strict=False))
    declared = params.stage_params(stage, wildcards)
    if stage == "report":
        remove_other_runs(declared)
    if stage == "train":
        pretend_to_train(declared, wildcards["model"], wildcards["seed"])
    deps = [Path(interpolate(dep, wildcards)) for dep in definition["deps"]]
    digest_of_deps = digest(repr(declared), deps)
    for entry in definition.get("outs", []) + definition.get("metrics", []):
        path = Path(interpolate(entry if isinstance(entry, str) else next(iter(entry)), wildcards))
        if path.name == "metrics.json":
            write_text(path, metrics(declared))
        else:
            write_text(path, f"{path} {digest_of_deps}\n")


def pretend_to_train(declared: dict[str, Any], model: str, seed: str) -> None:
    """Log an epoch every `SECONDS_PER_EPOCH`, so that tests can kill a training in the middle."""
    log = start_log("train", f"{model}-{seed}")
    settings = params.effective_training(declared["training"], declared[f"models.{model}"])
    for epoch in range(1, settings.epochs + 1):
        time.sleep(SECONDS_PER_EPOCH)
        log.info("epoch %2d/%d", epoch, settings.epochs)


def metrics(declared: dict[str, Any]) -> str:
    """Return a stub for metrics.json: for each model a hash of its results."""
    hashes = {
        model: {"hash": digest("", [Path("results", model)])} for model in declared["compare"]
    }
    return json.dumps(hashes, indent=2) + "\n"


def digest(text: str, paths: list[Path]) -> str:
    """Return a hash of a text and of the files at or below the paths."""
    hasher = hashlib.sha256(text.encode())
    for path in paths:
        for file in files_in(path):
            hasher.update(file.as_posix().encode() + file.read_bytes())
    return hasher.hexdigest()


def remove_other_runs(declared: dict[str, Any]) -> None:
    """Remove the results of models and seeds that are not in params.yaml, as the report does.

    DVC tracks the whole folder of results, so leftovers would count as a change.
    """
    for run in Path("results").glob("*/*"):
        if not (run.parent.name in declared["compare"] and int(run.name) in declared["seeds"]):
            shutil.rmtree(run)


def files_in(path: Path) -> Iterator[Path]:
    """Yield the file at a path, or the files in the folder at a path that DVC sees, in order."""
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        unseen = file.name.startswith(PARTIAL) or file.parent.name == "__pycache__"
        if file.is_file() and not unseen:
            yield file


def interpolate(text: str, wildcards: dict[str, str]) -> str:
    """Replace `${item.model}` and `${item.seed}` in a string of dvc.yaml."""
    for name, value in wildcards.items():
        text = text.replace(f"${{item.{name}}}", value)
    return text


if __name__ == "__main__":
    run_script(partial(make, Path(sys.argv[0]).stem))
