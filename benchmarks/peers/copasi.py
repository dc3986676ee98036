"""COPASI through basico, doi:10.21105/joss.05553."""

from __future__ import annotations

from typing import Any, ClassVar

from peers._engine import AbstractEngine, Network, ordered_rate, text_of


class Copasi(AbstractEngine):
    """`run_time_course` with COPASI's direct method, one trajectory a call. Final."""

    packages: ClassVar = ("copasi-basico", "python-copasi")
    interface: ClassVar = '`basico.run_time_course(method="directMethod")`, a call a run'

    def load(self) -> None:
        """See `AbstractEngine.load`."""
        import basico
        import numpy

        self._np, self._basico = numpy, basico

    def prepare(self, network: Network) -> None:
        """See `AbstractEngine.prepare`."""
        basico = self._basico
        basico.new_model(name="network", quantity_unit="#", volume_unit="1", time_unit="1")
        for name, count in network.start.items():
            basico.add_species(name, initial_concentration=count)
        for r, (left, right, rate) in enumerate(network.reactions):
            scheme = f"{_side(left)} -> {_side(right)}"
            basico.add_reaction(f"reaction_{r}", scheme, function=_law(left))
            key = "v" if not left else "k1"
            basico.set_reaction_parameters(f"(reaction_{r}).{key}", value=ordered_rate(left, rate))
        self._network = network

    def run(self, runs: int, seed: int) -> Any:
        """See `AbstractEngine.run`."""
        return [
            self._basico.run_time_course(
                start_time=0.0,
                duration=self._network.end,
                intervals=self._network.num_times - 1,
                method="directMethod",
                use_seed=True,
                seed=1000 * seed + i,
                use_numbers=True,
            )
            for i in range(runs)
        ]

    def last(self, result: Any) -> Any:
        """See `AbstractEngine.last`."""
        columns = list(self._network.species)
        return self._np.array([one[columns].values[-1] for one in result])


def _side(side: dict[str, int]) -> str:
    return text_of(side) if side else ""


def _law(reactants: dict[str, int]) -> str:
    return "Mass action (irreversible)" if reactants else "Constant flux (irreversible)"
