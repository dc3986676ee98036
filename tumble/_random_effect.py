"""Parameters that differ from run to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._errors import CapabilityError, ParameterError, is_number, shown
from tumble._parameters import Ref
from tumble._typing import FloatArray

_FARTHEST, _NEGLIGIBLE = 40.0, 20.0  # standard deviations, nats
_WIDEST, _NARROWEST = 1.0, 1 / 64  # steps between nodes
_STILL = 0.02


@dataclass(frozen=True)
class RandomEffect:
    """A parameter of the model that is another number in every run: in every cell, or replicate.

    Definition: in each run it is ``median`` exp(``sigma`` ε), ε standard normal and drawn anew. So
    a hierarchical model is written as a condition of an experiment: what is fitted are the median
    and the spread, and no cell has a parameter of its own.

    Arguments: ``median`` > 0 and ``sigma`` ≥ 0, the standard deviation of the logarithm (near the
    coefficient of variation, where that is small): each a number, or a `Ref` to (or name of) a
    parameter of the problem. Raises `ParameterError`.

    Guarantee: simulations draw it exactly. `FiniteStateProjection` integrates one of them out of
    the likelihood of snapshots, by quadrature whose error in the log likelihood of a cell is far
    below 0.02, or raises `CapabilityError`.

    >>> import tumble as tb
    >>> cells = tb.Experiment(
    ...     {"time": [1.0], "mRNA": [7]}, {"mRNA": 0},
    ...     {"k": tb.RandomEffect("k_median", "k_sigma")}, kind="snapshots",
    ... )
    """

    median: Any
    sigma: Any

    def __post_init__(self) -> None:
        for name, least in (("median", "> 0"), ("sigma", "≥ 0")):
            value = getattr(self, name)
            fits = is_number(value) and np.isfinite(value) and value >= 0
            if not (isinstance(value, (str, Ref)) or (fits and (value > 0 or name == "sigma"))):
                raise ParameterError(
                    f"`RandomEffect({name}=...)` is {shown(value)}, expected a number {least}, a "
                    "Ref or a name of a parameter."
                )

    @property
    def parts(self) -> tuple[Any, Any]:
        """Median and sigma."""
        return self.median, self.sigma


def integrated(
    given: Callable[[float], tuple[FloatArray, FloatArray]],
) -> tuple[FloatArray, FloatArray]:
    """Return log E[p(datum | ε)] [n], and its derivatives [n, U], over a standard normal ε.

    Definition: the trapezoidal rule, whose step is halved until no logarithm moves by 0.02. Its
    error falls faster than any power of the step: then it is far below that. Nodes are taken from 0
    outward, as far as they matter for any datum whose density has one hill in ε.

    Arguments: ``given``, a function of ε that returns log p [n] and its derivatives [n, U]. Raises
    `CapabilityError` where data tell ε too precisely for that.
    """
    logs, slopes, ends = _outward(given)
    step, before = _WIDEST, _mean(logs, _WIDEST)
    while step > _NARROWEST:
        step /= 2
        more = np.arange(ends[0] + step, ends[1], 2 * step)
        parts = _joint(given, more)
        logs = np.concatenate([logs, parts[0]])
        slopes = np.concatenate([slopes, parts[1]])
        found = _mean(logs, step)
        same = (found == before) | (np.abs(found - before) < _STILL)
        if same.all():
            shares = np.exp(logs + np.log(step) - np.where(np.isneginf(found), 0.0, found))
            return found, np.einsum("qn,qnu->nu", shares, slopes)
        before = found
    raise CapabilityError(
        "the counts are so large that a cell tells its own rate better than the quadrature over "
        "random effects can follow; use SMCABC() or MomentMatching(), which simulate."
    )


def _outward(
    given: Callable[[float], tuple[FloatArray, FloatArray]],
) -> tuple[FloatArray, FloatArray, tuple[float, float]]:
    """Return log p(datum, ε) [q, n], derivatives [q, n, U], and the outermost of the nodes."""
    parts, ends = [_joint(given, np.zeros(1))], []
    for way in (-1.0, 1.0):
        top, last, node = parts[0][0][0], parts[0][0][0], 0.0
        while abs(node) < _FARTHEST:
            node += way * _WIDEST
            parts.append(_joint(given, np.array([node])))
            here = parts[-1][0][0]
            top = np.maximum(top, here)
            if np.all((here < top - _NEGLIGIBLE) & (here <= last)):
                break
            last = here
        ends.append(node)
    logs, slopes = (np.concatenate(column) for column in zip(*parts, strict=True))
    return logs, slopes, (ends[0], ends[1])


def _joint(
    given: Callable[[float], tuple[FloatArray, FloatArray]], nodes: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return log p(datum, ε) [q, n] at nodes, and derivatives [q, n, U]."""
    logs, slopes = (np.stack(c) for c in zip(*(given(float(e)) for e in nodes), strict=True))
    prior = -0.5 * nodes**2 - 0.5 * np.log(2 * np.pi)
    return logs + prior[:, None], slopes


def _mean(logs: FloatArray, step: float) -> FloatArray:
    return np.asarray(np.logaddexp.reduce(logs, axis=0) + np.log(step))
