"""One step of a movie, drawn at random: what a fit by simulation needs of a long movie."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np

from tumble._typing import FloatArray, JaxArray
from tumble.models.lattices._base import AbstractLattice
from tumble.models.lattices._transitions import Transitions


class RandomTransition(AbstractLattice):
    """A single step of a model from a frame of its movies, drawn at random in each run. Final.

    Definition: a run draws one of the K transitions of the movies, each with probability 1 / K,
    makes one step from the frame before it, and shows, at time 1, by how much each output differs
    from that of the frame that followed. So the data are zeros (`data`), and means over runs are
    means over runs and transitions: `ExpectedLoss` of this model is the mean over all transitions
    of E[(simulated − observed)²], and `MomentMatching(order=1)` makes the mean difference zero.

    Guarantee: minibatches without bias. A batch of n runs is a minibatch of n transitions, drawn
    with replacement; standard errors of gradients count which transitions were drawn.

    Arguments: ``model``, a lattice whose whole state is in a frame; ``movies``, as for
    `Transitions`. Raises `DataError`.

    When: a fit by simulation to thousands of transitions, of which a run of `Transitions` would
    make every one. Where frames tell what was drawn, `Transitions` has a likelihood, which is
    better in all respects. `MomentMatching` tells no more parameters than there are outputs; its
    intervals, for ``Experiment(model.data, kind="mean", num_averaged=model.num_transitions)``, are
    too wide by up to √2, as they count the spread of simulated steps beside that of the observed.
    """

    renews = True

    def __init__(self, model: AbstractLattice, movies: Any) -> None:
        self.parameters, self.outputs = model.parameters, model.outputs
        self.species, self.initial = model.outputs, ()
        self._set(Transitions(model, movies))

    @property
    def model(self) -> AbstractLattice:
        """The model that steps."""
        return self.transitions.model

    @property
    def num_transitions(self) -> int:
        """K."""
        return len(self._seen)

    def among(self, transitions: Transitions) -> RandomTransition:
        """Return the same for other transitions of the model."""
        other = copy(self)
        other._set(transitions)
        return other

    @property
    def data(self) -> dict[str, FloatArray]:
        """The data: no difference at ``time`` 1."""
        return {"time": np.ones(1), **{name: np.zeros(1) for name in self.outputs}}

    def start(self, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.start`."""
        import jax.numpy as jnp

        return {"state": self.transitions.frame(0), "seen": jnp.asarray(self._seen)[0]}

    def step(self, state: Any, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.step`."""
        import jax.numpy as jnp

        k = draw.choose(self.num_transitions)
        after = self.model.step(self.transitions.frame(k), params, draw)
        return {"state": after, "seen": jnp.asarray(self._seen)[k]}

    def observe(self, state: Any) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`: simulated less observed."""
        found = self.model.observe(state["state"])
        return {name: found[name] - state["seen"][o] for o, name in enumerate(self.outputs)}

    @property
    def arrays(self) -> Any:
        """See `AbstractLattice.arrays`: the frames, and what was seen of those that followed."""
        return self.transitions.arrays, self._seen

    def having(self, arrays: Any) -> RandomTransition:
        """See `AbstractLattice.having`."""
        other = copy(self)
        frames, other._seen = arrays
        other.transitions = self.transitions.having(frames)
        return other

    def __eq__(self, other: object) -> bool:
        """Whether both run by the same program, which is given the frames."""
        return isinstance(other, RandomTransition) and self.transitions == other.transitions

    def __hash__(self) -> int:
        return hash((RandomTransition, self.transitions))

    def to_text(self) -> str:
        """See `AbstractModel.to_text`."""
        return f"one of {self.transitions.to_text()}"

    def __repr__(self) -> str:
        return f"RandomTransition: one of {self.num_transitions} of {self.model!r}"

    def _set(self, transitions: Transitions) -> None:
        seen = transitions.data
        self.transitions = transitions
        self._seen = np.stack([seen[name] for name in self.outputs], axis=-1)
        self._seen.flags.writeable = False
