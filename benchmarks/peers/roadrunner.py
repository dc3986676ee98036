"""libRoadRunner, doi:10.1093/bioinformatics/btac770."""

from __future__ import annotations

from typing import Any, ClassVar

from peers._engine import AbstractEngine, Network, ordered_rate


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
        self._model = self._roadrunner.RoadRunner(_sbml(network))
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


def _sbml(network: Network) -> str:
    species = "".join(
        f'<species id="{name}" compartment="cell" initialAmount="{count}" '
        'hasOnlySubstanceUnits="true" boundaryCondition="false" constant="false"/>'
        for name, count in network.start.items()
    )
    reactions = "".join(
        f'<reaction id="reaction_{r}" reversible="false" fast="false">'
        f"{_references('listOfReactants', left)}{_references('listOfProducts', right)}"
        f'<kineticLaw><math xmlns="http://www.w3.org/1998/Math/MathML">{_law(left, rate)}'
        "</math></kineticLaw></reaction>"
        for r, (left, right, rate) in enumerate(network.reactions)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1">'
        '<model id="network"><listOfCompartments>'
        '<compartment id="cell" spatialDimensions="3" size="1" constant="true"/>'
        f"</listOfCompartments><listOfSpecies>{species}</listOfSpecies>"
        f"<listOfReactions>{reactions}</listOfReactions></model></sbml>"
    )


def _references(kind: str, side: dict[str, int]) -> str:
    inside = "".join(
        f'<speciesReference species="{name}" stoichiometry="{count}" constant="true"/>'
        for name, count in side.items()
    )
    return f"<{kind}>{inside}</{kind}>" if inside else ""


def _law(reactants: dict[str, int], rate: float) -> str:
    factors = [f"<cn>{ordered_rate(reactants, rate)!r}</cn>"]
    for name, count in reactants.items():
        factors.append(f"<ci>{name}</ci>")
        if count == 2:
            factors.append(f"<apply><minus/><ci>{name}</ci><cn>1</cn></apply>")
    return f"<apply><times/>{''.join(factors)}</apply>"
