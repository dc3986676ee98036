"""A learnt network on the true, simulated objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tumble._budget import Budget
from tumble._errors import CapabilityError
from tumble._fit import fit
from tumble._fit_result import FitResult
from tumble._parameters import Parameter
from tumble._problem import Problem
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients import AlternativePath, assemble
from tumble.losses import times
from tumble.models import Reaction, ReactionNetwork
from tumble.objectives import BoundOutputs, MomentMatching
from tumble.structure._library import equation

_MOST_RUNS = 1e5  # of a fit
_RUNS = 1000  # of each experiment, for expected features
_LEVEL = 0.05  # of all tests together
_BAND = (0.025, 0.5, 0.975)


@dataclass(frozen=True)
class LeftOut:
    """A candidate that the network does not have, at rate 0.

    ``slope``, the derivative from above of the simulated loss by its rate, in units of the ``rate``
    at which it would matter, the rates of the network adapting; ``standard_error``, of simulation
    and of the data; ``z``, −slope over that: large where the candidate would lower the loss.
    """

    equation: str
    rate: float
    slope: float
    standard_error: float

    @property
    def z(self) -> float:
        """By how many standard errors the loss falls."""
        return -self.slope / self.standard_error if self.standard_error > 0 else 0.0


@dataclass(frozen=True, repr=False)
class Refinement:
    """A network fitted by the simulator, and what the simulator says of it.

    Attributes:

    - ``fit``: a `FitResult`, the rates that make the simulated loss smallest.
    - ``loss`` at these rates, without smoothing, and ``floor`` [3], the 2.5 %, 50 % and 97.5 %
      quantiles of the loss of data that the network itself makes.
    - ``two_sets``: the loss of one such set of data against another, the unsmoothed noise floor:
      no model comes below it against data that it has not seen, on average.
    - ``left_out``: `LeftOut` candidates, the most telling first.
    - ``critical``: the z that all of them stay below in 95 of 100 cases if none belongs in.
    """

    fit: FitResult
    loss: float
    floor: tuple[float, float, float]
    two_sets: float
    left_out: tuple[LeftOut, ...]
    critical: float

    @property
    def at_floor(self) -> bool:
        """Whether the loss is one that data of the network itself have."""
        return self.loss <= self.floor[2]

    @property
    def improving(self) -> tuple[LeftOut, ...]:
        """The left-out candidates that would lower the simulated loss, by a test."""
        return tuple(c for c in self.left_out if c.z > self.critical)

    @property
    def words(self) -> str:
        """What the simulator says, in a sentence or two."""
        low, _, high = self.floor
        place = "at" if self.at_floor else "above"
        text = (
            f"The simulated loss is {self.loss:.4g}, {place} the noise floor: data of the network "
            f"itself have {low:.4g} to {high:.4g}, and two sets of them {self.two_sets:.4g} "
            "between them."
        )
        if not self.left_out:
            return text
        most = self.left_out[0]
        if not self.improving:
            return (
                f"{text} No left-out candidate improves the simulated fit (largest z = "
                f"{most.z:.1f} of {len(self.left_out)}, {self.critical:.1f} would tell)."
            )
        named = ", ".join(f"{c.equation} (z = {c.z:.1f})" for c in self.improving)
        return f"{text} Left-out candidates that would improve the simulated fit: {named}."

    def summary(self) -> str:
        """Return the refinement on one screen."""
        return f"{self.words}\n{self.fit.summary()}"

    __repr__ = summary


def refined(
    problem: Problem,
    start: dict[str, float],
    candidates: Sequence[tuple[Reaction, float]],
    *,
    objective: MomentMatching | None,
    num_samples: int,
    num_draws: int,
    seed: int,
    options: dict[str, Any],
) -> Refinement:
    """Fit a network by simulation, and test the candidates it does without; see `refine`.

    ``candidates``, with the rate at which each would matter.
    """
    if not isinstance(objective, MomentMatching | None):
        raise CapabilityError(
            f"`objective` is {objective!r}, expected a MomentMatching: a refinement is of a loss "
            "that the simulator is run for."
        )
    objective = MomentMatching() if objective is None else objective
    options = {"start": start, "seed": seed, "budget": Budget(simulations=_MOST_RUNS), **options}
    found = fit(problem, objective=objective, **options)
    stream = Stream.from_seed(seed).child("refinement")
    bound: Any = objective.bind(problem)
    draws = [
        _drawn(problem, found.theta, stream.child("data", d)) for d in range(max(num_draws, 2))
    ]
    states = [
        problem.simulate_binding(e, found.theta, stream.child("states", e), _RUNS).states
        for e in range(len(problem.bindings))
    ]
    losses, two = [], []
    for values, others in zip(draws, [*draws[1:], draws[0]], strict=True):
        of_draw: Any = objective.bind(problem.with_data(values))
        losses.append(_loss(of_draw, states, found.theta))
        two.append(of_draw.value(_observed(of_draw, others)))
    left = _left_out(bound, found, candidates, draws, num_samples, stream.child("left out"))
    floor = np.quantile(losses, _BAND)
    return Refinement(
        found,
        _loss(bound, states, found.theta),
        (float(floor[0]), float(floor[1]), float(floor[2])),
        float(np.median(two)),
        tuple(sorted(left, key=lambda c: -c.z)),
        _critical(len(left)),
    )


def _critical(count: int) -> float:
    from scipy.stats import norm

    return float(norm.isf(_LEVEL / max(count, 1)))


def _drawn(problem: Problem, theta: FloatArray, stream: Stream) -> list[FloatArray]:
    """Return data as large as those of the problem, drawn at θ [P]."""
    drawn = []
    for e, binding in enumerate(problem.bindings):
        observed = binding.observed.values
        branch = stream.child("experiment", e)
        sample = problem.simulate_binding(e, theta, branch, len(observed))
        rng = branch.child("noise").numpy()
        values = np.array(binding.sample_data(sample.states, theta, rng), dtype=float)
        if problem.kind == "snapshots":  # cells at different times have nothing in common
            values = np.stack([rng.permutation(values[:, t]) for t in range(values.shape[1])], 1)
        values[~np.isfinite(observed)] = np.nan
        drawn.append(values)
    return drawn


def _loss(bound: BoundOutputs, states: Sequence[Any], theta: FloatArray) -> float:
    """Return the loss of expected features, from as many runs of each experiment; unbiased."""
    parts = [bound.features_of(e, s, theta) for e, s in enumerate(states)]
    features = np.concatenate([np.asarray(part).reshape(len(part), -1) for part in parts], axis=1)
    n, mean = len(features), features.mean(0)
    without = bound.loss.value((n * mean - features) / (n - 1))
    return float(n * bound.loss.value(mean) - (n - 1) * without.mean())


def _observed(bound: BoundOutputs, values: Sequence[FloatArray]) -> FloatArray:
    """Return features [F] of data, 0 where these are missing."""
    parts = []
    for e, data in enumerate(values):
        features = bound.features_of_data(e, data)
        there = np.isfinite(features)
        total = np.where(there, features, 0.0).sum(0)
        parts.append((total / np.maximum(there.sum(0), 1)).ravel())
    return np.concatenate(parts)


def _left_out(
    bound: BoundOutputs,
    found: FitResult,
    candidates: Sequence[tuple[Reaction, float]],
    draws: Sequence[Sequence[FloatArray]],
    num_samples: int,
    stream: Stream,
) -> list[LeftOut]:
    """Return the candidates with the derivatives of the loss at rate 0.

    The derivative is the one at rates of the network that go along with that of the candidate, so
    that it is not moved by how far the fit was from its minimum: with J the Jacobian of expected
    features by the rates of the network and j that by a candidate's, j − J B in place of j, where B
    solves the weighted least squares of j on J. Its error is that of simulation, and what it is for
    data that the network itself makes.
    """
    if not candidates:
        return []
    problem = found.problem
    wide = _with_candidates(problem, candidates)
    objective: Any = bound.objective
    of_all: Any = objective.bind(wide)
    theta = wide.space.pack({**found.params, **dict.fromkeys(_names(len(candidates)), 0.0)})
    estimator = AlternativePath(num_phantoms=max(4, len(candidates)))
    estimator.check(of_all)
    z = np.asarray(wide.space.to_fit(theta))
    sampled = estimator.sample(of_all, z, num_samples, stream)
    estimate = assemble(of_all, sampled)
    jacobian = sampled.jacobians.mean(0)
    second = of_all.loss.stiffness(sampled.features.mean(0))
    order = [wide.space.names.index(name) for name in problem.space.names]
    absent = [wide.space.names.index(name) for name in _names(len(candidates))]
    mine, theirs = jacobian[:, order], jacobian[:, absent]
    inner = mine.T @ times(second, mine)
    along = np.linalg.lstsq(inner, mine.T @ times(second, theirs), rcond=None)[0]
    turn = np.zeros((len(candidates), wide.space.size))
    turn[:, order], turn[:, absent] = -along.T, np.eye(len(candidates))
    slopes = turn @ estimate.gradient
    simulation = np.einsum("cp,pq,cq->c", turn, estimate.covariance, turn)
    mixed = of_all.loss.mixed(sampled.features.mean(0))
    observed = np.array([_observed(of_all, values) for values in draws])
    moved = times(np.transpose(mixed), (observed - observed.mean(0)).T).T
    of_data = (moved @ (theirs - mine @ along)).var(0, ddof=1)
    errors = np.sqrt(simulation + of_data)
    return [
        LeftOut(equation(reaction), rate, float(slope), float(error))
        for (reaction, rate), slope, error in zip(candidates, slopes, errors, strict=True)
    ]


def _names(count: int) -> list[str]:
    return [f"left_out_{i + 1}" for i in range(count)]


def _with_candidates(problem: Problem, candidates: Sequence[tuple[Reaction, float]]) -> Problem:
    """Return the problem with further reactions, whose rates are unknown and may be 0."""
    model: Any = problem.model
    names = _names(len(candidates))
    more = [
        Reaction(reaction.reactants, reaction.products, f"{rate!r} * {name}")
        for (reaction, rate), name in zip(candidates, names, strict=True)
    ]
    network = ReactionNetwork((*model.reactions, *more), model.species)
    unknown = {name: Parameter(0.0, 1.0, scale="linear") for name in names}
    return replace(problem, model=network, parameters={**problem.parameters, **unknown})
