"""crn-jax, a library of JAX functions."""

from __future__ import annotations

from typing import Any, ClassVar

from peers._engine import AbstractEngine, Network, lanes, ordered_rate

_LARGEST_WRITTEN_OUT = 100


class CrnJax(AbstractEngine):
    """`simulate_trajectory` under `jit` and `vmap`, as the package's models do it. Final.

    The propensities are the user's; they are written out, as in those models, up to 100 reactions,
    and taken from tables beyond.
    """

    packages: ClassVar = ("crn-jax", "jax")
    interface: ClassVar = "`simulate_trajectory`, mapped over batches of runs"

    def load(self) -> None:
        """See `AbstractEngine.load`."""
        import jax
        import numpy
        from crn_jax import gillespie, types
        from crn_jax.models import make_apply_reaction

        self._np, self._jax, self._types = numpy, jax, types
        self._simulate, self._make_apply = gillespie.simulate_trajectory, make_apply_reaction

    def prepare(self, network: Network) -> None:
        """See `AbstractEngine.prepare`."""
        jax, jnp = self._jax, self._jax.numpy
        written_out = len(network.reactions) <= _LARGEST_WRITTEN_OUT
        propensities = (_expressions if written_out else _tables)(jnp, network)
        apply = self._make_apply(_stoichiometry(network))
        self.batch = lanes(network)
        start = jnp.array(network.initial, dtype=jnp.float32)

        def one(key: Any) -> Any:
            state = self._types.State(jnp.array(0.0), start, jnp.array(jnp.inf))
            return self._simulate(
                key,
                state,
                timestep=network.end / (network.num_times - 1),
                n_steps=network.num_times - 1,
                compute_propensities_fn=propensities,
                apply_reaction_fn=apply,
                max_steps=network.most_events,
            ).x

        self._batch = jax.jit(jax.vmap(one))

    def run(self, runs: int, seed: int) -> Any:
        """See `AbstractEngine.run`."""
        keys = self._jax.random.split(self._jax.random.PRNGKey(seed), runs)
        pieces = [self._batch(keys[i : i + self.batch]) for i in range(0, runs, self.batch)]
        return self._np.concatenate(pieces)

    def last(self, result: Any) -> Any:
        """See `AbstractEngine.last`."""
        return result[:, -1]


def _expressions(jnp: Any, network: Network) -> Any:
    index = {name: i for i, name in enumerate(network.species)}

    def propensities(state: Any, _input: Any) -> Any:
        values = []
        for left, _, rate in network.reactions:
            value = ordered_rate(left, rate)
            for name, count in left.items():
                x = state.x[index[name]]
                value = value * x if count == 1 else value * x * (x - 1)
            values.append(value)
        return jnp.array(values)

    return propensities


def _tables(jnp: Any, network: Network) -> Any:
    index = {name: i for i, name in enumerate(network.species)}
    one = len(index)  # a slot that always holds 1
    pairs, less = [], []
    for left, _, _ in network.reactions:
        slots = [index[name] for name, count in left.items() for _ in range(count)]
        pairs.append([*slots, one, one][:2])
        less.append(float(len(slots) == 2 and slots[0] == slots[1]))
    first, second = jnp.array(pairs).T
    rates = jnp.array([ordered_rate(left, rate) for left, _, rate in network.reactions])
    lowered = jnp.array(less)

    def propensities(state: Any, _input: Any) -> Any:
        x = jnp.append(state.x, 1.0)
        return rates * x[first] * (x[second] - lowered)

    return propensities


def _stoichiometry(network: Network) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(right.get(name, 0) - left.get(name, 0) for name in network.species)
        for left, right, _ in network.reactions
    )
