"""What the figures were measured on and with."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ["tensorflow", "keras", "numpy", "dvc", "snakemake", "torch"]


def facts(rounds: int) -> dict[str, object]:
    """Return the facts about this machine and the versions installed on it, by name."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "rounds": rounds,
        "processor": processor(),
        "cores": psutil.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    } | {package: installed(package) for package in PACKAGES}


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


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
