"""Networks of machines, as modules of Equinox. Imported where they are built."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

_FLAT = 1e-8
POINTS = 1025
"""Of the tables."""


class Projections(eqx.Module):
    """Pooled statistics of linear combinations of what replicates hold.

    Of each combination mean, log standard deviation, maximum and minimum over the replicates,
    shifted and scaled by what these were at first.
    """

    weight: jax.Array
    shift: jax.Array
    scale: jax.Array

    def raw(self, elements: Any) -> Any:
        """Return the statistics [4 K] of elements [n, S], as they are."""
        found = elements @ self.weight
        mean = found.mean(0)
        variance = ((found - mean) ** 2).mean(0)
        return jnp.concatenate([mean, jnp.log(variance + _FLAT) / 2, found.max(0), found.min(0)])

    def __call__(self, elements: Any) -> Any:
        """Return the statistics [4 K] of elements [n, S]."""
        shift, scale = jax.lax.stop_gradient((self.shift, self.scale))
        return (self.raw(elements) - shift) / scale


class Located(eqx.Module):
    """A density of w [P], given moments and elements: ``base``, moved and stretched.

    The networks tell a place m, logarithms of widths s and how parameters depend on each other, L,
    all in standardized z, in which problems are close to linear; the density is in w, in which the
    prior is standard normal and there are no bounds: t = L (w − w(m)) / (w'(m) exp s) is of
    ``base``, given what else the networks tell. w(m) is read from tables ``z_table`` and
    ``w_table`` [P, n], and goes on straight beyond.
    """

    projections: tuple[Projections, ...]
    line: eqx.nn.Linear
    trunk: eqx.nn.MLP
    tells: eqx.nn.MLP
    base: Any
    z_table: jax.Array
    w_table: jax.Array
    sets: tuple[tuple[int, int], ...] = eqx.field(static=True)

    def log_prob(self, y: Any, given: Any) -> Any:
        """Return log densities [...] at y [..., P], given [..., G]."""
        return jnp.vectorize(self._log_prob, signature="(p),(g)->()")(y, given)

    def sample(self, key: Any, shape: tuple[int, ...], condition: Any) -> Any:
        """Return draws [*shape, P] given one data set [G]."""
        place, width, mix, rest = self.told(condition)
        at, slope = self._to_normal(place)
        t = self.base.sample(key, shape, condition=rest)
        back = jax.scipy.linalg.solve_triangular(mix, t.reshape(-1, len(place)).T, lower=True).T
        return (back * slope * jnp.exp(width) + at).reshape(*shape, -1)

    def told(self, given: Any) -> tuple[Any, Any, Any, Any]:
        """Return place and log widths [P] in standardized z, L [P, P], and the rest."""
        features = self._features(given)
        h = self.tells(self.trunk(features))
        size = len(self.z_table)
        pairs = size * (size - 1) // 2
        low = jnp.tril_indices(size, -1)
        mix = jnp.eye(size).at[low].set(h[2 * size : 2 * size + pairs])
        return self.line(features) + h[:size], h[size : 2 * size], mix, h[2 * size + pairs :]

    def _features(self, given: Any) -> Any:
        num_moments = len(given) - sum(n * width for n, width in self.sets)
        parts, at = [given[:num_moments]], num_moments
        for projection, (n, width) in zip(self.projections, self.sets, strict=True):
            parts.append(projection(given[at : at + n * width].reshape(n, width)))
            at += n * width
        return jnp.concatenate(parts)

    def _log_prob(self, y: Any, given: Any) -> Any:
        place, width, mix, rest = self.told(given)
        at, slope = self._to_normal(place)
        t = mix @ ((y - at) / slope * jnp.exp(-width))
        return self.base.log_prob(t, rest) - width.sum() - jnp.log(slope).sum()

    def _to_normal(self, place: Any) -> tuple[Any, Any]:
        """Return w(m) and w'(m) [P] at places m [P]."""
        return jax.vmap(_read)(place, *jax.lax.stop_gradient((self.z_table, self.w_table)))


def _read(m: Any, z: Any, w: Any) -> tuple[Any, Any]:
    """Return the value and the slope at m of a curve through points z, w [n]."""
    at = jnp.clip(jnp.searchsorted(z, m) - 1, 0, len(z) - 2)
    slopes = jnp.diff(w) / jnp.diff(z)
    slope = jnp.exp(jnp.interp(m, (z[1:] + z[:-1]) / 2, jnp.log(slopes)))
    return w[at] + slopes[at] * (m - z[at]), slope


def located(
    size: int,
    num_moments: int,
    sets: tuple[tuple[int, int], ...],
    width: int,
    num_rest: int,
    base: Any,
    seed: int,
) -> Located:
    """Return the networks before they have learnt: ``width`` neurons in each layer."""
    keys = jax.random.split(jax.random.key(seed), 3)
    projections = tuple(Projections(jnp.eye(s), jnp.zeros(4 * s), jnp.ones(4 * s)) for _, s in sets)
    num_features = num_moments + sum(4 * s for _, s in sets)
    num_told = 2 * size + size * (size - 1) // 2 + num_rest
    blank = jnp.linspace(-1.0, 1.0, POINTS)
    tables = jnp.tile(blank, (size, 1))
    return Located(
        projections,
        eqx.nn.Linear(num_features, size, key=keys[0]),
        eqx.nn.MLP(num_features, width, width, 1, jax.nn.silu, jax.nn.silu, key=keys[1]),
        eqx.nn.MLP(width, num_told, width, 1, jax.nn.silu, key=keys[2]),
        base, tables, tables, sets,
    )  # fmt: skip


def started(
    net: Located, z: Any, w: Any, line: Any, offset: Any, widths: Any, pilot: Any
) -> Located:
    """Return the networks where learning starts.

    Tables z, w [P, n]; the line by least squares [P, K] of moments, with its ``offset`` and the log
    ``widths`` of its residuals [P]; projections scaled by a pilot [B, G].
    """
    weight = jnp.zeros(net.line.weight.shape).at[:, : line.shape[1]].set(line)
    last = net.tells.layers[-1]
    size = len(offset)
    bias = jnp.zeros(last.weight.shape[0]).at[size : 2 * size].set(widths)
    net = eqx.tree_at(
        lambda n: (n.z_table, n.w_table, n.line.weight, n.line.bias,
                   n.tells.layers[-1].weight, n.tells.layers[-1].bias),
        net, (jnp.asarray(z), jnp.asarray(w), weight, jnp.asarray(offset), last.weight / 100, bias),
    )  # fmt: skip
    at = line.shape[1]
    scaled = []
    for projection, (n, width) in zip(net.projections, net.sets, strict=True):
        elements = pilot[:, at : at + n * width].reshape(-1, n, width)
        raw = jax.vmap(projection.raw)(elements)
        scaled.append(Projections(projection.weight, raw.mean(0), jnp.maximum(raw.std(0), _FLAT)))
        at += n * width
    return eqx.tree_at(lambda n: n.projections, net, tuple(scaled))
