"""A checkout with many runs, all of them done, in which only the engines have work to do.

The stages are stubs (tests/support/stub_stage.py) and their results a few bytes, so that a plan
of thousands of runs can be laid out in minutes; the engines and everything between them are real.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from checkout import ROOT, Checkout
from dvc_bridge.lockfile import OPENING, LockText

MODELS = ["baseline", "regularized"]
STUB_STAGES = ["download", "subset", "corruptions", "train", "evaluate", "report"]
RUNS = 5
"""So many are trained and evaluated anew to measure a job: as many as the smallest plan has."""
CONTENT = b"a stand-in\n"


class ManyStages(Checkout):
    """A clone with `runs` trainings, each of one model with one seed, and as many evaluations."""

    def __init__(self, folder: Path, runs: int):
        super().__init__(folder)
        self.runs = runs
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        (folder / ".venv").symlink_to(Path(sys.prefix))
        for stage in STUB_STAGES:
            script = folder / "workflow" / "scripts" / f"{stage}.py"
            shutil.copy(ROOT / "tests" / "support" / "stub_stage.py", script)
        seeds = list(range(runs // len(MODELS)))
        self.edit(lambda params: params.update(seeds=seeds, compare=MODELS))
        self.edit(lambda params: params["training"].update(epochs=1))
        self.run("python", str(Path(__file__)), str(self.folder))
        self.run("snakemake", "-n")  # DVC reads every file once, and remembers

    def engines_work(self) -> dict[str, float]:
        """Have Snakemake finish some jobs, then the report; return what of it is the engines'.

        Returns:
            CPU-seconds without those of planning and of the scripts: for `a job`, a training or
            evaluation, and for `the report`, which reads the results of all runs.
        """
        seeds = [str(seed) for seed in range(RUNS)]
        targets = [f"results/baseline/{seed}/evaluation.json" for seed in seeds]
        scripts = [(script, "baseline", seed) for script in ("train", "evaluate") for seed in seeds]
        self.forget([f"train@baseline-{seed}" for seed in seeds])
        planning = self.timed("snakemake", "-n", *targets)["cpu"]
        jobs = self.timed("snakemake", "--cores", "all", *targets)["cpu"]
        jobs -= planning + sum(self.alone(*script) for script in scripts)
        report = self.timed("python", "workflow/scripts/dvc_bridge", "job", "report")["cpu"]
        return {"a job": jobs / len(scripts), "the report": report - self.alone("report")}

    def alone(self, script: str, *words: str) -> float:
        """Return the CPU time of a script by itself, in seconds."""
        return self.timed("python", f"workflow/scripts/{script}.py", *words)["cpu"]

    def forget(self, stages: list[str]) -> None:
        """Take stages out of dvc.lock, and what DVC could restore them from out of its cache."""
        path = self.folder / "dvc.lock"
        lock = LockText.read(path)
        for stage in stages:
            lock.put(stage, "")
        lock.write(path)
        shutil.rmtree(self.folder / ".dvc" / "cache" / "runs", ignore_errors=True)


def pretend_that_all_is_done(folder: Path) -> None:
    """Write every out of every stage, and the dvc.lock that DVC would have written.

    DVC itself writes dvc.lock anew for every stage: hours for what takes seconds here.
    """
    from dvc.repo import Repo
    from dvc.stage.serialize import to_lockfile
    from dvc.utils.serialize import dumps_yaml
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta

    from dvc_bridge.patches import reading_each_file_once, without_rwlock

    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    repo = Repo(str(folder))
    copy = Path(repo.cache.local.oid_to_path(md5))
    copy.parent.mkdir(parents=True)
    copy.write_bytes(CONTENT)
    copy.chmod(0o444)
    stages = list(repo.index.stages)
    for stage in stages:
        for out in stage.outs:
            path = Path(out.fs_path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(CONTENT)
            out.hash_info, out.meta = HashInfo("md5", md5), Meta(size=len(CONTENT))
    entries = []
    without_rwlock()
    with repo.lock, reading_each_file_once():
        for stage in stages:
            stage.save_deps()
            entry = dumps_yaml({"stages": to_lockfile(stage)})
            entries.append(entry.removeprefix(OPENING))
    LockText(stages="".join(entries)).write(folder / "dvc.lock")


if __name__ == "__main__":
    pretend_that_all_is_done(Path(sys.argv[1]))
