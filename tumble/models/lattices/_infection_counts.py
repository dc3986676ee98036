"""All that the movie of a spreading infection tells, in a few numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tumble._typing import FloatArray
from tumble.models.lattices._site_codes import around
from tumble.models.lattices._transitions import Transitions

_EDGE = 1e-9
# Of the integral over β: so many points a standard deviation of the narrowest likelihood.
_POINTS_A_WIDTH, _FEWEST_POINTS, _MOST_POINTS = 4, 401, 8001
_DIFFERENCE = 1e-4


class Estimated(NamedTuple):
    """A number and its standard error."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class InfectionCounts:
    """Sufficient statistics of the transitions of a `SusceptibleInfected`.

    Definition: in transition k there are ``trials`` [K, M] susceptible sites with N = 1 … M
    infected neighbors, of which ``infected`` [K, M] are infected next, each with probability
    1 − (1 − β)^N. These counts are all that a movie tells of β, so that everything is closed form,
    or an integral over one number: exact, in milliseconds. `fit` finds the same by simulation, or
    from the frames, for models that are not as kind.

    References: Poisson-binomial moments, Wang, Statist. Sinica 3 (1993), 295-312.
    """

    trials: FloatArray
    infected: FloatArray

    @classmethod
    def of(cls, transitions: Transitions) -> InfectionCounts:
        """Count the movies of a `Transitions` of a `SusceptibleInfected`."""
        model: Any = transitions.model
        before, after = (np.asarray(x) == 1 for x in (transitions.before, transitions.after))
        # A site that is infected, or has no infected neighbor, counts as one of N = 0.
        number = (around(model.grid, before) * ~before).reshape(len(before), -1)
        most = len(model.grid.offsets)
        of_row = number + (most + 1) * np.arange(len(before))[:, None]

        def counts(which: Any) -> FloatArray:
            found = np.bincount(of_row[which], minlength=(most + 1) * len(before))
            return found.reshape(len(before), most + 1)[:, 1:].astype(float)

        is_new = (after & ~before).reshape(number.shape)
        return cls(counts(np.ones_like(is_new)), counts(is_new))

    def log_likelihood(self, beta: float) -> float:
        """Return log p(movies | β)."""
        whole = [part.sum(0, keepdims=True) for part in (self.trials, self.infected)]
        return float(InfectionCounts(*whole)._log_likelihoods(np.array([beta]))[0, 0])

    def expected_loss(self, beta: float) -> float:
        """Return the mean over transitions of E[(simulated − observed number of infections)²]."""
        p = self._chances(np.array([beta]))[:, 0]
        gap = self.trials @ p - self.infected.sum(1)
        return float((gap**2 + self.trials @ (p * (1 - p))).mean())

    def maximum_likelihood(self) -> Estimated:
        """Return β that is the same in all transitions, and its error by the observed curvature."""
        best = _minimum(lambda beta: -self.log_likelihood(beta))
        second = _second(self.log_likelihood, best)
        return Estimated(best, float(1 / np.sqrt(-second)) if second < 0 else np.inf)

    def least_expected_loss(self) -> float:
        """Return the β at which `expected_loss` is least: not where the likelihood is largest."""
        return _minimum(self.expected_loss)

    def varying(self) -> tuple[Estimated, Estimated]:
        """Return mean and standard deviation of β that is drawn anew for each transition.

        Definition: β ~ Normal(mean, sd), cut to [0, 1], independently in each transition, and
        integrated out; errors are of the observed curvature. A fit of a constant β to such movies
        gives neither the mean nor its error.
        """
        from scipy.optimize import minimize

        def loss(point: FloatArray) -> float:
            return -self._varying_log_likelihood(point[0], np.exp(point[1]))

        start = np.array([self.maximum_likelihood().value, np.log(0.1)])
        found = minimize(loss, start, method="Nelder-Mead",
                         options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 2000}).x  # fmt: skip
        information = _hessian(loss, found)
        errors = np.sqrt(np.diag(np.linalg.pinv(information, hermitian=True)))
        sd = float(np.exp(found[1]))
        return Estimated(float(found[0]), float(errors[0])), Estimated(sd, float(sd * errors[1]))

    # -- private -----------------------------------------------------

    def _chances(self, beta: FloatArray) -> FloatArray:
        """Return the probabilities [M, G] for values of β [G]."""
        numbers = np.arange(1, self.trials.shape[1] + 1)
        return np.asarray(1 - (1 - beta) ** numbers[:, None])

    def _log_likelihoods(self, beta: FloatArray) -> FloatArray:
        """Return log p of each transition at values of β: [K, G]."""
        p = np.clip(self._chances(beta), 1e-300, 1.0)
        numbers = np.arange(1, self.trials.shape[1] + 1)[:, None]
        stays = numbers * np.log1p(-np.minimum(beta, 1 - _EDGE))
        return np.asarray(self.infected @ np.log(p) + (self.trials - self.infected) @ stays)

    @cached_property
    def _on_grid(self) -> tuple[FloatArray, FloatArray]:
        """Values of β [G] and the likelihoods there [K, G], in units of the largest of each row."""
        beta = np.linspace(0, 1, self._num_points)
        log_p = self._log_likelihoods(np.clip(beta, _EDGE, 1 - _EDGE))
        return beta, np.exp(log_p - log_p.max(1, keepdims=True))

    @property
    def _num_points(self) -> int:
        best = self.maximum_likelihood().value
        p = self._chances(np.array([best]))[:, 0]
        numbers = np.arange(1, len(p) + 1)
        slopes = numbers * (1 - best) ** (numbers - 1)
        information = self.trials @ (slopes**2 / np.maximum(p * (1 - p), _EDGE))
        wanted = _POINTS_A_WIDTH * np.sqrt(information.max(initial=0.0))
        return int(np.clip(wanted, _FEWEST_POINTS, _MOST_POINTS))

    def _varying_log_likelihood(self, mean: float, sd: float) -> float:
        """Return log p(movies | mean, sd), up to a constant."""
        from scipy.special import ndtr

        beta, scaled = self._on_grid
        step = beta[1] - beta[0]
        # The normal law of each cell of the grid, and of all that lies beyond at its ends.
        edges = np.concatenate([[-np.inf], (beta[1:] + beta[:-1]) / 2, [np.inf]])
        weights = np.diff(ndtr((edges - mean) / sd))
        likelihood = scaled @ weights
        if not np.all(likelihood > 0) or sd < step / 4:
            return -np.inf
        return float(np.log(likelihood).sum())


def _minimum(function: Callable[[float], float]) -> float:
    from scipy.optimize import minimize_scalar

    options = {"xatol": 1e-10}
    return float(minimize_scalar(function, bounds=(_EDGE, 1 - _EDGE), method="bounded",
                                 options=options).x)  # fmt: skip


def _second(function: Callable[[float], float], x: float) -> float:
    h = min(_DIFFERENCE, x / 2, (1 - x) / 2)
    return (function(x + h) - 2 * function(x) + function(x - h)) / h**2


def _hessian(function: Callable[[FloatArray], float], point: FloatArray) -> FloatArray:
    """Return second derivatives by central differences; ``point`` has two numbers."""
    h = 1e-3
    e = h * np.eye(len(point))
    return np.array(
        [
            [
                (function(point + a + b) - function(point + a - b)
                 - function(point - a + b) + function(point - a - b)) / (4 * h**2)
                for b in e
            ]
            for a in e
        ]
    )  # fmt: skip
