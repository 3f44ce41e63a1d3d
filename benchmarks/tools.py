"""dvc_bridge beside other ways to run a dvc.yaml, on made graphs: a function per section."""

import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from functools import cache, partial
from itertools import product
from pathlib import Path

import psutil
from support.processes import running_processes, start, wait_until
from support.project import ROOT

from checkout import Checkout, Measure, Measured
from graphs import Graph
from overfitting.common.errors import UserError

SNAKEMAKE = f"snakemake --snakefile '{ROOT}/workflow/scripts/dvc_bridge/Snakefile' --cores"
PARAFFIN = ["paraffin==0.3.7", "sqlmodel==0.0.24", "dvc==3.67.*"]  # fails with a later sqlmodel
SMALL = Graph([1, 5, 14, 5, 1], seconds=2)
LARGE = Graph([1, 10, 30, 30, 20, 8, 1], seconds=2)
KILLED = Graph([1, 4, 1], seconds=12)
EMPTY = Graph([10, 30, 70, 30, 10], seconds=0)
DONE = Graph([200] * 10, seconds=0)
FINISHED = "finishes the work"


def commands(graph: Graph, cores: int, scratch: Path) -> dict[str, str]:
    """Return for each tool a shell command that runs all stages of a graph, so many at once."""
    each = f"xargs -P {cores} -n 1 dvc --wait-for-lock repro --single-item"
    found = {
        "dvc repro": "exec dvc repro",
        "dvc_bridge": f"exec {SNAKEMAKE} {cores}",
        # Level by level, as DVC started for a single stage does not wait for those upstream.
        "xargs": " && ".join(f"echo {' '.join(level)} | {each}" for level in graph.levels),
    }
    if programs := paraffin(scratch):
        # Workers leave when they have found nothing to do for so long, even if a stage still runs.
        worker = f"exec paraffin worker --jobs {cores} --timeout 20"
        found["paraffin"] = f"PATH='{programs}':$PATH; paraffin submit && {worker}"
    return found


@cache
def paraffin(scratch: Path) -> Path | None:
    """Return the folder of paraffin's programs; none where it cannot be installed."""
    folder = scratch / "paraffin"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    installed = subprocess.run([folder / "bin" / "pip", "install", "-qq", *PARAFFIN])
    return None if installed.returncode else folder / "bin"


def compared(graph: Graph, scratch: Path, number: int) -> list[Measure]:
    """All stages of a graph by each tool, two and four at once."""

    def whole(tool: str, cores: int) -> Measured:
        checkout, begun = graph.lay_out(scratch), time.time()
        figures = checkout.timed("sh", "-c", commands(graph, cores, scratch)[tool])
        if tool == "paraffin":  # without the seconds in which its workers wait for more
            figures["wall"] = (checkout.folder / "dvc.lock").stat().st_mtime - begun
        yield f"{tool}, {cores}", {**figures, "result": result(graph, checkout)}

    _, *parallel = commands(graph, 2, scratch)
    cases = [("dvc repro", 1), *product(parallel, (2, 4))]
    return [partial(whole, tool, cores) for tool, cores in cases]


def result(graph: Graph, checkout: Checkout) -> str:
    """Return in words how a project compares with one in which `dvc repro` has finished."""
    found = []
    for name, text in graph.results().items():
        path = checkout.folder / name
        lines = path.read_text().splitlines() if path.exists() else []
        if lines != text.splitlines():
            same = sorted(lines) == sorted(text.splitlines())
            found.append(f"`{name}` {'in another order' if same else 'differs'}")
    if "up to date" not in checkout.run("dvc", "status", check=False).stdout:
        found.append("not up to date")
    return ", ".join(found) or "the same bytes"


def killed(scratch: Path, number: int) -> list[Measure]:
    """Each tool, killed while stages run: what is at work later, and whether it starts again."""

    def kill(tool: str, command: str) -> Measured:
        checkout = KILLED.lay_out(scratch)
        process = start(checkout, "sh", "-c", command)
        wait_until(lambda: (checkout.folder / "s0-0.txt").exists() and at_work(checkout)["sleep"])
        time.sleep(3)  # until as many stages run as the tool starts
        process.kill()
        process.wait()
        time.sleep(5)
        left = ", ".join(f"{count} × {name}" for name, count in at_work(checkout).items())
        again = run_again(checkout, command)
        wait_until(lambda: not at_work(checkout))
        later = "" if again == FINISHED else f"; later: {run_again(checkout, command)}"
        yield tool, {"left": left or "nothing", "again": again + later}

    return [partial(kill, *tool) for tool in commands(KILLED, 4, scratch).items()]


def at_work(checkout: Checkout) -> Counter[str]:
    """Count the processes in a project's folder by their names."""
    names: Counter[str] = Counter()
    for process in running_processes(checkout):
        with suppress(psutil.Error):  # it has ended
            names[process.name()] += 1
    return names


def run_again(checkout: Checkout, command: str) -> str:
    """Run a command again after it was killed; return in words whether it does what was left."""
    with suppress(UserError):
        checkout.timed("timeout", "300", "sh", "-c", command)
    found = result(KILLED, checkout)
    if "not up to date" not in found and ".txt` differs" not in found:
        return FINISHED
    errors = [line for _, line in checkout.lines if re.match(r"\w*error: ", line, re.IGNORECASE)]
    error = errors[0].replace(f"{checkout.folder}/", "").rstrip(",:") if errors else found
    return f"fails: {error}"


def engines(scratch: Path, number: int) -> list[Measure]:
    """The engines' own work: stages that do nothing, and a plan of thousands that are done."""

    def by_bridge() -> Measured:
        yield "dvc_bridge", EMPTY.lay_out(scratch).timed("sh", "-c", f"{SNAKEMAKE} 4")

    def by_dvc() -> Measured:
        checkout, last = EMPTY.lay_out(scratch), EMPTY.levels[-1][-1]
        yield "dvc repro", checkout.timed("dvc", "repro")
        yield "single item", checkout.timed("dvc", "repro", "--force", "--single-item", last)

    def planning() -> Measured:
        checkout = DONE.lay_out(scratch)
        DONE.finish(checkout.folder)
        checkout.timed("dvc", "status")  # reads every file once, and remembers
        asked = checkout.timed("dvc", "status")
        planned = checkout.timed("sh", "-c", f"{SNAKEMAKE} 4 --dry-run")
        yield "dvc status", asked
        yield "planning", {**planned, "beyond": planned["cpu"] - asked["cpu"]}

    return [by_bridge, by_dvc, planning]
