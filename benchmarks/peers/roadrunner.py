"""libRoadRunner, doi:10.1093/bioinformatics/btac770."""

from __future__ import annotations

from typing import Any, ClassVar

from peers._engine import AbstractEngine, Network
from peers._sbml import sbml_of


class RoadRunner(AbstractEngine):
    """`RoadRunner.simulate` with the `gillespie` integrator, one trajectory a call. Final."""

    packages: ClassVar = ("libroadrunner",)
    interface: ClassVar = "`gillespie` integrator at fixed times, a call a run"

    def load(self) -> None:
        """See `AbstractEngine.load`."""
        import numpy
        import roadrunner

        self._np, self._roadrunner = numpy, roadrunner

    def prepare(self, network: Network) -> None:
        """Hand over the network as SBML, which is compiled."""
        self._model = self._roadrunner.RoadRunner(sbml_of(network, _law))
        self._model.setIntegrator("gillespie")
        self._model.integrator.variable_step_size = False
        self._model.timeCourseSelections = ["time", *network.species]
        self._end, self._num_times = network.end, network.num_times

    def run(self, runs: int, seed: int) -> Any:
        """See `AbstractEngine.run`."""
        self._model.integrator.seed = seed
        results = []
        for _ in range(runs):
            self._model.reset()
            # The result is a view of memory that the next run overwrites.
            results.append(self._np.array(self._model.simulate(0, self._end, self._num_times)))
        return results

    def last(self, result: Any) -> Any:
        """See `AbstractEngine.last`."""
        return self._np.array([one[-1, 1:] for one in result])


def _law(reactants: dict[str, int]) -> str:
    factors = ["<ci>k</ci>"]
    for name, count in reactants.items():
        factors.append(f"<ci>{name}</ci>")
        if count == 2:
            factors.append(f"<apply><minus/><ci>{name}</ci><cn>1</cn></apply>")
    return f"<apply><times/>{''.join(factors)}</apply>"
