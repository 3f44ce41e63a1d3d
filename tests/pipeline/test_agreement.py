"""Whatever users do, in whatever order: both engines agree, from contents.

The stages are stubs (`support/stub_stage.py`), the engines and the bridge between them are real.
The suite takes a few steps and, in the end, a whole run; `AGREEMENT=20x50` in the environment makes
it 20 times 50, or as many as are begun in an hour.
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
LAST_BEGINNING = time.monotonic() + 3600
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
    """The stages and all that depend on them, by the picture in the README."""
    runs = [f"{model}-{seed}" for model in declared["compare"] for seed in declared["seeds"]]
    readers = {
        "params": [],
        "download": ["subset"],
        "subset": ["corruptions", "report", *(f"train@{run}" for run in runs)],
        "corruptions": ["report", *(f"evaluate@{run}" for run in runs)],
        **{f"train@{run}": [f"evaluate@{run}", "report"] for run in runs},
        **{f"evaluate@{run}": ["report"] for run in runs},
    }
    found, waiting = set(), list(stages)
    while waiting:
        stage = waiting.pop()
        if stage not in found:
            found.add(stage)
            waiting += readers.get(stage, [])
    return found


class Users(RuleBasedStateMachine):
    """A checkout, and what its users do to it."""

    ended = 0

    @initialize(begin=st.booleans())
    def lay_out(self, begin: bool) -> None:
        """A project that was run once, committed, with a second branch.

        Hypothesis tries the simplest example first: nothing but commits. It is not begun.
        """
        assume(begin and time.monotonic() < LAST_BEGINNING)
        self.scratch = Path(tempfile.mkdtemp(prefix="agreement-"))
        self.project = make_stub_project(self.scratch / "project é 'x")
        self.project.snakemake()
        self.project.commit()
        self.project.git("branch", "other")

    def teardown(self) -> None:
        """Whatever has happened, a whole run mends it. Leave nothing behind."""
        if not hasattr(self, "scratch"):
            return
        try:
            if hasattr(self, "project"):
                self.run_whole(random.choice(WHOLE))
                Users.ended += 1
                print(f"{time.strftime('%H:%M:%S')}  {Users.ended}: agreed after {STEPS} steps")
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    @rule(edit=st.sampled_from(VALUES), which=st.integers(0, 1))
    def edit_a_param(self, edit: tuple[tuple[str, ...], list[Any]], which: int) -> None:
        """Any key, to a value and back; models and seeds come and go."""
        (*holders, key), values = edit

        def change(content: Any) -> None:
            for holder in holders:
                content = content[holder]
            content[key] = values[which]

        self.project.edit(change)

    @rule()
    def revert_params(self) -> None:
        """Take the last commit's."""
        self.project.git("checkout", "--", "params.yaml")

    @rule(path=st.sampled_from(EDITED))
    def edit_a_script(self, path: str) -> None:
        """A comment is a change of contents."""
        with (self.project.folder / path).open("a") as file:
            file.write(f"# {random.random()}\n")

    @rule(which=st.randoms(use_true_random=False), corrupt=st.booleans())
    def lose_an_output(self, which: random.Random, corrupt: bool) -> None:
        """Delete or overwrite something that a stage has made."""
        folders = ("data/raw", "data/subset", "models", "results", "reports")
        files = [
            path
            for folder in folders
            for path in sorted((self.project.folder / folder).rglob("*"))
            if path.is_file() and path.name != ".gitignore"
        ]
        if files:
            path = which.choice(files)
            note(f"{'damage' if corrupt else 'delete'} {path}")
            path.unlink()
            if corrupt:
                path.write_text("something else\n")

    @rule(seconds=st.integers(-100_000, 100_000))
    def touch_everything(self, seconds: int) -> None:
        """Times mean nothing, also those of the future."""
        for path in self.project.folder.rglob("*"):
            if path.is_file() and not {".git", ".dvc", ".snakemake"} & set(path.parts):
                os.utime(path, (time.time() + seconds,) * 2)

    @rule()
    def forget_snakemake(self) -> None:
        """Its folder may go at any time."""
        shutil.rmtree(self.project.folder / ".snakemake", ignore_errors=True)

    @rule()
    def commit(self) -> None:
        """Commit whatever there is."""
        self.project.git("add", "--all")
        self.project.git("commit", "--quiet", "--allow-empty", "--message", "state")

    @rule(branch=st.sampled_from(["main", "other"]), with_data=st.booleans())
    def switch(self, branch: str, with_data: bool) -> None:
        """Another branch, with its data or without."""
        self.commit()
        self.project.git("checkout", "--quiet", branch)
        if with_data:  # what was never made here is not there
            self.project.run("dvc", "checkout", "--allow-missing", "--force", check=False)

    @rule(command=st.sampled_from(WHOLE))
    def run_whole(self, command: tuple[str, ...]) -> None:
        """Afterwards neither has anything to do, and the report is that of a fresh clone."""
        self.project.run(*command)
        self.project.assert_up_to_date()
        assert reports(self.project.folder) == reports(
            run_without_engine(self.project, self.scratch)
        )

    @rule(stage=st.sampled_from(STUB_STAGES), by_snakemake=st.booleans())
    def run_one_stage(self, stage: str, by_snakemake: bool) -> None:
        """With all that it needs; Snakemake knows the stages of a model and seed by their files."""
        if not by_snakemake:
            self.project.repro(stage)
            return
        declared = self.project.params()
        run = f"{declared['compare'][0]}/{declared['seeds'][0]}"
        of_a_run = {
            "train": f"models/{run}.weights.h5",
            "evaluate": f"results/{run}/evaluation.json",
        }
        self.project.snakemake(of_a_run.get(stage, stage))

    @rule(seconds=st.floats(0.5, 10), command=st.sampled_from(WHOLE))
    def run_and_kill(self, seconds: float, command: tuple[str, ...]) -> None:
        """All of it at once, at any moment."""
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
        """`snakemake -n` lists exactly what `dvc status` calls stale, and what depends on it."""
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
