"""The result of `learn_structure`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tumble._errors import ModelError, ParameterError, require_known, require_whole
from tumble._fit_result import FitResult
from tumble._late import call_late
from tumble._parameters import Parameter
from tumble._problem import Problem
from tumble._random import Stream
from tumble._results import ResultCode
from tumble.models import Reaction, ReactionNetwork
from tumble.objectives import MomentMatching, PathLikelihood
from tumble.structure._advice import (
    Advice,
    DesignValue,
    NextExperiment,
    expected_gains,
    possible_experiments,
)
from tumble.structure._conserved import ObservedLaw
from tumble.structure._descent import Descent
from tumble.structure._equivalence import (
    Equivalences,
    Recovery,
    find_equivalences,
    find_recovery,
)
from tumble.structure._learnt import LearntReaction, NetworkChoice
from tumble.structure._library import ReactionLibrary
from tumble.structure._posterior import NetworkPosterior, NetworkPrior, Weighed
from tumble.structure._refinement import Refinement, refined

_Z95 = 1.959963984540054
_SHOWN = 6
_SLIGHT = 0.01  # a probability that is not worth a line
_RIVAL = 1e-3  # probability


@dataclass(frozen=True, repr=False)
class StructureResult:
    """Which reactions there are.

    Attributes:

    - ``networks``: `NetworkChoice` objects, most probable first.
    - ``library``: the candidates that were left after ``laws``.
    - ``laws``: `ObservedLaw` objects, sums that the data conserve.
    - ``prior``: what probabilities rest on.
    - ``result``: ``SUCCESS``, or ``MAX_STEPS`` where the search was cut short, or ``INTERRUPTED``
      where it was stopped by hand; then probabilities are of what had been weighed by then.
    - ``seconds``, ``num_weighed`` networks.
    - ``inclusion``: the probability of each candidate, by its equation.
    - ``passed_over``: the probability of networks that were not weighed but estimated; it is part
      of ``inclusion``.
    - ``posterior``: what weighed them, and with it the ``problem``.
    - ``descents``: `Descent` objects, one a start, of searches by gradients; else none.
    """

    networks: tuple[NetworkChoice, ...]
    library: ReactionLibrary
    laws: tuple[ObservedLaw, ...]
    prior: NetworkPrior
    result: ResultCode
    seconds: float
    num_weighed: int
    best: Weighed = field(repr=False)
    inclusion: Mapping[str, float]
    passed_over: float
    posterior: NetworkPosterior = field(repr=False)
    descents: tuple[Descent, ...] = field(default=(), repr=False)

    @property
    def problem(self) -> Problem:
        """The problem of which it is the result."""
        return self.posterior.likelihood.problem

    @property
    def likelihood(self) -> str:
        """What networks were weighed by, in words."""
        if self.posterior.closely:
            return "numbers of firings where they are few, and linear noise"
        stopped = self.result is ResultCode.INTERRUPTED
        if stopped or self.posterior.likelihood.known_steps is None:
            return "linear noise"
        return "linear noise, since no network that was found can make all the steps of the data"

    @cached_property
    def reactions(self) -> tuple[LearntReaction, ...]:
        """All candidates, most probable first."""
        first = self.networks[0]
        spread = np.sqrt(np.diag(np.linalg.inv(self.best.precision)))
        sds = {self.library.equations[r]: s for r, s in zip(self.best.members, spread, strict=True)}
        rates = dict(zip(first.equations, first.rates, strict=True))
        found = []
        for equation in self.library.equations:
            share = self.inclusion[equation]
            rate, wide = rates.get(equation, np.nan), np.exp(_Z95 * sds.get(equation, np.nan))
            found.append(LearntReaction(equation, share, rate, (rate / wide, rate * wide)))
        return tuple(sorted(found, key=lambda r: -r.probability))

    @cached_property
    def network(self) -> ReactionNetwork:
        """The most probable network, with its rates as numbers."""
        return self.network_at(0)

    def network_at(self, rank: int) -> ReactionNetwork:
        """Return the network of this rank, 0 for the most probable one, with rates as numbers."""
        choice = self.networks[self._rank(rank)]
        return self.library.network_of(self._members(rank), choice.rates)

    # -- what follows from it ----------------------------------------

    @cached_property
    def equivalent(self) -> Equivalences:
        """What the design of the experiments cannot tell apart, by name and reason."""
        return find_equivalences(self.problem, self.library, self.networks, self.inclusion)

    @property
    def alike_probability(self) -> float:
        """The probability of the first network and all that the data cannot tell from it."""
        return next(c.probability for c in self.equivalent.networks if 0 in c.ranks)

    def recovery(self, truth: ReactionNetwork | Sequence[str]) -> Recovery:
        """Return how much of a known network was found, up to what the design cannot tell apart.

        Arguments: ``truth``, a network, of which the rates do not matter, or its equations.
        """
        if not isinstance(truth, ReactionNetwork):
            lines = "\n".join(f"{text} ; 1" for text in truth)
            truth = ReactionNetwork.from_text(lines, species=self.library.species)
        require_known(truth.species, self.library.species, what="`truth` has species",
                      owner="the library", error=ModelError)  # fmt: skip
        return find_recovery(self.problem, self.library, self.networks, truth.reactions)

    def as_fit(self, rank: int = 0) -> FitResult:
        """Return the network of this rank as the result of a fit, with its constants by name.

        Its estimates are the most probable rates, with the covariance of Laplace's method. So all
        that takes a fit takes it: `diagnostics.posterior_predictive`, reports, files, figures.
        Raises `ModelError` where the network has no reactions.
        """
        choice, reactions = self.networks[self._rank(rank)], self._reactions_of(rank)
        if not reactions:
            raise ModelError(
                "this network has no reactions, so there is nothing to fit; take another rank."
            )
        weighed = self._weighed(rank)
        loss = -self.posterior.at(weighed).log_likelihood
        names = [str(reaction.rate) for reaction in reactions]
        log_rates = np.log(choice.rates)
        center = self.posterior.centers[weighed.members]
        reach = np.maximum(2 * self.prior.spread, np.abs(log_rates - center) + 1)
        unknown = {
            name: Parameter(float(np.exp(c - w)), float(np.exp(c + w)), start=rate)
            for name, c, w, rate in zip(names, center, reach, choice.rates, strict=True)
            if not all(name in e.conditions for e in self.problem.experiments)
        }
        problem = self._problem_of(ReactionNetwork(reactions, self.library.species), unknown)
        order = [names.index(name) for name in problem.space.names]
        share = f"probability {choice.probability:.3f}"
        if rank == 0 and self.alike_probability > choice.probability + 5e-4:
            share += f", {self.alike_probability:.3f} with those that the data cannot tell from it"
        return FitResult(
            problem=problem,
            objective=PathLikelihood(),
            gradient="derivatives of the linear noise approximation",
            optimizer="Newton's method",
            theta=np.array(choice.rates)[order],
            covariance=np.asarray(
                np.linalg.inv(weighed.precision)[np.ix_(order, order)], dtype=np.float64
            ),
            loss=loss,
            result=self.result,
            reason=f"{len(reactions)} of {len(self.library)} candidates; {share}",
            history=(),
            starts=np.array([loss]),
            stats={"seconds": self.seconds, "networks": float(self.num_weighed)},
            uncertainty="Laplace's method, given this network",
        )

    def next_observation(
        self,
        experiments: Sequence[NextExperiment] | None = None,
        *,
        num_rivals: int = 4,
        num_draws: int = 8,
        seed: int = 0,
    ) -> Advice:
        """Return which further experiment would best tell the most probable network from others.

        Definition: outcomes of each experiment are simulated exactly from the most probable network
        at its rates. All data, old and new, are then weighed under it and under its rivals, each
        with rates of its own. What is expected is the mean over outcomes of the log Bayes factors,
        and of the probability of the network among them.

        Arguments: ``experiments``, default those of `structure.possible_experiments`: once more,
        another species counted, finer or longer, with half or twice the population;
        ``num_rivals``, the next probable networks (those with a probability above 0.001), default
        4; ``num_draws`` outcomes each, default 8; ``seed``.
        """
        require_whole("num_rivals", num_rivals)
        require_whole("num_draws", num_draws)
        designs = (
            possible_experiments(self.problem, self.library)
            if experiments is None
            else list(experiments)
        )
        ranks = [
            rank for rank, choice in enumerate(self.networks[: 1 + num_rivals])
            if rank == 0 or choice.probability > _RIVAL
        ]  # fmt: skip
        shares = [self.networks[rank].probability for rank in ranks]
        values: list[DesignValue] = []
        if len(ranks) > 1:
            fitted = self.as_fit()
            networks = [
                (
                    w.network,
                    dict(zip(w.members, w.log_rates.tolist(), strict=True)),
                    w.log_posterior,
                )
                for w in map(self._weighed, ranks)
            ]
            values = expected_gains(
                fitted.problem, fitted.theta, self.posterior, networks, designs, num_draws,
                Stream.from_seed(seed).child("next observation"),
            )  # fmt: skip
        rivals = tuple(self.networks[rank].equations for rank in ranks[1:])
        return Advice(
            self.networks[0].equations, rivals, shares[0] / sum(shares), tuple(values), num_draws
        )

    def refine(
        self,
        rank: int = 0,
        *,
        objective: MomentMatching | None = None,
        num_samples: int = 400,
        num_draws: int = 40,
        seed: int = 0,
        **options: Any,
    ) -> Refinement:
        """Fit the rates of a network by simulation, and test what it leaves out.

        Definition: `fit` with the problem's simulator, from the rates of the linear noise
        approximation. The loss is then compared with that of data which the fitted network itself
        makes, and differentiated from above by the rate of each candidate that was left out
        (`gradients.AlternativePath`), with the rates of the network adapting. Errors are those of
        simulation and of the data, so that a candidate must explain more than chance would.

        Guarantee: derivatives are unbiased; of networks without a fault, the test finds one in 5 of
        100 cases, all candidates together, as far as derivatives are normal.

        Arguments: ``rank`` of the network, default 0; ``objective``, default `MomentMatching`;
        ``num_samples``, runs with alternative paths, default 400; ``num_draws``, sets of data that
        the network makes, default 40; ``seed``; ``options`` of `fit`, such as ``budget``, which is
        100,000 simulations unless it is given.
        Raises `SimulationError`, `CapabilityError`.

        When: ten replicates or more, since they are compared with the mean over runs. It takes
        time in proportion to the events of a run and to the candidates: a path for each.
        """
        for name, value in (("num_samples", num_samples), ("num_draws", num_draws)):
            require_whole(name, value, 4)
        found = self.as_fit(rank)
        have = set(self.networks[rank].equations)
        rates = np.exp(self.posterior.centers)
        candidates = [
            (reaction, float(rate))
            for reaction, rate, text in zip(
                self.library.reactions, rates, self.library.equations, strict=True
            )
            if text not in have
        ]
        return refined(
            found.problem, found.params, candidates, objective=objective, num_samples=num_samples,
            num_draws=num_draws, seed=seed, options=options,
        )  # fmt: skip

    # -- how it reads ------------------------------------------------

    def path(self, start: int = 0) -> tuple[ReactionNetwork, ...]:
        """Return the networks that a descent passed through, one an iteration, with rates."""
        descent = self.descents[start]
        return tuple(
            self.library.network_of(sorted(members), rates.tolist())
            for members, rates in zip(descent.networks, descent.rates, strict=True)
        )

    def summary(self) -> str:
        """Return what is believed, on one screen."""
        best, alike = self.networks[0], self.alike_probability
        shared = f", {alike:.2f} with those like it" if alike > best.probability + 0.005 else ""
        lines = [
            f"Structure: {len(best.equations)} of {len(self.library)} candidates, probability "
            f"{best.probability:.2f}{shared} ({self.result.name}, {self.num_weighed} networks "
            f"weighed in {self.seconds:.1f} s)",
            f"  by {self.likelihood}",
        ]
        lines += [f"  {law}" for law in self.laws]
        lines.append("  reaction                       probability   rate (95 %)")
        for r in self.reactions:
            if r.probability < _SLIGHT and not r.rate > 0:
                continue
            rate = f"{r.rate:.4g} ({r.interval[0]:.4g} – {r.interval[1]:.4g})" if r.rate > 0 else ""
            lines.append(f"  {r.equation:30} {r.probability:11.3f}   {rate}")
        lines += [f"  alike: {one}" for one in self.equivalent.reactions]
        lines.append("  other networks")
        lines += [
            f"  {n.probability:6.3f}  {', '.join(n.equations)}" for n in self.networks[1:_SHOWN]
        ]
        if self.passed_over >= _SLIGHT:
            lines.append(f"  {self.passed_over:6.3f}  not weighed, estimated")
        for k, descent in enumerate(self.descents):
            ended = ", ".join(self.library.equations[r] for r in sorted(descent.last))
            passed = len(set(descent.networks))
            lines.append(f"  start {k} ended in {ended} after {passed} networks")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "networks": [
                {
                    "equations": list(n.equations),
                    "rates": list(n.rates),
                    "probability": n.probability,
                    "log_evidence": n.log_evidence,
                }
                for n in self.networks
            ],
            "inclusion": dict(self.inclusion),
            "passed_over": self.passed_over,
            "laws": [str(law) for law in self.laws],
            "equivalent": [str(one) for one in self.equivalent.reactions],
            "relations": [str(one) for one in self.equivalent.relations],
            "likelihood": self.likelihood,
            "result": self.result.name,
            "num_weighed": self.num_weighed,
            "seconds": self.seconds,
        }

    def save(self, path: str | Path) -> Path:
        """Write `to_dict` as JSON; return the path."""
        target = Path(path)
        target.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        return target

    def report(self, path: str | Path, **parts: Any) -> Path:
        """Write a self-contained HTML page and return its path.

        ``parts`` are further results to show: ``advice=``, ``refinement=``, ``predictive=`` (of
        `as_fit`), and a ``title=``.
        """
        tree = call_late("tumble.io", "structure_tree", self, **parts)
        return call_late("tumble.report", "write_report", tree, path)

    # -- private -----------------------------------------------------

    def _rank(self, rank: int) -> int:
        if not (type(rank) is int and 0 <= rank < len(self.networks)):
            raise ParameterError(
                f"`rank` is {rank!r}, expected a whole number from 0 to {len(self.networks) - 1}."
            )
        return rank

    def _members(self, rank: int) -> list[int]:
        return [self.library.equations.index(e) for e in self.networks[rank].equations]

    def _reactions_of(self, rank: int) -> tuple[Reaction, ...]:
        return tuple(self.library.reactions[r] for r in self._members(self._rank(rank)))

    def _weighed(self, rank: int) -> Weighed:
        """Return the network of this rank with its precision."""
        if rank == 0:
            return self.best
        members = self._members(rank)
        start = dict(zip(members, np.log(self.networks[rank].rates).tolist(), strict=True))
        return self.posterior.weigh(frozenset(members), start)

    def _problem_of(self, network: ReactionNetwork, unknown: dict[str, Parameter]) -> Problem:
        """Return the problem with a network in the place of the library, and its rates unknown."""
        kept = {q: v for q, v in self.problem.fixed.items() if q not in unknown}
        experiments = [
            replace(
                e, conditions={k: v for k, v in e.conditions.items() if k in network.parameters}
            )
            for e in self.problem.experiments
        ]
        return replace(
            self.problem, model=network, experiments=experiments, parameters={**unknown, **kept},
            derived={},
        )  # fmt: skip
