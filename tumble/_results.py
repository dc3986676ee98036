"""What happened: codes for single runs and for whole results, each with advice."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import numpy as np

from tumble._typing import IntArray


class SampleCode(enum.IntEnum):
    """How one run of a simulator ended. Anything but ``OK`` makes its outputs unusable (-1)."""

    OK = 0
    MAX_EVENTS = 1
    INVALID_RATE = 2
    OVERFLOW = 3

    @property
    def advice(self) -> str:
        """What the code means and what to do."""
        return _SAMPLE_ADVICE[self]


_SAMPLE_ADVICE = {
    SampleCode.OK: "the run is complete",
    SampleCode.MAX_EVENTS: (
        "the run fired more than `max_events` reactions before its last time; the network may "
        "explode at these parameters: check the rates and times, or raise `max_events`"
    ),
    SampleCode.INVALID_RATE: (
        "a rate or propensity was negative, infinite or not a number; check the parameters"
    ),
    SampleCode.OVERFLOW: (
        "a count passed 2**62; the network explodes at these parameters: check rates and times"
    ),
}


class ResultCode(enum.Enum):
    """How a verb ended."""

    SUCCESS = "success"
    PARTIAL = "some runs failed"
    CONVERGED = "converged"
    NOISE_LIMITED = "converged to the simulation noise"
    MAX_STEPS = "out of steps"
    OUT_OF_BUDGET = "out of budget"
    AT_BOUND = "at a bound"
    NOT_IDENTIFIED = "not identified"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"

    @property
    def ok(self) -> bool:
        """Whether the result can be used as it stands."""
        return self in (
            ResultCode.SUCCESS,
            ResultCode.CONVERGED,
            ResultCode.NOISE_LIMITED,
        )

    @property
    def advice(self) -> str:
        """What the code means and what to do."""
        return _RESULT_ADVICE[self]


_RESULT_ADVICE = {
    ResultCode.SUCCESS: "every run is complete.",
    ResultCode.PARTIAL: "look at `codes`: the failed runs hold no outputs.",
    ResultCode.CONVERGED: "the gradient vanishes at the estimate.",
    ResultCode.NOISE_LIMITED: (
        "the gradient cannot be told from zero and the averaged estimate is as precise as asked."
    ),
    ResultCode.MAX_STEPS: (
        "raise `max_steps`, start nearer, or look at the history: the loss may still be falling."
    ),
    ResultCode.OUT_OF_BUDGET: "raise the budget, or accept the precision that was reached.",
    ResultCode.AT_BOUND: (
        "the data want a parameter beyond its bounds: widen them, fix the parameter, or give it "
        "a prior. The intervals hold that parameter fixed."
    ),
    ResultCode.NOT_IDENTIFIED: (
        "the data leave a direction of the parameters free: fix a parameter, give it a prior, or "
        "observe more."
    ),
    ResultCode.DIVERGED: (
        "the loss was not finite at any point tried: check the bounds and the initial state."
    ),
    ResultCode.INTERRUPTED: "stopped by hand; what was computed is kept.",
}


def describe_codes(codes: IntArray) -> str:
    """Return a sentence on the failed runs of a batch, or an empty string when all are well."""
    parts = []
    for code in SampleCode:
        count = int(np.sum(codes == code))
        if code is not SampleCode.OK and count:
            parts.append(f"{count} of {codes.size} runs: {code.advice} ({code.name})")
    return "; ".join(parts)


def describe_counts(counts: Mapping[SampleCode, int]) -> str:
    """Return the sentence of `describe_codes` for runs that were only counted."""
    total = sum(counts.values())
    return "; ".join(
        f"{count} of {total} runs: {code.advice} ({code.name})"
        for code, count in counts.items()
        if code is not SampleCode.OK and count
    )
