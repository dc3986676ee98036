"""What happened: codes for single runs and for whole results, each with advice."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tumble._typing import IntArray


class SampleCode(enum.IntEnum):
    """How one run of a simulator ended. Anything but ``OK`` makes its outputs unusable."""

    OK = 0
    MAX_EVENTS = 1
    INVALID_RATE = 2
    OVERFLOW = 3
    NEGATIVE_COUNT = 4
    INVALID_ASSIGNMENT = 5
    ENDLESS_EVENTS = 6
    INTEGRATION = 7
    MAX_STEPS = 8
    EXCEPTION = 9
    WRONG_OUTPUT = 10
    NOT_FINITE = 11
    TIMEOUT = 12
    EXIT_STATUS = 13

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
        "a rate or propensity was negative, infinite or not a number, or its derivative was, where "
        "that is needed, infinite or not a number; check the parameters"
    ),
    SampleCode.OVERFLOW: (
        "a count passed 2**62; the network explodes at these parameters: check rates and times"
    ),
    SampleCode.NEGATIVE_COUNT: (
        "a reaction fired without enough reactants, so that a count would have been negative; its "
        "rate law has to be 0 there"
    ),
    SampleCode.MAX_STEPS: (
        "the run took more than `max_steps` steps before its last time; allow larger steps, check "
        "the rates and times, or raise `max_steps`"
    ),
    SampleCode.INVALID_ASSIGNMENT: (
        "an event gave a species something else than a whole number ≥ 0, or a value, an initial "
        "value or a delay was not a finite number, or a delay was negative; use floor or max in it"
    ),
    SampleCode.EXCEPTION: "the function of the black box raised an exception",
    SampleCode.WRONG_OUTPUT: (
        "what came back is not one number for each time and output; return an array of shape "
        "[times, outputs], or one JSON object"
    ),
    SampleCode.NOT_FINITE: (
        "an output was infinite or not a number; check the parameters, or let what has no value "
        "have one that means it"
    ),
    SampleCode.TIMEOUT: (
        "a run took longer than the model's `timeout` and was stopped; check the parameters, or "
        "raise it"
    ),
    SampleCode.EXIT_STATUS: (
        "the program could not be started, or ended with a status other than 0"
    ),
    SampleCode.ENDLESS_EVENTS: (
        "more than 10,000 events followed one another at one time, or waited for their delay; make "
        "sure that what an event assigns does not trigger it again"
    ),
    SampleCode.INTEGRATION: (
        "the differential equations could not be integrated: they diverge, are very stiff, switch "
        "without end, or take more than 1,000,000 steps between two reactions; check the "
        "equations, parameters and units"
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
    NOT_MIXED = "not mixed"
    MULTIMODAL = "several modes"
    MISSPECIFIED = "unlike the model"
    EXTINCT = "extinct"
    INTERRUPTED = "interrupted"
    FAILED = "failed"

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
        "a prior. The intervals of a fit hold that parameter fixed."
    ),
    ResultCode.NOT_IDENTIFIED: (
        "the data leave a direction of the parameters free: fix a parameter, give it a prior, or "
        "observe more."
    ),
    ResultCode.DIVERGED: (
        "the loss was not finite at any point tried: check the bounds and the initial state."
    ),
    ResultCode.NOT_MIXED: (
        "the chains disagree, or their draws depend on each other too much: raise `max_steps`; if "
        "that does not help, the posterior has several modes or a long ridge: give priors, fix a "
        "parameter, or use SMCABC()."
    ),
    ResultCode.MULTIMODAL: (
        "means and single intervals mislead: look at `plot()`, and say by a prior, a bound or "
        "another observation which mode is meant."
    ),
    ResultCode.MISSPECIFIED: (
        "no parameters make such data: change the model or its measurement noise, for what the "
        "posterior says is about the least bad ones."
    ),
    ResultCode.EXTINCT: (
        "what died out says nothing about what would have come: start at a larger number, give "
        "more replicates, or data from before; the prior decides much of this posterior."
    ),
    ResultCode.INTERRUPTED: "stopped by hand; what was computed is kept.",
    ResultCode.FAILED: "the reason says what to mend.",
}


def describe_codes(
    codes: IntArray,
    culprits: IntArray | None = None,
    reactions: Sequence[Any] = (),
    events: Sequence[Any] = (),
    messages: Mapping[int, str] | None = None,
) -> str:
    """Return a sentence on the failed runs of a batch, or an empty string when all are well.

    With ``culprits`` [B], the index of the reaction that made each run fail, or their number plus
    the index of the event, or -1, it names those of ``reactions`` and ``events``. ``messages`` are
    what runs said, by code.
    """
    return describe_counts(count_outcomes(codes, culprits), reactions, events, messages)


def count_outcomes(codes: IntArray, culprits: IntArray | None = None) -> dict[tuple[int, int], int]:
    """Return how many runs ended with which code by the fault of which reaction, -1 for none."""
    # Most runs are fine, and this is done for every few thousand of them.
    failed = np.flatnonzero(codes)
    blamed = np.full(len(failed), -1) if culprits is None else culprits.ravel()[failed]
    outcomes = Counter(zip(codes.ravel()[failed].tolist(), blamed.tolist(), strict=True))
    if len(failed) < codes.size:
        outcomes[SampleCode.OK.value, -1] = codes.size - len(failed)
    return dict(outcomes)


def describe_counts(
    outcomes: Mapping[tuple[int, int], int],
    reactions: Sequence[Any] = (),
    events: Sequence[Any] = (),
    messages: Mapping[int, str] | None = None,
) -> str:
    """Return the sentence of `describe_codes` for runs that were counted by `count_outcomes`."""
    total = sum(outcomes.values())
    names = [f"reaction '{r}'" for r in reactions] + [f"event '{e}'" for e in events]
    parts = []
    for code in SampleCode:
        of_code = {culprit: n for (c, culprit), n in outcomes.items() if c == code}
        if code is SampleCode.OK or not of_code:
            continue
        part = f"{sum(of_code.values())} of {total} runs: {code.advice} ({code.name})"
        named = [f"{names[i]} in {n}" for i, n in sorted(of_code.items()) if 0 <= i < len(names)]
        part = f"{part}: {', '.join(named)}" if named else part
        said = (messages or {}).get(int(code))
        parts.append(f"{part}: {said}" if said else part)
    return "; ".join(parts)
