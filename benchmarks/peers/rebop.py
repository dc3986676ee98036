"""rebop, a Rust library with a Python interface."""

from __future__ import annotations

from typing import Any, ClassVar

from peers._engine import AbstractEngine, Network, ordered_rate


class Rebop(AbstractEngine):
    """`Gillespie.run` with rates as numbers, one trajectory a call. Final."""

    packages: ClassVar = ("rebop", "xarray")
    interface: ClassVar = "`Gillespie.run`, a call a run"

    def load(self) -> None:
        """See `AbstractEngine.load`."""
        import numpy
        import rebop

        self._np, self._rebop = numpy, rebop

    def prepare(self, network: Network) -> None:
        """See `AbstractEngine.prepare`."""
        self._system = self._rebop.Gillespie()
        for left, right, rate in network.reactions:
            self._system.add_reaction(ordered_rate(left, rate), _copies(left), _copies(right))
        self._network = network

    def run(self, runs: int, seed: int) -> Any:
        """See `AbstractEngine.run`."""
        start, steps, end = self._network.start, self._network.num_times - 1, self._network.end
        rng = self._np.random.default_rng(seed)
        return [self._system.run(start, end, steps, rng=rng) for _ in range(runs)]

    def last(self, result: Any) -> Any:
        """See `AbstractEngine.last`."""
        return self._np.array(
            [[one[name].values[-1] for name in self._network.species] for one in result]
        )


def _copies(side: dict[str, int]) -> list[str]:
    return [name for name, count in side.items() for _ in range(count)]
