"""What is believed about all unknowns before the data are seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tumble._errors import ParameterError
from tumble._parameters import Parameter, ParameterSpace
from tumble._typing import BoolArray, FloatArray, JaxArray
from tumble.priors import AbstractPrior

_BLOCK = 1024
_EDGE = 1e-12  # of a share, where a normal law ends
_DIFFERENCE = 1e-3  # of points at which the prior is standard normal
_TRIES = 200  # rounds of draws, until those outside the bounds are replaced


@dataclass(frozen=True)
class JointPrior:
    """The prior of all unknowns on the fit scale. Final.

    Definition: each entry is independent. Its law is the parameter's prior, cut at its bounds; of a
    parameter without one, the uniform law within the bounds on its scale (log-uniform where the
    scale is ``"log"``).
    """

    space: ParameterSpace

    def sample(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Return independent draws z [count, P]. Raises `ParameterError`, see `Parameter`."""
        columns: list[FloatArray] = []
        at = 0
        for name, parameter in self.space.parameters.items():
            for _ in range(int(np.prod(parameter.shape, dtype=int))):
                low, high = self.space.lower[at], self.space.upper[at]
                if parameter.prior is None:
                    columns.append(rng.uniform(low, high, count))
                else:
                    inside = _cut(parameter.prior, parameter.lower, parameter.upper, count, rng)
                    if inside is None:
                        raise ParameterError(
                            f"the prior {parameter.prior} of {name!r} hardly reaches its bounds "
                            f"[{parameter.lower:g}, {parameter.upper:g}]; widen the bounds."
                        )
                    columns.append(np.asarray(self._to_fit(inside, at)))
                at += 1
        return np.stack(columns, axis=1) if columns else np.zeros((count, 0))

    def from_normal(self, w: FloatArray) -> FloatArray:
        """Return z [n, P] of points w [n, P]: where these are standard normal, z is of the prior.

        Coordinates in which there are no bounds, and priors of all kinds look alike.
        """
        from scipy.stats import norm

        shares = norm.cdf(w)
        z = np.empty_like(shares)
        at = 0
        for parameter in self.space.parameters.values():
            for _ in range(int(np.prod(parameter.shape, dtype=int))):
                z[:, at] = self._quantile(parameter, at, shares[:, at])
                at += 1
        return z

    def along_normal(self, w: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return z and ∂z/∂w, both [n, P], of points w [n, P]; see `from_normal`.

        Slopes are central differences: each entry of z depends on its own of w alone.
        """
        z, above, below = np.split(
            self.from_normal(np.concatenate([w, w + _DIFFERENCE, w - _DIFFERENCE])), 3
        )
        return z, (above - below) / (2 * _DIFFERENCE)

    def to_normal(self, z: FloatArray) -> FloatArray:
        """Return w [n, P] of points z [n, P]; see `from_normal`."""
        from scipy.stats import norm

        theta = np.asarray(self.space.from_fit(z), dtype=float)
        shares = np.empty_like(theta)
        at = 0
        for parameter in self.space.parameters.values():
            for _ in range(int(np.prod(parameter.shape, dtype=int))):
                shares[:, at] = self._share(parameter, at, z[:, at], theta[:, at])
                at += 1
        return np.asarray(norm.ppf(np.clip(shares, _EDGE, 1 - _EDGE)))

    def log_density(self, z: FloatArray) -> FloatArray:
        """Return log p(z) [n] at points z [n, P], but for a constant; -∞ outside the bounds."""
        space = self.space
        inside = np.all((z >= space.lower) & (z <= space.upper), axis=1)
        z = space.clip(z)
        stretch = np.log(np.abs(space.slope(z)))[:, self.has_own].sum(1)
        return np.asarray(np.where(inside, self.log_natural(z) + stretch, -np.inf))

    def log_density_at(self, z: JaxArray) -> JaxArray:
        """Return log p(z) at one point [P] within the bounds, in JAX; as `log_density`."""
        import jax
        import jax.numpy as jnp

        # Each entry is mapped by itself, so that one tangent has all slopes.
        theta, slope = jax.jvp(lambda x: self.space.from_fit(x, jnp), (z,), (jnp.ones_like(z),))
        stretch = jnp.where(self.has_own, jnp.log(jnp.abs(slope)), 0.0).sum()
        return jnp.asarray(self.space.log_prior(theta)) + stretch

    def log_natural(self, z: FloatArray) -> FloatArray:
        """Return Σ log p(θ) [n] over the parameters with a prior, in their natural scale."""
        theta = np.asarray(self.space.from_fit(z), dtype=float)
        total = np.zeros(len(z))
        at = 0
        for parameter in self.space.parameters.values():
            for _ in range(int(np.prod(parameter.shape, dtype=int))):
                if parameter.prior is not None:
                    total = total + _log_prob(parameter.prior, theta[:, at])
                at += 1
        return total

    def log_density_of_theta(self, z: FloatArray) -> FloatArray:
        """Return log p(θ) [n], normalized, in the natural scale, at points z [n, P] in bounds."""
        stretch = np.log(np.abs(self.space.slope(z)))
        widths = np.log(self.space.upper - self.space.lower)
        total = self.log_natural(z) - (widths + stretch)[:, ~self.has_own].sum(1)
        for parameter in self.space.parameters.values():
            if parameter.prior is not None:
                below, up_to = parameter.prior.cdf(np.array([parameter.lower, parameter.upper]))
                total = total - int(np.prod(parameter.shape, dtype=int)) * np.log(up_to - below)
        return np.asarray(total)

    def _quantile(self, parameter: Parameter, at: int, shares: FloatArray) -> FloatArray:
        """Return quantiles of one entry on the fit scale."""
        low, high = self.space.lower[at], self.space.upper[at]
        if parameter.prior is None:
            return np.asarray(low + (high - low) * shares)
        below, up_to = parameter.prior.cdf(np.array([parameter.lower, parameter.upper]))
        theta = parameter.prior.quantile(below + (up_to - below) * shares)
        inside = np.clip(theta, parameter.lower, parameter.upper)
        return np.asarray(np.clip(self._to_fit(inside, at), low, high))

    def _share(self, parameter: Parameter, at: int, z: FloatArray, theta: FloatArray) -> FloatArray:
        """Return how much of the prior of one entry is below its values."""
        low, high = self.space.lower[at], self.space.upper[at]
        if parameter.prior is None:
            return np.asarray((z - low) / (high - low))
        below, up_to = parameter.prior.cdf(np.array([parameter.lower, parameter.upper]))
        return np.asarray((parameter.prior.cdf(theta) - below) / (up_to - below))

    @property
    def has_own(self) -> BoolArray:
        """Whether each entry has a prior of its own, [P]."""
        parameters = self.space.parameters.values()
        each = [(p.prior is not None, int(np.prod(p.shape, dtype=int))) for p in parameters]
        return np.repeat([known for known, _ in each], [count for _, count in each])

    def _to_fit(self, values: FloatArray, at: int) -> FloatArray:
        """Return values of one entry on the fit scale."""
        theta = np.tile(np.asarray(self.space.from_fit(self.space.lower)), (len(values), 1))
        theta[:, at] = values
        return np.asarray(self.space.to_fit(theta))[:, at]


def _log_prob(prior: AbstractPrior, values: FloatArray) -> FloatArray:
    """Return log densities [n], in blocks of one size: JAX compiles anew for every other."""
    import jax

    blocks = -(-len(values) // _BLOCK)
    padded = np.full(blocks * _BLOCK, values[0] if len(values) else 1.0)
    padded[: len(values)] = values
    with jax.enable_x64(True):
        found = [np.asarray(prior.log_prob(block)) for block in padded.reshape(blocks, _BLOCK)]
    return np.concatenate([np.empty(0), *found])[: len(values)]


def _cut(
    prior: AbstractPrior, lower: float, upper: float, count: int, rng: np.random.Generator
) -> FloatArray | None:
    """Return draws within bounds, None where there are hardly any."""
    kept = np.empty(0)
    for _ in range(_TRIES):
        draws = prior.sample(rng, max(2 * (count - len(kept)), 100))
        kept = np.concatenate([kept, draws[(draws >= lower) & (draws <= upper)]])
        if len(kept) >= count:
            return kept[:count]
    return None
