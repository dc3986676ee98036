"""Movies of a lattice with many steps between frames, as runs from frames that were seen."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np

from tumble._errors import require_whole
from tumble._typing import JaxArray
from tumble.models.lattices._base import AbstractLattice
from tumble.models.lattices._transitions import Transitions, joined, movies_of, rows_of, states_of


class Restarts(AbstractLattice):
    """Runs of a model, each from a frame that was observed. Final.

    Definition: a run starts from the frame whose number is its initial count ``frame``, and goes on
    by the steps of the model. Its outputs are those of the model and ``stability``, the logarithm
    of Σ (X_t − X_0)² over all sites and kinds, the frame being X_0 (at least log 1). So a movie
    becomes replicates that last for one interval: `data` are the outputs of each frame that
    followed, and `starts` the frames that they followed on.

        model = Restarts(gas, movie, interval=500)
        experiment = tb.Experiment(model.data, initial=model.starts)

    Draws of a run are those that the model makes, with all its derivatives.

    Arguments: ``model``, a lattice whose whole state is in a frame; ``movies``, an array of frames
    [frames, ...], or a list of such arrays, one a movie, of two frames or more each; ``interval``,
    the steps between frames. Raises `DataError`.

    When: frames too far apart for `Transitions`, to be compared by statistics of the pattern, as
    `StabilityMatching` does. For the lattice gas `LatticeGasMovie` needs no simulation.
    """

    def __init__(self, model: AbstractLattice, movies: Any, interval: int) -> None:
        require_whole("interval", interval)
        self.model, self.interval = model, int(interval)
        self.parameters, self.outputs = model.parameters, (*model.outputs, "stability")
        self.species, self.initial = self.outputs, ("frame",)
        states = [states_of(model, movie, i) for i, movie in enumerate(movies_of(movies))]
        self.before, self.after = (
            joined([rows_of(movie, part) for movie in states])
            for part in (slice(None, -1), slice(1, None))
        )

    @property
    def starts(self) -> dict[str, Any]:
        """The initial counts of replicates: the numbers of their frames."""
        import jax

        return {"frame": np.arange(float(len(jax.tree.leaves(self.before)[0])))}

    @property
    def data(self) -> Any:
        """The data: an `xarray.DataArray` with a replicate for each frame that followed another."""
        import jax
        import xarray as xr

        def seen(pair: Any) -> Any:
            first, last = (jax.tree.map(Transitions.real, frame) for frame in pair)
            found = self.observe({"state": last, "first": first})
            return jax.numpy.stack([jax.numpy.asarray(found[name]) for name in self.outputs])

        with jax.enable_x64(True):
            pairs = jax.tree.map(jax.numpy.asarray, (self.before, self.after))
            values = np.asarray(jax.lax.map(seen, pairs), dtype=float)
        return xr.DataArray(
            values[:, None],
            dims=("replicate", "time", "observable"),
            coords={"time": [self.interval * self.model.step_time], "observable": [*self.outputs]},
        )

    def start(self, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.start`."""
        import jax
        import jax.numpy as jnp

        k = jnp.asarray(params["frame"]).astype(int)
        first = jax.tree.map(lambda frames: Transitions.real(jnp.asarray(frames)[k]), self.before)
        return {"state": first, "first": first}

    def step(self, state: Any, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.step`."""
        return {"state": self.model.step(state["state"], params, draw), "first": state["first"]}

    def observe(self, state: Any) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`."""
        import jax
        import jax.numpy as jnp

        gaps = jax.tree.map(lambda x, y: ((x - y) ** 2).sum(), state["state"], state["first"])
        change = jnp.asarray(sum(jax.tree.leaves(gaps)))
        seen = self.model.observe(state["state"])
        return {**seen, "stability": jnp.log(jnp.maximum(change, 1.0))}

    @property
    def arrays(self) -> Any:
        """See `AbstractLattice.arrays`: the frames."""
        return self.before

    def having(self, arrays: Any) -> Restarts:
        """See `AbstractLattice.having`."""
        other = copy(self)
        other.before = arrays
        return other

    def __eq__(self, other: object) -> bool:
        """Whether both run by the same program, which is given the frames."""
        return isinstance(other, Restarts) and self._program == other._program

    def __hash__(self) -> int:
        return hash(self._program)

    @property
    def _program(self) -> tuple[Any, ...]:
        import jax

        leaves, tree = jax.tree.flatten(self.before)
        return self.model, tree, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)

    def to_text(self) -> str:
        """See `AbstractModel.to_text`."""
        return f"{self!r} of {self.model.to_text()}"

    def __repr__(self) -> str:
        return f"Restarts: {len(self.starts['frame'])} runs of {self.interval} steps"
