"""The scheduler: order, needs, load, and jobs that fail."""

import threading

import pytest

from tools import tally
from tools.console import Failure
from tools.schedule import Job, run


class Recorder:
    """Makes jobs that note when they start, and how many ran at once."""

    def __init__(self):
        self.started = []
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def job(self, name, needs=(), load=1.0, ok=True, raises=None, meet=None):
        def work():
            with self._lock:
                self.started.append(name)
                self._now += 1
                self.most = max(self.most, self._now)
            try:
                if meet:
                    meet.wait(20)
                if raises:
                    raise raises
                return [tally.check(name, ok)]
            finally:
                with self._lock:
                    self._now -= 1

        return Job(name, work, needs, load)


@pytest.fixture
def recorder():
    return Recorder()


def test_jobs_run_side_by_side_within_the_capacity(recorder):
    both = threading.Barrier(2)
    counted = run([recorder.job(name, meet=both) for name in "ab"], capacity=2)
    assert counted.ok
    assert recorder.most == 2


def test_jobs_that_exceed_the_capacity_together_run_in_turns(recorder):
    assert run([recorder.job(name, load=1.5) for name in "abc"], capacity=2).ok
    assert recorder.most == 1
    assert recorder.started == ["a", "b", "c"]


def test_job_waits_for_what_it_needs(recorder):
    assert run([recorder.job("b", needs=("a", "elsewhere")), recorder.job("a")], capacity=2).ok
    assert recorder.started == ["a", "b"]


def test_job_whose_need_failed_is_not_run_and_counts_as_a_failure(recorder):
    jobs = [recorder.job("a", ok=False), recorder.job("b", needs=("a",)), recorder.job("c", needs=("b",))]
    counted = run(jobs, capacity=2)
    assert recorder.started == ["a"]
    assert [(count.part, count.failed) for count in counted.counts] == [("a", 1), ("b (not run)", 1), ("c (not run)", 1)]


@pytest.mark.parametrize("error", [Failure("the remedy"), ValueError("a fault of the tools")])
def test_job_that_raises_is_a_failure_and_others_go_on(recorder, error):
    counted = run([recorder.job("a", raises=error), recorder.job("b")], capacity=1)
    assert counted.closing_line() == "1 passed, 1 failed"


def test_counts_keep_the_order_of_the_jobs(recorder):
    counted = run([recorder.job("b", needs=("a",)), recorder.job("a")], capacity=1)
    assert [count.part for count in counted.counts] == ["b", "a"]


def test_jobs_that_wait_for_each_other_are_reported(recorder):
    with pytest.raises(ValueError, match="'a', 'b'"):
        run([recorder.job("a", needs=("b",)), recorder.job("b", needs=("a",))], capacity=2)
