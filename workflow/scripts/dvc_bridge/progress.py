"""Progress of a run: how many stages are done, which are running, and about how much longer.

Snakemake logs when jobs start and end. A handler of its logger collects that, and a thread logs it
through the same logger, so that it is in the terminal and in the log file of the run.
"""

import heapq
import json
import logging
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from snakemake.logging import LogEvent, logger

from .files import atomic_write
from .plan import Plan

DURATIONS = Path(".snakemake", "dvc", "durations.json")
"""Seconds that a stage of each group took in earlier runs."""
SETTLED = 1.0
"""Seconds without a change after which the progress is logged: jobs end and start together."""
AT_LEAST_EVERY = 60.0
"""Seconds after which the progress is logged again without a change."""
MOST_NAMES = 8
"""How many running stages are named, at most."""
FORGET = 0.7
"""What remains of an earlier duration where stages now take less: DVC may only have skipped or
restored them, and the next run may execute them again."""


class Progress(logging.Handler):
    """Collects what Snakemake logs about jobs, and logs how far a run is.

    Args:
        plan: the plan of the run.
        addresses: the address of a stage by the path of its stamp, the first output of its job.
        slots: how many jobs run at once, at most.
        needed: returns the first outputs of all jobs that must run, when the first job starts.
    """

    def __init__(
        self,
        plan: Plan,
        addresses: Mapping[str, str],
        slots: int,
        needed: Callable[[], Iterable[str]],
    ) -> None:
        super().__init__()
        self._plan, self._addresses, self._slots = plan, addresses, slots
        self._needed = needed
        self._stages: list[str] = []  # that must run
        self._stages_of_jobs: dict[int, str] = {}
        self._started: dict[str, float] = {}  # of running stages
        self._durations: dict[str, float] = {}  # of stages that have ended
        self._failed: set[str] = set()
        self._recorded = _read_durations()
        self._changed = self._logged = time.monotonic()
        self._is_new = False
        self._guard = threading.Lock()

    def start(self) -> None:
        """Collect and log the progress until this process ends."""
        logger.addHandler(self)
        threading.Thread(target=self._log_changes, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a job that starts or ends; all other records are ignored."""
        with self._guard:
            self._note(record)

    def _note(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            if not self._stages:
                stamps = [stamp for stamp in self._needed() if stamp in self._addresses]
                self._stages = [self._addresses[stamp] for stamp in stamps]
            output = getattr(record, "output", None) or [""]
            if address := self._addresses.get(output[0]):
                self._stages_of_jobs[getattr(record, "jobid", -1)] = address
                self._started[address] = time.monotonic()
        elif event in {LogEvent.JOB_FINISHED, LogEvent.JOB_ERROR}:
            job = getattr(record, "job_id", getattr(record, "jobid", -1))
            address = self._stages_of_jobs.get(job, "")
            if address not in self._started:
                return
            duration = time.monotonic() - self._started.pop(address)
            if event == LogEvent.JOB_FINISHED:
                self._durations[address] = duration
                self._failed.discard(address)
            else:
                self._failed.add(address)
        else:
            return
        self._changed, self._is_new = time.monotonic(), True

    def record_durations(self) -> None:
        """Write down for later runs how long the stages took."""
        recorded = dict(self._recorded)
        for group, seconds in self._measured().items():
            recorded[group] = max(seconds, FORGET * recorded.get(group, 0.0))
        atomic_write(DURATIONS, json.dumps(recorded, sort_keys=True))

    def _log_changes(self) -> None:
        while True:
            time.sleep(SETTLED / 2)
            now = time.monotonic()
            with self._guard:
                due = self._is_new and now - self._changed >= SETTLED
                if not (due or (self._started and now - self._logged >= AT_LEAST_EVERY)):
                    continue
                self._is_new, self._logged = False, now
                sentence = self.sentence(now)
            logger.info(sentence)

    def sentence(self, now: float) -> str:
        """Return the progress in one line.

        Args:
            now: the time, as `time.monotonic` gives it.
        """
        total = len(self._stages)
        parts = [f"{len(self._durations)} of {total} stage{'' if total == 1 else 's'} done"]
        if self._failed:
            parts.append(f"failed: {_listed(sorted(self._failed))}")
        if self._started:
            parts.append(f"running: {_listed(list(self._started))}")
        if len(self._durations) + len(self._failed) < total:
            seconds = self._seconds_left(now)
            parts.append("time left not known yet" if seconds is None else in_words(seconds))
        return f"Progress: {'; '.join(parts)}"

    def _seconds_left(self, now: float) -> float | None:
        groups = {address: stage.group for address, stage in self._plan.stages.items()}
        known = self._recorded | self._measured()
        if not known or any(groups[address] not in known for address in self._started):
            return None
        typical = statistics.mean(known.values())  # for kinds of stages that have never run
        waiting = [
            address
            for address in self._stages
            if address not in self._durations and address not in self._failed
        ]
        seconds = {
            address: max(
                known.get(groups[address], typical) - (now - self._started.get(address, now)), 0.0
            )
            for address in waiting
        }
        upstream = {address: list(self._plan.stages[address].inputs) for address in waiting}
        return seconds_left(seconds, upstream, list(self._started), self._slots)

    def _measured(self) -> dict[str, float]:
        """Return the mean seconds of the stages of each group that have ended in this run."""
        by_group: dict[str, list[float]] = {}
        for address, seconds in self._durations.items():
            by_group.setdefault(self._plan.stages[address].group, []).append(seconds)
        return {group: statistics.mean(seconds) for group, seconds in by_group.items()}


def seconds_left(
    seconds: Mapping[str, float],
    upstream: Mapping[str, list[str]],
    running: list[str],
    slots: int,
) -> float:
    """Return how long it takes until all stages are done, if each starts as soon as it can.

    Args:
        seconds: how much longer each stage takes, by address.
        upstream: the stages that each needs; those that are not in `seconds` are done.
        running: the stages that run now; all others wait.
        slots: how many stages run at once, at least 1.
    """
    missing = {stage: sum(above in seconds for above in upstream[stage]) for stage in seconds}
    downstream: dict[str, list[str]] = {stage: [] for stage in seconds}
    for stage in seconds:
        for above in upstream[stage]:
            if above in seconds:
                downstream[above].append(stage)
    ends = [(seconds[stage], stage) for stage in running]
    heapq.heapify(ends)
    ready = deque(stage for stage in seconds if not missing[stage] and stage not in running)
    now = 0.0
    while ready or ends:  # what needs a stage that has failed is never ready
        while ready and len(ends) < slots:
            stage = ready.popleft()
            heapq.heappush(ends, (now + seconds[stage], stage))
        now, ended = heapq.heappop(ends)
        for stage in downstream[ended]:
            missing[stage] -= 1
            if not missing[stage]:
                ready.append(stage)
    return now


def in_words(seconds: float) -> str:
    """Say how much time is left, rounded up to ten seconds or to minutes."""
    if seconds < 60:
        return f"about {10 * int(seconds / 10 + 1)} s left"
    return f"about {int(seconds / 60 + 1)} min left"


def _listed(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _read_durations() -> dict[str, float]:
    with suppress(OSError, ValueError, AttributeError, TypeError):
        written = json.loads(DURATIONS.read_text(encoding="utf-8"))
        return {str(group): float(seconds) for group, seconds in written.items()}
    return {}
