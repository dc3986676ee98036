"""GillesPy2, whose solvers are C++ programs compiled for the model."""

from __future__ import annotations

from typing import Any, ClassVar

from peers._engine import AbstractEngine, Network, ordered_rate


class GillesPy2(AbstractEngine):
    """`SSACSolver`, which compiles C++ for the model and reads what that prints. Final."""

    packages: ClassVar = ("gillespy2",)
    interface: ClassVar = "`SSACSolver.run` (C++), one call for all runs"

    batch = 100  # what a call costs by itself is spread over its runs

    def load(self) -> None:
        """See `AbstractEngine.load`."""
        import gillespy2
        import numpy

        self._np, self._gillespy2 = numpy, gillespy2

    def prepare(self, network: Network) -> None:
        """Build the model; the solver compiles it."""
        package = self._gillespy2
        model = package.Model(name="network")
        species = {
            name: package.Species(name=name, initial_value=count)
            for name, count in network.start.items()
        }
        model.add_species(list(species.values()))
        for r, (left, right, rate) in enumerate(network.reactions):
            constant = package.Parameter(name=f"rate_{r}", expression=ordered_rate(left, rate))
            model.add_parameter(constant)
            model.add_reaction(
                package.Reaction(
                    name=f"reaction_{r}",
                    reactants={species[name]: count for name, count in left.items()},
                    products={species[name]: count for name, count in right.items()},
                    rate=constant,
                )
            )
        model.timespan(package.TimeSpan.linspace(t=network.end, num_points=network.num_times))
        self._solver = package.SSACSolver(model=model)
        self._species = network.species

    def run(self, runs: int, seed: int) -> Any:
        """See `AbstractEngine.run`."""
        return self._solver.run(number_of_trajectories=runs, seed=seed)

    def last(self, result: Any) -> Any:
        """See `AbstractEngine.last`."""
        return self._np.array([[one[name][-1] for name in self._species] for one in result])
