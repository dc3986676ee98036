"""stochastix, arXiv:2601.14183, at all output times."""

from __future__ import annotations

from typing import Any, ClassVar

from peers._engine import AbstractEngine, Network, lanes, text_of

_MOST_BYTES = 2**28


class Stochastix(AbstractEngine):
    """`stochsimsolve`, mapped over runs, then `interpolate`, all in one compiled function. Final.

    It keeps every event, so the batch is as large as a quarter of a GiB allows.
    """

    packages: ClassVar = ("stochastix", "jax")
    interface: ClassVar = "`stochsimsolve` and `interpolate`, mapped over batches of runs"

    def load(self) -> None:
        """See `AbstractEngine.load`."""
        import equinox
        import jax
        import numpy
        import stochastix

        self._np, self._jax, self._eqx, self._stx = numpy, jax, equinox, stochastix

    def prepare(self, network: Network) -> None:
        """See `AbstractEngine.prepare`."""
        stx, jnp = self._stx, self._jax.numpy
        system = stochastix_network(stx, network)
        start = jnp.array([float(network.start[name]) for name in system.species])
        times = jnp.linspace(0.0, network.end, network.num_times)
        self._order = [system.species.index(name) for name in network.species]
        bytes_of_run = 4 * (network.most_events + 1) * (len(network.species) + 3)
        self.batch = max(1, min(lanes(network), _MOST_BYTES // bytes_of_run))

        def one(key: Any) -> Any:
            result = stx.stochsimsolve(
                key,
                system,
                start,
                T=network.end,
                max_steps=network.most_events + 1,
                solver=stx.DirectMethod(),
                save_propensities=False,
            )
            # `time_overflow` is set by rounding as well: it compares a sum of float32 steps with T.
            return result.interpolate(times).x, result.reactions[-1] >= 0

        self._batch = self._eqx.filter_jit(self._eqx.filter_vmap(one))

    def run(self, runs: int, seed: int) -> Any:
        """See `AbstractEngine.run`."""
        keys = self._jax.random.split(self._jax.random.PRNGKey(seed), runs)
        pieces = [self._batch(keys[i : i + self.batch]) for i in range(0, runs, self.batch)]
        return [self._np.concatenate(column) for column in zip(*pieces, strict=True)]

    def last(self, result: Any) -> Any:
        """See `AbstractEngine.last`."""
        states, overflow = result
        if overflow.any():
            raise RuntimeError(f"{int(overflow.sum())} runs fired more than the most events")
        return states[:, -1][:, self._order]


def stochastix_network(stx: Any, network: Network) -> Any:
    """Return the network of stochastix; its mass action counts combinations, as ours."""
    return stx.ReactionNetwork(
        [
            stx.Reaction(f"{text_of(left)} -> {text_of(right)}", stx.kinetics.MassAction(k=rate))
            for left, right, rate in network.reactions
        ]
    )
