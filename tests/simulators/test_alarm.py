"""Black boxes that hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from tests import declared
from tumble import BlackBox, simulate
from tumble._errors import CapabilityError, ModelError
from tumble._results import SampleCode
from tumble.simulators._alarm import CallTimedOut, time_limit

LIMIT = 0.2


def sleepy(params, times, rng):
    """Hang for every third value, whatever is raised inside."""
    while params["k"] % 3 == 2:
        try:
            time.sleep(0.01)
        except Exception:  # a function that goes on whatever happens
            continue
    return times * params["k"]


def hanging_walks(params, times, c):
    """Hang if any run of the batch has k = 2, after its first row."""
    yield c.flip(0.5) * 0.0
    while np.any(params["k"] == 2):
        pass
    yield params["k"]


def test_calls_that_hang_are_given_up_and_cost_nothing_else():
    box = BlackBox(sleepy, ["k"], ["x"], timeout=LIMIT)
    began = time.perf_counter()
    found = simulate(box, {"k": [0, 1, 2, 3, 4, 5]}, times=[1.0, 2.0])
    assert time.perf_counter() - began < 20 * LIMIT
    ok, late = SampleCode.OK, SampleCode.TIMEOUT
    assert found.codes[:, 0].tolist() == [ok, ok, late, ok, ok, late]
    assert found.data.values[[0, 1, 3, 4], 0, 1, 0].tolist() == [0, 2, 6, 8]
    assert np.isnan(found.data.values[[2, 5]]).all()
    assert found.messages == {late: "stopped after 0.2 s"}


def test_a_batch_that_hangs_costs_only_the_runs_that_do():
    box = BlackBox(hanging_walks, ["k"], ["x"], choices=True, batched=True, timeout=LIMIT)
    found = simulate(box, {"k": [0, 1, 2, 3, 4, 5, 6]}, times=[1.0, 2.0])
    assert np.flatnonzero(found.codes[:, 0]).tolist() == [2]
    assert found.codes[2, 0] == SampleCode.TIMEOUT


def test_compilation_does_not_count(tmp_path):
    """In a process that has compiled nothing yet, even a call with a short limit may draw."""
    code = (
        "from tumble import BlackBox, simulate\n"
        "def coin(params, times, c): return times * c.flip(params['p'])\n"
        "box = BlackBox(coin, ['p'], ['x'], choices=True, timeout=0.05)\n"
        "assert not simulate(box, {'p': 0.5}, times=[1.0], num_samples=5).codes.any()"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_worker_processes_keep_the_limit_and_threads_refuse_it():
    box = BlackBox(declared.stuck, ["k"], ["x"], timeout=LIMIT)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = simulate(box, {"k": [0, 2]}, times=[1.0], executor=pool)
    assert found.codes[:, 0].tolist() == [SampleCode.OK, SampleCode.TIMEOUT]
    with (
        ThreadPoolExecutor(1) as threads,
        pytest.raises(CapabilityError, match="main thread of a process"),
    ):
        simulate(box, {"k": 0}, times=[1.0], executor=threads)


def test_the_alarm_of_a_caller_goes_off_all_the_same():
    rung = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: rung.set())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with time_limit(5.0):
            time.sleep(0.01)
        assert not rung.is_set()
        assert rung.wait(5.0)
        with pytest.raises(CallTimedOut, match=r"stopped after 0\.05 s"), time_limit(0.05):
            time.sleep(5.0)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
def test_limits_are_checked(timeout):
    with pytest.raises(ModelError, match=r"`timeout` is .*, expected seconds > 0"):
        BlackBox(sleepy, ["k"], ["x"], timeout=timeout)
