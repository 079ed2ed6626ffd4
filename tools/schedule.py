"""Runs jobs side by side, as far as the cores allow and what they need is there."""

import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.console import Failure, note
from tools.tally import Count, Tally, check

Run = Callable[[], Sequence[Count]]


@dataclass(frozen=True)
class Job:
    """A part of a run. It failed if it raises, or if one of its counts has a failure."""

    name: str
    run: Run
    needs: tuple[str, ...] = ()
    """The jobs that must have succeeded; names that are not part of the run count as such."""
    load: float = 1
    """How many cores it keeps busy."""


def run(jobs: Sequence[Job], capacity: float, report: bool = True) -> Tally:
    """Runs all jobs and sums what they count, in the order of `jobs`.

    A job starts as soon as its needs are met and the loads of all that run stay within `capacity`; of several that
    could start, the first. A job alone may exceed the capacity. A job whose need failed is not run and counts as a
    failure. With `report` every count is printed when its job ends.
    """
    counts: dict[str, Sequence[Count]] = {}
    waiting = list(jobs)
    running: dict[str, float] = {}
    change = threading.Condition()

    def work(job: Job) -> None:
        counted = _counts_of(job)
        if report:
            for count in counted:
                note(str(count))
        with change:
            counts[job.name] = counted
            del running[job.name]
            change.notify_all()

    with change:
        while waiting or running:
            _drop_hopeless(waiting, counts)
            job = _next(waiting, running, counts, capacity)
            if job is None:
                if waiting and not running:
                    raise ValueError(f"jobs that wait for each other: {[job.name for job in waiting]}")
                if running:
                    change.wait()
                continue
            waiting.remove(job)
            running[job.name] = job.load
            threading.Thread(target=work, args=(job,), daemon=True).start()
    return Tally([count for job in jobs for count in counts[job.name]])


def _failed(counted: Sequence[Count]) -> bool:
    return any(count.failed for count in counted)


def _drop_hopeless(waiting: list[Job], counts: dict[str, Sequence[Count]]) -> None:
    """Counts the jobs whose needs have failed."""
    while hopeless := [job for job in waiting if any(_failed(counts.get(need, ())) for need in job.needs)]:
        for job in hopeless:
            waiting.remove(job)
            counts[job.name] = [check(f"{job.name} (not run)", False)]


def _next(
    waiting: list[Job], running: dict[str, float], counts: dict[str, Sequence[Count]], capacity: float
) -> Job | None:
    pending = {job.name for job in waiting} | running.keys()
    free = capacity - sum(running.values())
    for job in waiting:
        if not pending & set(job.needs) and (not running or job.load <= free):
            return job
    return None


def _counts_of(job: Job) -> Sequence[Count]:
    try:
        counted = job.run()
    except Failure as failure:
        note(f"{job.name}: {failure}")
        counted = [check(job.name, False)]
    except Exception:
        note(f"{job.name}: {traceback.format_exc()}")
        counted = [check(job.name, False)]
    return counted
