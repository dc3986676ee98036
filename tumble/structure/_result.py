"""The result of `learn_structure`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tumble._results import ResultCode
from tumble.models import Reaction, ReactionNetwork
from tumble.structure._conserved import ObservedLaw
from tumble.structure._descent import Descent
from tumble.structure._library import ReactionLibrary
from tumble.structure._posterior import NetworkPrior, Weighed

_Z95 = 1.959963984540054
_SHOWN = 6
_SLIGHT = 0.01  # a probability that is not worth a line


@dataclass(frozen=True)
class LearntReaction:
    """A candidate: its ``equation``, the ``probability`` that the network has it, and its rate.

    ``rate`` in the most probable network, with its 95 % ``interval``; NaN if it is not in that one.
    """

    equation: str
    probability: float
    rate: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class NetworkChoice:
    """A network: its ``equations``, ``rates`` and ``probability``, and ``log_evidence``."""

    equations: tuple[str, ...]
    rates: tuple[float, ...]
    probability: float
    log_evidence: float


@dataclass(frozen=True, repr=False)
class StructureResult:
    """Which reactions there are.

    Attributes:

    - ``networks``: `NetworkChoice` objects, most probable first.
    - ``library``: the candidates that were left after ``laws``.
    - ``laws``: `ObservedLaw` objects, sums that the data conserve.
    - ``prior``: what probabilities rest on.
    - ``result``: ``SUCCESS``, or ``MAX_STEPS`` where the search was cut short.
    - ``seconds``, ``num_weighed`` networks.
    - ``inclusion``: the probability of each candidate, by its equation.
    - ``passed_over``: the probability of networks that were not weighed but estimated; it is part
      of ``inclusion``.
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
    descents: tuple[Descent, ...] = field(default=(), repr=False)

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
        choice = self.networks[rank]
        by_equation = dict(zip(self.library.equations, self.library.reactions, strict=True))
        reactions = tuple(
            Reaction(by_equation[e].reactants, by_equation[e].products, rate)
            for e, rate in zip(choice.equations, choice.rates, strict=True)
        )
        return ReactionNetwork(reactions, self.library.species)

    def path(self, start: int = 0) -> tuple[ReactionNetwork, ...]:
        """Return the networks that a descent passed through, one an iteration, with rates."""
        descent, library = self.descents[start], self.library
        return tuple(
            ReactionNetwork(
                tuple(
                    Reaction(library.reactions[r].reactants, library.reactions[r].products, rate)
                    for r, rate in zip(sorted(members), rates.tolist(), strict=True)
                ),
                library.species,
            )
            for members, rates in zip(descent.networks, descent.rates, strict=True)
        )

    def summary(self) -> str:
        """Return what is believed, on one screen."""
        best = self.networks[0]
        lines = [
            f"Structure: {len(best.equations)} of {len(self.library)} candidates, probability "
            f"{best.probability:.2f} ({self.result.name}, {self.num_weighed} networks weighed in "
            f"{self.seconds:.1f} s)"
        ]
        lines += [f"  {law}" for law in self.laws]
        lines.append("  reaction                       probability   rate (95 %)")
        for r in self.reactions:
            if r.probability < _SLIGHT and not r.rate > 0:
                continue
            rate = f"{r.rate:.4g} ({r.interval[0]:.4g} – {r.interval[1]:.4g})" if r.rate > 0 else ""
            lines.append(f"  {r.equation:30} {r.probability:11.3f}   {rate}")
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
            "result": self.result.name,
            "num_weighed": self.num_weighed,
            "seconds": self.seconds,
        }

    def save(self, path: str | Path) -> Path:
        """Write `to_dict` as JSON; return the path."""
        target = Path(path)
        target.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        return target
