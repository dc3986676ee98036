"""COPASI through basico, doi:10.21105/joss.05553."""

from __future__ import annotations

from typing import Any, ClassVar

from peers._engine import AbstractEngine, Network
from peers._sbml import sbml_of


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
        """Hand over the network as SBML: adding reactions one by one takes minutes for many."""
        self._basico.load_model_from_string(sbml_of(network, _law))
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


def _law(reactants: dict[str, int]) -> str:
    """Return volume × k × powers of the reactants, in which COPASI recognizes mass action.

    It then counts ordered tuples of molecules, n (n-1), by itself.
    """
    factors = ["<ci>cell</ci>", "<ci>k</ci>"]
    for name, count in reactants.items():
        x = f"<ci>{name}</ci>"
        factors.append(x if count == 1 else f"<apply><power/>{x}<cn>{count}</cn></apply>")
    return f"<apply><times/>{''.join(factors)}</apply>"
