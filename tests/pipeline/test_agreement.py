"""Stateful tests: both engines agree on what to run after any sequence of user actions.

The stages are stubs (`support/stub_stage.py`), the engines and the bridge between them are real.
By default one sequence of a few actions is tested, followed by a run of the whole pipeline. With
`AGREEMENT=20x50` in the environment, 20 sequences of 50 actions are tested; none is started after
an hour.
"""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, assume, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.processes import running_processes, start, wait_until
from support.project import STUB_STAGES, make_stub_project, reports, run_without_engine

EXAMPLES, STEPS = map(int, os.environ.get("AGREEMENT", "1x9").split("x"))
LATEST_START = time.monotonic() + 3600
VALUES: list[tuple[tuple[str, ...], list[Any]]] = [
    (("data", "sources"), [["$FASHION_MNIST_DIR"], ["/nowhere", "$FASHION_MNIST_DIR"]]),
    (("data", "train_size"), [150, 140]),
    (("data", "test_size"), [50, 40]),
    (("robustness", "test_size"), [10, 0]),
    (("training", "epochs"), [2, 3]),
    (("training", "batch_size"), [64, 32]),
    (("training", "validation_split"), [0.2, 0.3]),
    (("training", "learning_rate"), [0.001, 0.002]),
    (("models", "baseline"), [{}, {"training": {"batch_size": 32}}]),
    (("models", "baseline"), [{"batch_norm": True}, {"early_stopping": {"patience": 2}}]),
    (("models", "regularized", "augmentation", "translation"), [0.1, 0.2]),
    (("models", "regularized", "dropout", "dense"), [0.5, 0.4]),
    (("compare",), [["baseline"], ["regularized", "baseline"]]),
    (("seeds",), [[0], [1, 0]]),
]
WHOLE = [("snakemake", "--cores", "4"), ("dvc", "repro")]
EDITED = [
    *(f"workflow/scripts/{name}.py" for name in ("params", "download", "train", "report")),
    *(f"workflow/scripts/overfitting/{name}.py" for name in ("common/files", "report/pages")),
    "workflow/scripts/overfitting/evaluation/metrics.py",
]


def downstream(stages: set[str], declared: dict[str, Any]) -> set[str]:
    """Return the stages and all that depend on them, as in the diagram in the README."""
    runs = [f"{model}-{seed}" for model in declared["compare"] for seed in declared["seeds"]]
    readers = {
        "params": [],
        "download": ["subset"],
        "subset": ["corruptions", "report", *(f"train@{run}" for run in runs)],
        "corruptions": ["report", *(f"evaluate@{run}" for run in runs)],
        **{f"train@{run}": [f"evaluate@{run}", "report"] for run in runs},
        **{f"evaluate@{run}": ["report"] for run in runs},
    }
    reached, pending = set(), list(stages)
    while pending:
        stage = pending.pop()
        if stage not in reached:
            reached.add(stage)
            pending += readers.get(stage, [])
    return reached


class Users(RuleBasedStateMachine):
    """A checkout, and the actions of its users."""

    completed = 0

    @initialize(begin=st.booleans())
    def lay_out(self, begin: bool) -> None:
        """Create a project that has been run once and committed, with a second branch.

        Hypothesis tries the simplest example first, which consists of commits only; it is skipped.
        """
        assume(begin and time.monotonic() < LATEST_START)
        self.scratch = Path(tempfile.mkdtemp(prefix="agreement-"))
        self.project = make_stub_project(self.scratch / "project é 'x")
        self.project.snakemake()
        self.project.commit()
        self.project.git("branch", "other")

    def teardown(self) -> None:
        """Check that a run of the whole pipeline succeeds from any state; remove the project."""
        if not hasattr(self, "scratch"):
            return
        try:
            if hasattr(self, "project"):
                self.run_whole(random.choice(WHOLE))
                Users.completed += 1
                print(f"{time.strftime('%H:%M:%S')}  {Users.completed}: agreed after {STEPS} steps")
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    @rule(edit=st.sampled_from(VALUES), which=st.integers(0, 1))
    def edit_a_param(self, edit: tuple[tuple[str, ...], list[Any]], which: int) -> None:
        """Set a key of params.yaml to one of two values; this may add and remove runs."""
        (*holders, key), values = edit

        def change(content: Any) -> None:
            for holder in holders:
                content = content[holder]
            content[key] = values[which]

        self.project.edit(change)

    @rule()
    def revert_params(self) -> None:
        """Restore params.yaml from the last commit."""
        self.project.git("checkout", "--", "params.yaml")

    @rule(path=st.sampled_from(EDITED))
    def edit_a_script(self, path: str) -> None:
        """Add a comment to a script, which changes its contents."""
        with (self.project.folder / path).open("a") as file:
            file.write(f"# {random.random()}\n")

    @rule(which=st.randoms(use_true_random=False), corrupt=st.booleans())
    def lose_an_output(self, which: random.Random, corrupt: bool) -> None:
        """Delete or overwrite an output of a stage."""
        folders = ("data/raw", "data/subset", "models", "results", "reports")
        files = [
            path
            for folder in folders
            for path in sorted((self.project.folder / folder).rglob("*"))
            if path.is_file() and path.name != ".gitignore"
        ]
        if files:
            path = which.choice(files)
            note(f"{'corrupt' if corrupt else 'delete'} {path}")
            path.unlink()
            if corrupt:
                path.write_text("something else\n")

    @rule(seconds=st.integers(-100_000, 100_000))
    def touch_everything(self, seconds: int) -> None:
        """Change all modification times, perhaps to the future; this must have no effect."""
        for path in self.project.folder.rglob("*"):
            if path.is_file() and not {".git", ".dvc", ".snakemake"} & set(path.parts):
                os.utime(path, (time.time() + seconds,) * 2)

    @rule()
    def forget_snakemake(self) -> None:
        """Remove the folder `.snakemake`; this must have no effect."""
        shutil.rmtree(self.project.folder / ".snakemake", ignore_errors=True)

    @rule()
    def commit(self) -> None:
        """Commit all changes."""
        self.project.git("add", "--all")
        self.project.git("commit", "--quiet", "--allow-empty", "--message", "state")

    @rule(branch=st.sampled_from(["main", "other"]), with_data=st.booleans())
    def switch(self, branch: str, with_data: bool) -> None:
        """Commit and check out a branch, with or without its data."""
        self.commit()
        self.project.git("checkout", "--quiet", branch)
        if with_data:  # some outputs may never have been computed
            self.project.run("dvc", "checkout", "--allow-missing", "--force", check=False)

    @rule(command=st.sampled_from(WHOLE))
    def run_whole(self, command: tuple[str, ...]) -> None:
        """Run the whole pipeline: everything is up to date, the report is that of a fresh clone."""
        self.project.run(*command)
        self.project.assert_up_to_date()
        assert reports(self.project.folder) == reports(
            run_without_engine(self.project, self.scratch)
        )

    @rule(stage=st.sampled_from(STUB_STAGES), by_snakemake=st.booleans())
    def run_one_stage(self, stage: str, by_snakemake: bool) -> None:
        """Run a stage and its dependencies; Snakemake is given an output file where needed."""
        if not by_snakemake:
            self.project.repro(stage)
            return
        declared = self.project.params()
        run = f"{declared['compare'][0]}/{declared['seeds'][0]}"
        targets = {
            "train": f"models/{run}.weights.h5",
            "evaluate": f"results/{run}/evaluation.json",
        }
        self.project.snakemake(targets.get(stage, stage))

    @rule(seconds=st.floats(0.5, 10), command=st.sampled_from(WHOLE))
    def run_and_kill(self, seconds: float, command: tuple[str, ...]) -> None:
        """Kill the process group of a run after some time."""
        leader = start(self.project, *command)
        try:
            leader.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(leader.pid, signal.SIGKILL)
            leader.wait()
        wait_until(lambda: not running_processes(self.project), seconds=30)

    @precondition(lambda self: hasattr(self, "project"))
    @invariant()
    def engines_agree(self) -> None:
        """`snakemake -n` lists exactly what `dvc status` lists, and what depends on it."""
        stale = set(self.project.status())
        planned = self.project.planned()
        declared = self.project.params()
        assert planned == downstream(stale, declared), (stale, planned)


TestAgreement = Users.TestCase
TestAgreement.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    phases=[Phase.generate],  # a step takes seconds: shrinking would take hours
    suppress_health_check=list(HealthCheck),
    derandomize="AGREEMENT" not in os.environ,
    print_blob=True,
)
