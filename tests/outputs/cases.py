"""Small models, the ways to run them, and executors that look at what passes through."""

import pickle
from concurrent.futures import Future

import numpy as np

from tests import helpers
from tumble import ReactionNetwork, simulate
from tumble.simulators import DirectMethod

SIR = helpers.sir()
PARAMS = {"beta": 0.05, "gamma": 1.0}
INITIAL = {"S": 45, "I": 5, "R": 0}
TIMES = np.array([0.0, 0.5, 0.5, 1.5, 3.0])
ROWS = {"beta": np.array([0.02, 0.05, 0.2]), "gamma": 1.0}


def sir(outputs=None, params=PARAMS, num_samples=500, **options):
    """Runs of SIR: 500 are four pieces."""
    given = {"initial": INITIAL, "times": TIMES, "seed": 3, **options}
    return simulate(SIR, params, num_samples=num_samples, outputs=outputs, **given)


def failing(outputs=None, num_samples=400, **options):
    """Pure birth from 1: a run fails when it fires more than 3 times."""
    birth = ReactionNetwork.from_text("X -> 2 X ; k")
    return simulate(
        birth, {"k": 1.0}, initial={"X": 1}, times=[0.5, 1.0], num_samples=num_samples,
        simulator=DirectMethod(max_events=3), outputs=outputs, **options,
    )  # fmt: skip


class Courier:
    """An executor that sends tasks and results as bytes, in order or last first."""

    def __init__(self, backward=False):
        self.backward, self.largest_result, self._waiting = backward, 0, []

    def submit(self, function, *args):
        future = Future()
        self._waiting.append((future, pickle.dumps((function, args))))
        if not self.backward or len(self._waiting) == 2:
            self._deliver()
        future.result = lambda result=future.result: self._deliver() or result()
        return future

    def _deliver(self):
        for future, sent in reversed(self._waiting):
            function, args = pickle.loads(sent)
            returned = pickle.dumps(function(*args))
            self.largest_result = max(self.largest_result, len(returned))
            future.set_result(pickle.loads(returned))
        self._waiting.clear()


class StopsAfter:
    """An executor that is interrupted by hand when a result is waited for."""

    def __init__(self, num_pieces):
        self.left = num_pieces

    def submit(self, function, *args):
        future = Future()
        future.set_result(function(*args))
        future.result = lambda result=future.result: self._interrupt() or result()
        return future

    def _interrupt(self):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
