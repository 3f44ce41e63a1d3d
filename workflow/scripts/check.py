"""Say whether Snakemake, DVC, the reports, params.yaml and the last commit agree.

Run by `make check`. Ends with status 1 where something disagrees. DVC is asked
itself, not through the bridge that tells Snakemake what is stale: so a fault of that would show.
"""

import overfitting.common.check_environment  # noqa: F401

# isort: split
import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from overfitting.common import params
from overfitting.common.console import print_check, run_script
from overfitting.common.errors import UserError

COMMITTED = ["params.yaml", "dvc.yaml", "dvc.lock", "reports", "workflow", "data/SHA256SUMS"]
SHARED, PRIVATE = Path(".dvc", "config"), Path(".dvc", "config.local")
SECRET = re.compile(  # a key of DVC's configuration, or a password in an address
    r"^\s*(?:password|passphrase|custom_auth_header|connection_string|\w*secret\w*|\w*token|\w*_key)"
    r"\s*=|://[^/\s:@]*:[^/\s@]+@",
    flags=re.MULTILINE | re.IGNORECASE,
)
KEY_FILE = re.compile(r"^\s*keyfile\s*=\s*(.+?)\s*$", flags=re.MULTILINE | re.IGNORECASE)


def main(argv: list[str]) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    checked = params.read(Path("params.yaml"))
    print("ok       params.yaml: every key is known, every value in its range")
    planned, stale = planned_by_snakemake(), stale_by_dvc()
    disagreements = [
        *print_check(
            "Snakemake and DVC",
            f"agree on what must run: {len(stale) or 'nothing'}" + (" stages" if stale else ""),
            engines_differ(stale, planned),
        ),
        *print_check(
            "reports", "show the models of params.yaml", reported_models_differ(checked.compare)
        ),
        *print_check(
            "remotes", "their secrets are not in Git, and nobody else can read them", exposed()
        ),
        *print_check(
            "last commit", "holds params, code, dvc.lock and reports as they are", uncommitted()
        ),
    ]
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
    """Return the stages that `dvc status` names, and all that `dvc dag` draws downstream of them.

    Only those of `dvc.yaml` and upstream of it, which `dvc repro` would run.
    """
    *_, changed = asked_of_dvc("status", "--json", "--with-deps", "dvc.yaml").splitlines()
    arrows = re.findall(r'"(.+)" -> "(.+)"', asked_of_dvc("dag", "--dot", "dvc.yaml"))
    stale: set[str] = set()
    waiting = set(json.loads(changed))
    while waiting:
        stale |= waiting
        waiting = {later for earlier, later in arrows if earlier in waiting} - stale
    return stale


def asked_of_dvc(*words: str) -> str:
    """Return what a command of DVC prints."""
    done = subprocess.run([sys.executable, "-m", "dvc", *words], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"dvc {' '.join(words)} failed:\n{done.stderr}")
    return done.stdout


def engines_differ(by_dvc: set[str], by_snakemake: set[str]) -> list[str]:
    """Say which stages only one of the engines would run."""
    return [f"only DVC would run {stage}" for stage in sorted(by_dvc - by_snakemake)] + [
        f"only Snakemake would run {stage}" for stage in sorted(by_snakemake - by_dvc)
    ]


def reported_models_differ(compare: list[str]) -> list[str]:
    """Say where reports/metrics.json has other models than `compare` asks for."""
    path = Path("reports/metrics.json")
    if not path.exists():
        return [f"{path} is missing; run `dvc repro`"]
    reported = list(json.loads(path.read_text(encoding="utf-8")))
    return [] if reported == compare else [f"{path} has {reported}, compare is {compare}"]


def exposed() -> list[str]:
    """Say where secrets of DVC's remotes are in Git, or in files that others can read.

    DVC itself does not look, not even at the key file that it hands to SSH.
    """
    shared, private = (
        path.read_text("utf-8") if path.exists() else "" for path in (SHARED, PRIVATE)
    )
    keys = [Path(name.strip("\"'")).expanduser() for name in KEY_FILE.findall(shared + private)]
    to_keep = [PRIVATE] * bool(SECRET.search(private)) + [key for key in keys if key.exists()]
    return [
        f"{SHARED} holds a secret, and Git would share it; make a new one and set it with "
        "`dvc remote modify --local`"
    ] * bool(SECRET.search(shared)) + [
        f"others can read {file}; `chmod 600 {shlex.quote(str(file))}`"
        for file in to_keep
        if file.stat().st_mode & 0o077
    ]


def uncommitted() -> list[str]:
    """Say which files of the pipeline and the report differ from the last commit."""
    command = ["git", "status", "--porcelain", "--", *COMMITTED]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return [f"git: {done.stderr.strip()}"]
    return [f"{line[3:]} is not committed" for line in done.stdout.splitlines()]


if __name__ == "__main__":
    run_script(main)
