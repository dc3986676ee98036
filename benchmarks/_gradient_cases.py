"""The networks of `gradient_peers.py`: gradients at a fixed time, and data to fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from _ssa_models import Model
from gradient_accuracy import Expectation
from peers import Network

import tumble as tb
from tumble.diagnostics._references import exact_loss_and_gradient
from tumble.simulators import FiniteStateProjection


@dataclass(frozen=True)
class GradientCase:
    """∂E[count of ``observed`` at the end]/∂ each rate. Final.

    ``closed`` gives it from the rates, where there is a closed form.
    """

    model: Model
    observed: str
    closed: Callable[..., list[float]] | None = None

    @property
    def rates(self) -> np.ndarray:
        """The rates [P], in the order of the reactions."""
        return np.array(list(self.model.params.values()))

    def exact(self) -> np.ndarray:
        """Return the exact derivatives [P], by finite state projection.

        Raises `AssertionError` where a closed form differs.
        """
        problem = tb.Problem(
            tb.ReactionNetwork.from_text(self.model.text),
            data={"time": [self.model.end], self.observed: [1]},
            initial=dict(
                zip(self.model.network().species, self.model.network().initial, strict=True)
            ),
            parameters={k: tb.Parameter(v / 10, v * 10) for k, v in self.model.params.items()},
        )
        bound, z = Expectation().bind(problem), np.log(self.rates)
        projected = exact_loss_and_gradient(bound, z, FiniteStateProjection())[1] / self.rates
        if self.closed is not None:
            closed = np.array(self.closed(*self.rates))
            if not np.allclose(closed, projected, rtol=1e-6):
                raise AssertionError(f"closed form {closed}, projection {projected}")
        return projected


@dataclass(frozen=True)
class FitCase:
    """Means at ``times`` of all counts in ``observed``, and a ``start`` that is off. Final."""

    model: Model
    observed: tuple[str, ...]
    times: tuple[float, ...]
    start: tuple[float, ...]

    @property
    def truth(self) -> np.ndarray:
        """The rates [P] that made the data."""
        return np.array(list(self.model.params.values()))

    def question(self, num_runs: int) -> dict[str, Any]:
        """Return what a worker has to know, with data from ``num_runs`` exact runs of seed 0."""
        model = replace(self.model, end=self.times[-1])
        network = model.network(num_times=2)
        trajectory = tb.simulate(
            tb.ReactionNetwork.from_text(model.text),
            model.params,
            initial=network.start,
            times=np.array(self.times),
            num_samples=num_runs,
            seed=0,
        )
        columns = [network.species.index(name) for name in self.observed]
        counts = np.asarray(trajectory.data.values)[..., columns].astype(float)
        return {
            "network": plain(network),
            "observed": list(self.observed),
            "times": list(self.times),
            "means": counts.mean(0).tolist(),
            "spreads": counts.std(0).tolist(),
            "num_averaged": num_runs,
            "start": list(self.start),
            "truth": list(model.params.values()),
        }


def gradient_question(case: GradientCase) -> dict[str, Any]:
    """Return what a worker has to know of a gradient."""
    return {"network": plain(case.model.network(num_times=2)), "observed": [case.observed]}


def plain(network: Network) -> dict[str, Any]:
    """Return a network as it travels to a worker."""
    return asdict(network)


def _immigration_slopes(k: float, gamma: float) -> list[float]:
    t = _IMMIGRATION.end
    e = np.exp(-gamma * t)
    return [(1 - e) / gamma, k / gamma * (t * e - (1 - e) / gamma)]


_ARRIVAL = Model("Arrival, E[X(10)]", "0 -> X ; k", {"k": 2.0}, {}, end=10.0, most_events=80)
_IMMIGRATION = Model(
    "Immigration–death, E[X(2)]",
    "0 -> X ; k\nX -> 0 ; gamma",
    {"k": 10.0, "gamma": 1.0},
    {},
    end=2.0,
    most_events=150,
)
_DIMERS = Model(
    "Dimerization of 20, E[P2(2)]",
    "2 P -> P2 ; bind\nP2 -> 2 P ; part",
    {"bind": 0.05, "part": 0.4},
    {"P": 20},
    end=2.0,
    most_events=200,
)
_SIR = Model(
    "SIR of 200, E[I(4)]",
    "S + I -> 2 I ; beta\nI -> R ; gamma",
    {"beta": 0.005, "gamma": 0.5},
    {"S": 198, "I": 2},
    end=4.0,
    most_events=400,
)

GRADIENTS = {
    "arrival": GradientCase(_ARRIVAL, "X", lambda k: [_ARRIVAL.end]),
    "immigration-death": GradientCase(_IMMIGRATION, "X", _immigration_slopes),
    "dimerization": GradientCase(_DIMERS, "P2"),
    "sir": GradientCase(_SIR, "I"),
}

FITS = {
    "immigration-death": FitCase(
        replace(_IMMIGRATION, title="Immigration–death", most_events=250),
        ("X",),
        tuple(0.5 * i for i in range(1, 9)),
        (4.0, 2.5),
    ),
    "dimerization": FitCase(
        replace(_DIMERS, title="Dimerization of 20", most_events=250),
        ("P", "P2"),
        tuple(0.25 * i for i in range(1, 9)),
        (0.125, 0.16),
    ),
    "sir": FitCase(
        replace(_SIR, title="SIR of 200"),
        ("S", "I", "R"),
        tuple(float(i) for i in range(1, 9)),
        (0.0125, 0.2),
    ),
}
