"""bioscrape, doi:10.21105/joss.05057."""

from __future__ import annotations

from typing import Any, ClassVar

from peers._engine import AbstractEngine, Network, ordered_rate


class Bioscrape(AbstractEngine):
    """`SSASimulator` on one `ModelCSimInterface`, one trajectory a call. Final."""

    packages: ClassVar = ("bioscrape",)
    interface: ClassVar = "`SSASimulator.py_simulate` on one `ModelCSimInterface`, a call a run"

    def load(self) -> None:
        """See `AbstractEngine.load`."""
        import numpy
        from bioscrape import random, simulator, types

        self._np, self._random, self._simulator, self._types = numpy, random, simulator, types

    def prepare(self, network: Network) -> None:
        """See `AbstractEngine.prepare`."""
        reactions = [
            (_copies(left), _copies(right), "massaction", {"k": ordered_rate(left, rate)})
            for left, right, rate in network.reactions
        ]
        self._model = self._types.Model(
            species=list(network.species),
            reactions=reactions,
            initial_condition_dict=network.start,
        )
        self._interface = self._simulator.ModelCSimInterface(self._model)
        self._times = self._np.linspace(0.0, network.end, network.num_times)
        self._interface.py_set_dt(self._times[1])
        index = self._model.get_species2index()
        self._order = [index[name] for name in network.species]

    def run(self, runs: int, seed: int) -> Any:
        """See `AbstractEngine.run`."""
        self._random.py_seed_random(seed)
        simulator = self._simulator.SSASimulator()
        return [simulator.py_simulate(self._interface, self._times) for _ in range(runs)]

    def last(self, result: Any) -> Any:
        """See `AbstractEngine.last`."""
        return self._np.array([one.py_get_result()[-1] for one in result])[:, self._order]


def _copies(side: dict[str, int]) -> list[str]:
    return [name for name, count in side.items() for _ in range(count)]
