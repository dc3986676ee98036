"""The verb `compare_models`: which of several models explains the data."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from tumble._errors import (
    DataError,
    ParameterError,
    SimulationError,
    TumbleError,
    is_number,
    require_known,
    require_mapping,
    require_member,
    shown,
)
from tumble._problem import Problem
from tumble._progress import showing
from tumble._random import Stream
from tumble._results import ResultCode
from tumble.structure import (
    AbstractCriterion,
    Evidence,
    ModelComparison,
    Score,
    prior_words,
    ranked,
)


def compare_models(
    problems: Mapping[str, Problem],
    *,
    by: AbstractCriterion | None = None,
    prior: Mapping[str, float] | None = None,
    seed: int = 0,
    progress: Any = None,
) -> ModelComparison:
    """Return which of several models explains the same data, and how firmly.

    Definition: p(model | data) ∝ p(model) p(data | model), with the evidence p(data | model) =
    ∫ p(data | θ, model) p(θ | model) dθ; or the same with what the models predict of held-out data.
    Unknown rates, reporting fractions, noise and initial values are integrated over alike; species
    may be hidden, and rates may follow laws and depend on time, as far as the likelihood allows.

    Guarantee: that of ``by``. Probabilities are among the models that were given, of which none
    need be right; whether the best one explains the data, `posterior_predictive` says.

    Arguments, most used first:

    - ``problems``: name → `Problem`, all with the same data. What is observed may be another
      function of the state in each.
    - ``by``: `structure.Evidence` (default) or `structure.HeldOut`.
    - ``prior``: name → weight of each model before the data, such as ``{"SIR": 2, "SEIR": 1}``.
      Default: all the same.
    - ``seed``, ``progress`` (``True``, ``False``, ``None``: a bar on a terminal).

    Returns a `ModelComparison`. A model that cannot be weighed, as its likelihood is not finite or
    takes too many states, has a code and a reason; the others go on. Ctrl-C ends it with the models
    that are done. Raises `ParameterError` or `DataError` for what makes no sense, `CapabilityError`
    for a model without the likelihood that was asked for, before anything runs; `SimulationError`
    where no model could be weighed.

    When: a few named alternatives. To search all networks that reactions can make, see
    `learn_structure`.

    Reference: Kass, Raftery, J. Am. Stat. Assoc. 90 (1995), doi:10.1080/01621459.1995.10476572.
    """
    by = Evidence() if by is None else by
    require_member("by", by, AbstractCriterion, "a criterion such as structure.Evidence()")
    _check_problems(problems)
    shares = _normalized(prior, problems)
    for name, problem in problems.items():
        _naming(name, by.check, problem)
    began = time.perf_counter()
    stream = Stream.from_seed(seed).child("compare")
    scores: dict[str, Score] = {}
    with showing(progress, "compare") as bar:
        try:
            for i, (name, problem) in enumerate(problems.items()):
                bar.update(i / len(problems), name)
                scores[name] = _weigh(by, problem, stream.child(name))
        except KeyboardInterrupt:
            pass
    stopped = Score.failed(ResultCode.INTERRUPTED, "stopped by hand")
    scores = {name: scores.get(name, stopped) for name in problems}
    if not any(math.isfinite(s.log_score) for s in scores.values()):
        if stopped.reason in (s.reason for s in scores.values()):
            raise KeyboardInterrupt
        reasons = "; ".join(f"{name}: {s.reason}" for name, s in scores.items())
        raise SimulationError(f"no model could be weighed: {reasons}.")
    words = {k: (by.likelihood_of(p), prior_words(p)) for k, p in problems.items()}
    return ModelComparison(ranked(scores, shares, words), by, time.perf_counter() - began)


def _weigh(by: AbstractCriterion, problem: Problem, stream: Stream) -> Score:
    try:
        return by.weigh(problem, stream)
    except TumbleError as error:
        return Score.failed(ResultCode.FAILED, str(error).rstrip("."))


def _naming(name: str, check: Any, problem: Problem) -> None:
    try:
        check(problem)
    except TumbleError as error:
        raise type(error)(f"model {name!r}: {error}") from None


def _check_problems(problems: Any) -> None:
    if not isinstance(problems, Mapping) or len(problems) < 2:
        raise ParameterError(
            f"`problems` is {shown(problems)}, expected two problems or more by name, such as "
            "{'SIR': problem_sir, 'SEIR': problem_seir}."
        )
    for name, problem in problems.items():
        if not isinstance(name, str):
            raise ParameterError(f"`problems` has the name {shown(name)}, expected text.")
        require_member(f"problems[{name!r}]", problem, Problem, "a Problem")
    (first, one), *others = problems.items()
    for name, other in others:
        difference = _difference(one, other)
        if difference:
            raise DataError(
                f"models {first!r} and {name!r} have different data ({difference}), so that their "
                "probabilities cannot be compared; give both the same observations, under the same "
                "names."
            )


def _difference(one: Problem, other: Problem) -> str:
    """Return how the data of two problems differ; an empty string where they do not."""
    if one.kind != other.kind:
        return f"of kind {one.kind!r} and {other.kind!r}"
    pairs = [_series(one), _series(other)]
    if len(pairs[0]) != len(pairs[1]):
        return f"{len(pairs[0])} and {len(pairs[1])} series"
    for i, (a, b) in enumerate(zip(*pairs, strict=True)):
        where = f"series {i + 1}"
        if a.keys() != b.keys():
            return f"{where} has {', '.join(a)} and {', '.join(b)}"
        for name in a:
            if a[name].shape != b[name].shape or not np.array_equal(a[name][0], b[name][0]):
                return f"{where} has other times"
            if not np.array_equal(a[name], b[name], equal_nan=True):
                return f"{where} has other values of {name!r}"
    return ""


def _series(problem: Problem) -> list[dict[str, Any]]:
    """Return times and values [2, T] of each observable, in name order, for each replicate.

    Experiments may be divided, as their initial values ask for it, but replicates keep their order.
    """
    found = []
    for e in problem.experiments:
        for series in e.data.values:
            columns = {
                n: np.stack([e.data.times, series[:, o]]) for o, n in enumerate(e.data.names)
            }
            found.append(dict(sorted(columns.items())))
    return found


def _normalized(prior: Any, problems: Mapping[str, Problem]) -> dict[str, float]:
    if prior is None:
        return dict.fromkeys(problems, 1 / len(problems))
    require_mapping("prior", prior)
    require_known(prior, problems, what="`prior` has", owner="`problems`", error=ParameterError)
    for name in problems:
        if name not in prior:
            raise ParameterError(f"`prior` has no weight for {name!r}; give 0 to leave it out.")
        if not (is_number(prior[name]) and 0 <= prior[name] < math.inf):
            raise ParameterError(
                f"`prior[{name!r}]` is {shown(prior[name])}, expected a number of at least 0."
            )
    total = float(sum(prior.values()))
    if not total > 0:
        raise ParameterError("`prior` has weights of 0 alone; give one model at least a weight.")
    return {name: float(prior[name]) / total for name in problems}
