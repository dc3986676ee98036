from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tumble._execution import InPlace, num_workers, run_all, run_in_order, split


class Recorder:
    """An executor that runs each task at once, and remembers what it was given."""

    def __init__(self):
        self.submitted = []

    def submit(self, function, *args):
        self.submitted.append(args)
        future = Future()
        future.set_result(function(*args))
        return future


def power(base, exponent):
    return base**exponent


TASKS = [(b, e) for b in range(4) for e in range(3)]


def test_results_come_in_order_whatever_the_executor():
    expected = [b**e for b, e in TASKS]
    assert run_all(power, TASKS) == expected
    recorder = Recorder()
    assert run_all(power, TASKS, recorder) == expected
    assert recorder.submitted == TASKS
    with ThreadPoolExecutor(3) as pool:
        assert run_all(power, iter(TASKS), pool) == expected


def test_order_does_not_depend_on_which_ends_first():
    def wait(seconds):
        time.sleep(seconds)
        return seconds

    with ThreadPoolExecutor(3) as pool:
        assert run_all(wait, [(0.05,), (0.0,), (0.02,)], pool) == [0.05, 0.0, 0.02]


def test_nothing_to_do():
    assert run_all(power, []) == []
    assert run_all(power, [], Recorder()) == []


def test_a_single_task_stays_in_this_thread_unless_an_executor_is_given():
    here = threading.get_ident()
    assert run_all(threading.get_ident, [()]) == [here]
    with ThreadPoolExecutor(1) as pool:
        assert run_all(threading.get_ident, [()], pool) != [here]


def test_an_error_reaches_the_caller_and_cancels_the_rest():
    started = []

    def work(i):
        started.append(i)
        if i == 0:
            raise KeyError("task 0")
        time.sleep(0.02)

    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyError, match="task 0"):
        run_all(work, [(i,) for i in range(50)], pool)
    assert len(started) < 10


def test_num_workers():
    assert 1 <= num_workers() <= 4096


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("pieces", [0, 1, 3, 8, 200])
def test_pieces_cover_everything_once_and_evenly(count, pieces):
    slices = split(count, pieces)
    assert [i for s in slices for i in range(count)[s]] == list(range(count))
    assert len(slices) == max(1, min(pieces, count))
    lengths = [s.stop - s.start for s in slices]
    assert max(lengths) - min(lengths) <= 1


# -- in order, a few at a time ---------------------------------------------------------------------


def test_results_are_yielded_in_order_whatever_the_window():
    for window in (1, 3, 100):
        assert list(run_in_order(power, TASKS, None, window)) == [b**e for b, e in TASKS]
        recorder = Recorder()
        assert list(run_in_order(power, TASKS, recorder, window)) == [b**e for b, e in TASKS]
        assert recorder.submitted == TASKS


def test_no_more_tasks_are_on_their_way_than_the_window():
    recorder = Recorder()
    results = run_in_order(power, iter(TASKS), recorder, 3)
    for taken in range(1, len(TASKS) + 1):
        next(results)
        assert len(recorder.submitted) == min(taken + 3, len(TASKS))


def test_what_was_not_begun_is_canceled_when_nobody_listens():
    started = threading.Event()
    futures = []

    class Remembering(ThreadPoolExecutor):
        def submit(self, *args):
            futures.append(super().submit(*args))
            return futures[-1]

    with Remembering(1) as pool:
        results = run_in_order(started.wait, [(0.01,)] * 5, pool, 5)
        next(results)
        results.close()
    assert futures[-1].cancelled()


def test_in_place_means_at_once_and_in_this_thread():
    future = InPlace().submit(threading.get_ident)
    assert future.done() and future.result() == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        InPlace().submit(power, 0, -1)
