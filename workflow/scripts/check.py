"""Check that Snakemake, DVC, the reports, params.yaml and the last commit agree.

Run by `make check`; exits with status 1 if something disagrees. DVC is called directly rather than
through the bridge that tells Snakemake which stages are stale, so that a bug in the bridge shows.
"""

import overfitting.common.environment  # noqa: F401

# isort: split
import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc.utils.serialize import load_yaml

from overfitting.common import params
from overfitting.common.console import print_check, run_script
from overfitting.common.errors import UserError

COMMITTED = ["params.yaml", "dvc.yaml", "dvc.lock", "reports", "workflow", "data/SHA256SUMS"]
SHARED, PRIVATE = Path(".dvc", "config"), Path(".dvc", "config.local")
SECRET = re.compile(  # a key of DVC's configuration, or a password in a URL
    r"^\s*(?:password|passphrase|custom_auth_header|connection_string|\w*secret\w*|\w*token|\w*_key)"
    r"\s*=|://[^/\s:@]*:[^/\s@]+@",
    flags=re.MULTILINE | re.IGNORECASE,
)
KEY_FILE = re.compile(r"^\s*keyfile\s*=\s*(.+?)\s*$", flags=re.MULTILINE | re.IGNORECASE)


def main(argv: list[str]) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    current = params.read(Path("params.yaml"))
    print("ok       params.yaml: every key is known, and every value is in its range")
    planned, stale = planned_by_snakemake(), stale_by_dvc()
    disagreements = [
        *print_check(
            "Snakemake and DVC",
            f"agree on what must run: {len(stale) or 'nothing'}" + (" stages" if stale else ""),
            engine_differences(stale, planned),
        ),
        *print_check(
            "reports", "show the models of params.yaml", model_differences(current.compare)
        ),
        *print_check(
            "remotes", "their secrets are not in Git, and only you can read them", exposed_secrets()
        ),
        *print_check(
            "last commit", "has the current params, code, dvc.lock and reports", uncommitted_files()
        ),
    ]
    for note in outdated_studies():
        print(f"note     {note}")
    if disagreements:
        raise UserError(f"{len(disagreements)} disagreement(s), see above")


def planned_by_snakemake() -> set[str]:
    """Return the stages that `snakemake` would run."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--printshellcmds", "--nocolor"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"snakemake --dry-run failed:\n{done.stderr}")
    return set(re.findall(r"dvc_bridge job (\S+)", done.stdout + done.stderr))


def stale_by_dvc() -> set[str]:
    """Return the stages that `dvc status` lists as changed, and all those downstream of them.

    Only stages of `dvc.yaml` and upstream of it, which are those that `dvc repro` would run.
    """
    *_, changed = output_of_dvc("status", "--json", "--with-deps", "dvc.yaml").splitlines()
    edges = re.findall(r'"(.+)" -> "(.+)"', output_of_dvc("dag", "--dot", "dvc.yaml"))
    stale: set[str] = set()
    frontier = set(json.loads(changed))
    while frontier:
        stale |= frontier
        frontier = {successor for stage, successor in edges if stage in frontier} - stale
    return stale


def output_of_dvc(*arguments: str) -> str:
    """Return the standard output of a DVC command."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"dvc {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


def engine_differences(by_dvc: set[str], by_snakemake: set[str]) -> list[str]:
    """Return a line for each stage that only one of the engines would run."""
    return [f"only DVC would run {stage}" for stage in sorted(by_dvc - by_snakemake)] + [
        f"only Snakemake would run {stage}" for stage in sorted(by_snakemake - by_dvc)
    ]


def model_differences(compare: list[str]) -> list[str]:
    """Return a line if the models in reports/metrics.json are not those of `compare`."""
    path = Path("reports/metrics.json")
    if not path.exists():
        return [f"{path} is missing; run `dvc repro`"]
    reported = list(json.loads(path.read_text(encoding="utf-8")))
    return [] if reported == compare else [f"{path} has {reported}, compare is {compare}"]


def exposed_secrets() -> list[str]:
    """Return a line for each secret of DVC's remotes in Git or in a file that others can read.

    DVC does not check this, not even for the key file that it passes to SSH.
    """
    shared, private = (
        path.read_text("utf-8") if path.exists() else "" for path in (SHARED, PRIVATE)
    )
    keys = [Path(name.strip("\"'")).expanduser() for name in KEY_FILE.findall(shared + private)]
    secret_files = [PRIVATE] * bool(SECRET.search(private)) + [key for key in keys if key.exists()]
    return [
        f"{SHARED} holds a secret, and Git would share it; create a new one and set it with "
        "`dvc remote modify --local`"
    ] * bool(SECRET.search(shared)) + [
        f"others can read {file}; `chmod 600 {shlex.quote(str(file))}`"
        for file in secret_files
        if file.stat().st_mode & 0o077
    ]


def outdated_studies() -> list[str]:
    """Return a line for each committed study whose code or params have changed since."""
    found, here = [], sources()
    for lock in sorted(Path("studies").glob("*/dvc.lock")):
        study = lock.parent
        try:
            changed = changed_since(study, here)
        except (UserError, DvcException) as error:
            found.append(f"{study}: {error}")
            continue
        if changed:
            found.append(
                f"{study}: made from other {', '.join(changed)}; "
                f"`make study STUDY={study.name}` makes it again"
            )
    return found


def changed_since(study: Path, here: dict[tuple[str, str], str]) -> list[str]:
    """Return the code and the params that have changed since a study was made.

    Args:
        study: a folder of `studies` with the dvc.lock that was collected.
        here: as `sources` returns it.

    Raises:
        UserError: the params of the study are invalid.
        DvcException: its dvc.lock is.
    """
    then: dict[tuple[str, str], str] = {}
    wanted = params.read(study / "params.yaml")
    runs = {f"{model}-{seed}" for model in wanted.compare for seed in wanted.seeds}
    given: dict[str, Any] = {}
    for name, stage in (load_yaml(study / "dvc.lock").get("stages") or {}).items():
        if "@" in name and name.partition("@")[2] not in runs:
            continue  # DVC keeps the entries of models and seeds that are no longer compared
        given |= stage.get("params", {}).get("params.yaml", {})
        for dep in stage.get("deps", []):
            if is_source(dep["path"]):
                then[name.partition("@")[0], dep["path"]] = dep["md5"]
    places = {place for place in here.keys() | then.keys() if here.get(place) != then.get(place)}
    changed = sorted({path for _, path in places})
    of_study = load_yaml(study / "params.yaml")
    for key, value in given.items():
        current: Any = of_study
        for part in key.split("."):
            current = current.get(part) if isinstance(current, dict) else None
        if current != value:
            changed.append(f"params ({key})")
    return changed


def sources() -> dict[tuple[str, str], str]:
    """Return the checksums of the stages' dependencies that are in Git, by stage and path.

    They are those of the working tree, whether or not a stage has been run with it.
    """
    with Repo() as repo:
        return {
            (stage.name.partition("@")[0], dep.def_path): dep.get_hash().value
            for stage in repo.index.stages
            if isinstance(stage, PipelineStage)
            for dep in stage.deps
            if is_source(dep.def_path) and dep.exists
        }


def is_source(path: str) -> bool:
    """Return whether a dependency is in Git rather than the result of a stage."""
    return path.startswith(("workflow/", "data/SHA256SUMS"))


def uncommitted_files() -> list[str]:
    """Return a line for each file of the pipeline or the report that is not committed."""
    command = ["git", "status", "--porcelain", "--", *COMMITTED]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return [f"git: {done.stderr.strip()}"]
    return [f"{line[3:]} is not committed" for line in done.stdout.splitlines()]


if __name__ == "__main__":
    run_script(main)
