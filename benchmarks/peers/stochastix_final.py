"""stochastix, arXiv:2601.14183, at the last time alone."""

from __future__ import annotations

from typing import Any, ClassVar

from peers._engine import AbstractEngine, Network, lanes
from peers.stochastix import stochastix_network


class StochastixFinal(AbstractEngine):
    """`faststochsimsolve`, mapped over runs: it has no output before the last time. Final."""

    packages: ClassVar = ("stochastix", "jax")
    interface: ClassVar = "`faststochsimsolve`, mapped; **last time only**, no other outputs"

    all_times: ClassVar = False

    def load(self) -> None:
        """See `AbstractEngine.load`."""
        import equinox
        import jax
        import numpy
        import stochastix

        self._np, self._jax, self._eqx, self._stx = numpy, jax, equinox, stochastix

    def prepare(self, network: Network) -> None:
        """See `AbstractEngine.prepare`."""
        stx = self._stx
        system = stochastix_network(stx, network)
        start = self._jax.numpy.array([float(network.start[name]) for name in system.species])
        self._order = [system.species.index(name) for name in network.species]
        self.batch = lanes(network)

        def one(key: Any) -> Any:
            result = stx.faststochsimsolve(
                key,
                system,
                start,
                T=network.end,
                max_steps=network.most_events + 1,
                solver=stx.DirectMethod(),
                save_propensities=False,
            )
            return result.x[-1], result.time_overflow

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
        return states[:, self._order]
