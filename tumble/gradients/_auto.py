"""Measure, then choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._errors import (
    CapabilityError,
    DerivativeError,
    ParameterError,
    SimulationError,
    require_whole,
)
from tumble._problem import Problem
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients._allocation import allocate
from tumble.gradients._alternative_path import AlternativePath
from tumble.gradients._base import MIN_SAMPLES, AbstractEstimator, require_estimators
from tumble.gradients._baselines import LinearResponse
from tumble.gradients._coupled_difference import CoupledDifference
from tumble.gradients._equivalence import Verdict, equivalence_test
from tumble.gradients._estimate import GradientEstimate, pool_estimates
from tumble.gradients._gaussian_smoothing import GaussianSmoothing
from tumble.gradients._score_function import ScoreFunction
from tumble.gradients._spsa import SPSA
from tumble.models import AbstractLattice, ReactionNetwork
from tumble.objectives import BoundOutputs

_SCORE, _RESPONSE, _PAIRS = ScoreFunction(), ScoreFunction(LinearResponse()), CoupledDifference()
_ALTERNATIVES = AlternativePath()
_SAMPLES_ALONE = (SPSA(), GaussianSmoothing())
_ROUNDS = 3
# Who is this many times dearer than the best of a round is out; a variance from few runs is off by
# less than that, and from more runs by less.
_STAYS = (6.0, 3.0)
# Standard errors by which two estimates may differ: errors from few runs have long tails.
_BEYOND = 6.0
_MOST_AT_ONCE = 4096
# To see which runs tell most takes so many joint samples, of the runs of so many first rounds.
_SAMPLES_TO_DIVIDE, _RUNS_TO_DIVIDE = 128, 4
# The part of a budget that pilots may take.
_LARGEST_SHARE = 0.1


@dataclass(frozen=True)
class Choice:
    """What a pilot found.

    ``estimator``, the one to use; ``pilots``, what each candidate was measured at; ``refused``,
    candidate → why it was not taken up; ``num_runs`` that the pilots cost; ``gain``, the factor in
    work that is saved where the runs of the estimator are `Allocated`, else 1.
    """

    estimator: AbstractEstimator
    pilots: tuple[tuple[AbstractEstimator, GradientEstimate], ...]
    num_runs: int
    refused: tuple[tuple[AbstractEstimator, str], ...] = ()
    gain: float = 1.0

    def __str__(self) -> str:
        costs = ", ".join(f"{e.label} {estimate.work_variance:.2g}" for e, estimate in self.pilots)
        left = "".join(f"; {e.label}: {why}" for e, why in self.refused)
        divided = f"; dividing its runs saves a factor {self.gain:.2g}" if self.gain > 1 else ""
        return f"{self.estimator.label} (work-normalized variance: {costs}{left}{divided})"


@dataclass(frozen=True)
class Auto:
    """Tries the estimators that the simulator allows and takes the cheapest.

    Definition: candidates estimate the gradient of the loss at hand in up to three rounds, each
    with twice the runs of the one before; those that are clearly dearer drop out after a round. The
    one with the lowest variance times work is used, and its runs are divided between experiments
    and observation times (`Allocated`) where that saves a fifth of the work or more. Work is
    counted in events and runs, weighted by what these cost the estimator, so that the same seed
    gives the same choice. In a fit the choice is made again when the runs a step have grown
    fourfold, and when a parameter has moved by more than a half on the fit scale and the pilots are
    cheap beside what was spent since.

    Guarantee: that of the estimator chosen. Candidates whose guarantee is proven come first; others
    are taken only where an equivalence test against the best of these calls them RIGHT at this
    point, to 10 %. All pilots count against the budget.

    Arguments: ``candidates``, default `ScoreFunction` with and without `LinearResponse`,
    `CoupledDifference` and, for lattices, `AlternativePath`, as far as the simulator allows, and
    `SPSA` and `GaussianSmoothing` where it allows none of them; ``pilot_runs`` of each candidate in
    the first round, default 64, and more where the runs at hand are many; then the pilots take a
    fifth of them at most.
    """

    candidates: Sequence[AbstractEstimator] | None = None
    pilot_runs: int = 64

    def __post_init__(self) -> None:
        if self.candidates is not None:
            require_estimators("candidates", self.candidates)
        require_whole("pilot_runs", self.pilot_runs)

    def estimate(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_runs: int,
        stream: Stream,
        executor: Any = None,
    ) -> GradientEstimate:
        """Choose, and estimate with what is left of ``num_runs``; the pilots are in its cost."""
        choice = self.choose(objective, z, stream.child("auto"), executor, num_runs=num_runs)
        left = max(num_runs - choice.num_runs, 1)
        found = choice.estimator.estimate(objective, z, left, stream.child("rest"), executor)
        return found.with_costs_of(*(pilot for _, pilot in choice.pilots))

    def choose(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        stream: Stream,
        executor: Any = None,
        *,
        num_runs: int | None = None,
        num_each: int = 0,
    ) -> Choice:
        """Run the pilots at z [P] and return the `Choice`.

        Arguments: ``num_runs`` at hand for pilots and estimate together, default not known;
        ``num_each``, runs of each of the estimates for which the choice is made, default few.
        Raises `CapabilityError` where no candidate fits the simulator, `SimulationError` where
        every candidate's runs fail.
        """
        trials = _Trials(objective, z, stream, executor)
        able = self.members(objective.problem)
        proven = _affordable([c for c in able if c.proven], objective, num_runs)
        unproven = [c for c in able if not c.proven]
        # What grows better with its runs is to be seen near those that it would get.
        near = max(num_each, (num_runs or 0) // 25)
        first = self._first_runs(len(proven), num_runs, near)
        if num_each:  # pilots of many times the runs of a step would cost more than they can save
            first = min(first, max(num_each, MIN_SAMPLES))
        trials.at_once = max(first * (2**_ROUNDS - 1), min(_MOST_AT_ONCE, near))
        best = _halve(trials, proven, first)
        if best is None:
            if not unproven:
                raise trials.failure
            best = _halve(trials, unproven, first)
            if best is None:
                raise trials.failure
            refused = [(best, "its guarantee is not proven, but no other candidate can be used")]
        else:
            best, refused = _take_up(trials, best, unproven, first)
        divided, gain = trials.divided(best, max(_RUNS_TO_DIVIDE * first, near))
        pilots = tuple(trials.found.values())
        spent = sum(estimate.num_runs for _, estimate in pilots)
        return Choice(divided, pilots, spent, tuple(refused), gain)

    def members(self, problem: Problem) -> list[AbstractEstimator]:
        """Return the candidates that simulator and models allow. Raises `CapabilityError`."""
        simulator: Any = problem.simulator
        models = [binding.model for binding in problem.bindings]

        def allowed(candidates: Sequence[AbstractEstimator]) -> list[AbstractEstimator]:
            return [c for c in candidates if all(simulator.offers(c.requires, m) for m in models)]

        if self.candidates is None:
            responds = all(
                isinstance(m, ReactionNetwork) and m.is_mass_action.any() for m in models
            )
            members = [_SCORE, _RESPONSE, _PAIRS] if responds else [_SCORE, _PAIRS]
            if all(isinstance(m, AbstractLattice) for m in models):
                members.append(_ALTERNATIVES)
            found = allowed(members)
            return found or list(_SAMPLES_ALONE)
        able = allowed(self.candidates)
        if not able:
            needs = ", ".join(
                f"{type(c).__name__} ({c.requires.__name__})" for c in self.candidates
            )
            raise CapabilityError(
                f"{type(simulator).__name__} offers what none of the candidates needs: {needs}."
            )
        return able

    def _first_runs(self, count: int, num_runs: int | None, near: int) -> int:
        """Return the runs of the first round, so that all rounds come to ``near`` if need be."""
        if num_runs is None or count == 0:
            return self.pilot_runs
        # At worst all stay to the end: 1 + 2 + 4 times the runs of the first round.
        rounds = 2**_ROUNDS - 1
        most = int(_LARGEST_SHARE * num_runs / count) // rounds
        return max(1, min(max(self.pilot_runs, near // rounds), most))


class _Trials:
    """What the candidates have shown so far. Final."""

    def __init__(
        self, objective: BoundOutputs, z: FloatArray, stream: Stream, executor: Any
    ) -> None:
        self._arguments = objective, z, stream, executor
        self.at_once = 1
        self.found: dict[int, tuple[AbstractEstimator, GradientEstimate]] = {}
        self.failure: Exception = SimulationError("no candidate could be tried.")

    def run(self, candidate: AbstractEstimator, num_runs: int) -> bool:
        """Run a candidate, and pool with what it showed before; return whether it could be run."""
        objective, z, stream, executor = self._arguments
        spent = self.of(candidate).num_runs if id(candidate) in self.found else 0
        branch = stream.child("pilot", type(candidate).__name__, repr(candidate), spent)
        try:
            fresh = candidate.estimate(objective, z, num_runs, branch, executor)
        except (ParameterError, DerivativeError, SimulationError) as error:  # at a rate of 0
            self.failure = error
            return False
        self.add(candidate, fresh)
        return True

    def add(self, candidate: AbstractEstimator, fresh: GradientEstimate) -> None:
        """Pool an estimate with what a candidate showed before."""
        before = self.found.get(id(candidate))
        both = fresh if before is None else pool_estimates([before[1], fresh])
        self.found[id(candidate)] = candidate, both

    def divided(self, best: AbstractEstimator, num_runs: int) -> tuple[AbstractEstimator, float]:
        """Return ``best`` with its runs divided, and the gain; not where they are too few to tell.

        Arguments: ``num_runs`` that this may take.
        """
        objective, z, stream, executor = self._arguments
        per_sample = best.runs_in_all(objective)
        wanted = _SAMPLES_TO_DIVIDE if best.any_size else self.at_once
        size = min(wanted, num_runs // per_sample)
        if not best.divisible or size < _SAMPLES_TO_DIVIDE // 4:
            return best, 1.0
        found = allocate(best, objective, z, size, stream.child("divide"), executor)
        self.add(best, found.pilot)
        return found.estimator, found.gain

    def of(self, candidate: AbstractEstimator) -> GradientEstimate:
        """Return what a candidate showed in all its runs."""
        return self.found[id(candidate)][1]

    def costs(self, candidates: Sequence[AbstractEstimator]) -> FloatArray:
        """Return the variance times work of each, as far as their estimates agree.

        From few runs a rare event may not have been seen, and the variance looks small or none. So
        no variance at all, where others have some, counts as not measured; and where two estimates
        of the same gradient differ beyond their errors, the one that claims to be more precise is
        taken to be off by that much; but a component of which one has seen nothing says nothing
        about the other.
        """
        found = [self.of(c) for c in candidates]
        costs = np.array([e.work_variance for e in found])
        unseen = np.array([np.diag(e.covariance) <= 0 for e in found])
        blind = (unseen & ~unseen.all(0)).any(1)
        costs[blind] = np.inf
        for i, one in enumerate(found):
            for j, other in enumerate(found):
                if np.trace(other.covariance) > np.trace(one.covariance):
                    error2 = np.diag(one.covariance) + np.diag(other.covariance)
                    excess = (one.gradient - other.gradient) ** 2 - _BEYOND**2 * error2
                    known = ~unseen[j] | unseen.all(0)
                    off = float(np.maximum(excess, 0.0)[known].sum())
                    costs[i] = max(costs[i], one.work * (np.trace(one.covariance) + off))
        return costs


def _affordable(
    candidates: list[AbstractEstimator], objective: BoundOutputs, num_runs: int | None
) -> list[AbstractEstimator]:
    """Leave out candidates whose smallest estimate would take most of the runs at hand."""
    if num_runs is None or len(candidates) < 2:
        return candidates
    parts = len(objective.problem.bindings) * MIN_SAMPLES
    least = [c.runs_per_sample(objective) * parts for c in candidates]
    kept = [c for c, n in zip(candidates, least, strict=True) if n <= num_runs / 4]
    return kept or [candidates[int(np.argmin(least))]]


def _halve(
    trials: _Trials, candidates: list[AbstractEstimator], first: int
) -> AbstractEstimator | None:
    """Return the candidate with the lowest variance times work; None where all fail."""
    alive = candidates
    for k in range(_ROUNDS):
        alive = [c for c in alive if _run_round(trials, c, k, first)]
        if len(alive) < 2:
            break
        if k < len(_STAYS):
            costs = trials.costs(alive)
            stays = (costs <= _STAYS[k] * costs.min()) | np.isinf(costs)
            alive = [c for c, stay in zip(alive, stays, strict=True) if stay]
            if len(alive) < 2:
                break
    if not alive:
        return None
    return alive[int(np.argmin(trials.costs(alive)))]


def _run_round(trials: _Trials, candidate: AbstractEstimator, k: int, first: int) -> bool:
    """Run round k of a candidate; what needs many runs to show its worth has them all at once."""
    if candidate.any_size:
        return trials.run(candidate, first * 2**k)
    return k > 0 or trials.run(candidate, trials.at_once)


def _take_up(
    trials: _Trials, best: AbstractEstimator, unproven: list[AbstractEstimator], first: int
) -> tuple[AbstractEstimator, list[tuple[AbstractEstimator, str]]]:
    """Return the cheapest of ``best`` and the candidates that are RIGHT beside it."""
    refused: list[tuple[AbstractEstimator, str]] = []
    all_rounds = first * (2**_ROUNDS - 1)
    missing = all_rounds - trials.of(best).num_runs
    if unproven and missing > 0:
        trials.run(best, missing)
    reference = trials.of(best)
    chosen = best
    for candidate in unproven:
        if not trials.run(candidate, all_rounds):
            continue
        found = trials.of(candidate)
        outcome = equivalence_test(
            found.gradient, found.standard_errors, reference.gradient, reference.standard_errors
        )
        worst = [v for v in outcome.verdicts if v is not Verdict.RIGHT]
        if worst:
            word = Verdict.WRONG if Verdict.WRONG in worst else Verdict.UNDECIDED
            refused.append((candidate, f"{word.value} beside {best.label}"))
        elif found.work_variance < trials.of(chosen).work_variance:
            chosen = candidate
    return chosen, refused
