"""What the figures were measured on and with, as rows of the results."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ["tensorflow", "keras", "numpy", "dvc", "snakemake", "torch"]


def rows(section: str, rounds: int, earlier: list[dict[str, str]]) -> list[dict[str, object]]:
    """Return a row per fact about this machine and the versions installed on it.

    Where rounds are added to `earlier` ones, a fact that has changed since has both values.
    """
    facts: dict[str, object] = {
        "date": time.strftime("%Y-%m-%d"),
        "rounds": rounds,
        "processor": processor(),
        "cores": psutil.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    }
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    for row in earlier:
        if row["case"] == "machine" and row["figure"] != "rounds":
            fact = row["figure"]
            values = [*row["value"].split("; "), str(facts[fact])]
            facts[fact] = "; ".join(dict.fromkeys(values))
    return [
        {"section": section, "case": "machine", "round": "", "figure": fact, "value": value}
        for fact, value in facts.items()
    ]


def processor() -> str:
    """Return the processor's name and the widest vectors it computes with."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    facts = dict(
        [part.strip() for part in line.split(":", 1)]
        for line in cpuinfo.read_text().split("\n\n")[0].splitlines()
        if ":" in line
    )
    flags = facts.get("flags", "").split()
    vectors = next((name for name in ("avx512f", "avx2", "avx") if name in flags), "no AVX")
    return f"{facts.get('model name', platform.machine())} ({vectors})"
