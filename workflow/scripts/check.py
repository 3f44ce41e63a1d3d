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

from overfitting.common import params
from overfitting.common.console import print_check, run_script
from overfitting.common.errors import UserError
from overfitting.common.yaml_files import load_yaml

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
    for study in sorted(Path("studies").glob("*/dvc.lock")):
        if changed := changed_since(study.parent):
            print(
                f"note     {study.parent}: made from other {', '.join(changed)}; "
                f"`make study STUDY={study.parent.name}` makes it again"
            )
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


def changed_since(study: Path) -> list[str]:
    """Return what a study was made from that is not as it is now: code, as dvc.lock has it, params.

    Args:
        study: a folder of `studies` with the dvc.lock that was collected.
    """
    stages = {folder: locked_stages(folder) for folder in (Path(), study)}
    now, then = (code_of(found) for found in stages.values())
    changed = [path for path in then if path in now and now[path] != then[path]]
    params_now = load_yaml(study / "params.yaml")
    params_then: dict[str, Any] = {}
    for stage in stages[study]:
        params_then |= stage.get("params", {}).get("params.yaml", {})
    for key, value in params_then.items():
        current: Any = params_now
        for part in key.split("."):
            current = current.get(part) if isinstance(current, dict) else None
        if current != value:
            changed.append(f"params ({key})")
    return changed


def locked_stages(folder: Path) -> list[dict[str, Any]]:
    """Return what the dvc.lock in a folder has of the stages that the params.yaml there asks for.

    DVC keeps the entries of models and seeds that are no longer compared.
    """
    lock, asked = folder / "dvc.lock", load_yaml(folder / "params.yaml")
    runs = {f"{model}-{seed}" for model in asked["compare"] for seed in asked["seeds"]}
    stages = load_yaml(lock)["stages"] if lock.exists() else {}
    return [
        stage for name, stage in stages.items() if "@" not in name or name.partition("@")[2] in runs
    ]


def code_of(stages: list[dict[str, Any]]) -> dict[str, str]:
    """Return the checksums that entries of a dvc.lock have of code, by path."""
    return {
        dep["path"]: dep["md5"]
        for stage in stages
        for dep in stage.get("deps", [])
        if dep["path"].startswith("workflow/")
    }


def uncommitted_files() -> list[str]:
    """Return a line for each file of the pipeline or the report that is not committed."""
    command = ["git", "status", "--porcelain", "--", *COMMITTED]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return [f"git: {done.stderr.strip()}"]
    return [f"{line[3:]} is not committed" for line in done.stdout.splitlines()]


if __name__ == "__main__":
    run_script(main)
