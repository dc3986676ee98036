"""Movies of a lattice as steps from frames that were seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from tumble._errors import DataError, shown
from tumble._typing import FloatArray, JaxArray
from tumble.models.lattices._base import AbstractLattice


class Transitions(AbstractLattice):
    """Single steps of a model, each from a frame that was observed. Final.

    Definition: step k starts from the frame before the k-th transition, whatever came of step
    k − 1; what is observed of it is what the model's ``observe`` makes of the state after. So the
    outputs at time k = 1, 2, … are those after the k-th transition, and the data of a fit are the
    same outputs of the frames that followed (`data`). Transitions do not depend on each other.

    That matches transitions: with `MomentMatching` the mean of an output after each transition,
    with `ExpectedLoss` single runs, and with `PathLikelihood(TransitionLikelihood())` the states
    themselves.

    Arguments: ``model``, a lattice whose whole state is in a frame; ``movies``, an array of frames
    [frames, ...], or a list of such arrays, one a movie, of two frames or more each. Raises
    `DataError`.
    """

    renews = True

    def __init__(self, model: AbstractLattice, movies: Any) -> None:
        self.model = model
        self.parameters, self.outputs = model.parameters, model.outputs
        self.species, self.initial = model.outputs, ()
        states = [states_of(model, movie, i) for i, movie in enumerate(movies_of(movies))]
        self.before, self.after = (
            joined([rows_of(movie, part) for movie in states])
            for part in (slice(None, -1), slice(1, None))
        )

    @property
    def num_transitions(self) -> int:
        """K."""
        import jax

        return len(jax.tree.leaves(self.before)[0])

    @property
    def data(self) -> dict[str, FloatArray]:
        """The data: ``time`` 1 … K and the outputs [K] of the frames after each transition."""
        import jax

        with jax.enable_x64(True):
            seen = jax.lax.map(self.model.observe, jax.tree.map(jax.numpy.asarray, self.after))
            found = {name: np.asarray(seen[name], dtype=float) for name in self.outputs}
        return {"time": np.arange(1.0, self.num_transitions + 1), **found}

    def require_likelihood(self) -> None:
        """Raise `CapabilityError` unless the model says what frames tell of its draws."""
        if not self.has_likelihood:
            self.model.outcomes(None, None)

    @property
    def has_likelihood(self) -> bool:
        """Whether the model says what frames tell of its draws."""
        return type(self.model).outcomes is not AbstractLattice.outcomes

    def start(self, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.start`."""
        import jax.numpy as jnp

        return {"next": jnp.uint32(0), "state": self.frame(jnp.uint32(0))}

    def step(self, state: Any, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.step`."""
        k = state["next"]
        return {"next": k + 1, "state": self.model.step(self.frame(k), params, draw)}

    def observe(self, state: Any) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`."""
        return self.model.observe(state["state"])

    def frame(self, k: Any) -> Any:
        """Return the state before transition k, in JAX."""
        import jax
        import jax.numpy as jnp

        return jax.tree.map(lambda frames: self.real(jnp.asarray(frames)[k]), self.before)

    @property
    def arrays(self) -> Any:
        """See `AbstractLattice.arrays`: the frames."""
        return self.before

    def having(self, arrays: Any) -> Transitions:
        """See `AbstractLattice.having`."""
        other = copy(self)
        other.before = arrays
        return other

    def followed_by(self, states: Any) -> Transitions:
        """Return the transitions from the same frames to other ``states`` [K, ...]."""
        import jax

        other = copy(self)
        other.after = jax.tree.map(
            lambda old, new: np.asarray(new).astype(old.dtype), self.after, states
        )
        return other

    def __eq__(self, other: object) -> bool:
        """Whether both run by the same program, which is given the frames."""
        return isinstance(other, Transitions) and self._program == other._program

    def __hash__(self) -> int:
        return hash(self._program)

    @property
    def _program(self) -> tuple[Any, ...]:
        import jax

        leaves, tree = jax.tree.flatten(self.before)
        return self.model, tree, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)

    def to_text(self) -> str:
        """See `AbstractModel.to_text`."""
        return f"{self.num_transitions} transitions of {self.model.to_text()}"

    def __repr__(self) -> str:
        return f"Transitions: {self.num_transitions} of {self.model!r}"

    @staticmethod
    def real(frame: JaxArray) -> JaxArray:
        """Return a frame as real numbers: they are kept as small as they come."""
        import jax.numpy as jnp

        return frame if jnp.issubdtype(frame.dtype, jnp.floating) else frame.astype(float)


def movies_of(movies: Any) -> Sequence[Any]:
    """Return a list of movies, if only one was given."""
    return movies if isinstance(movies, (list, tuple)) else [movies]


def states_of(model: AbstractLattice, movie: Any, index: int) -> Any:
    """Return a movie as states with a first dimension of frames. Raises `DataError`."""
    import jax

    frames = np.asarray(movie)
    if frames.dtype == bool:
        frames = frames.astype(np.uint8)
    if frames.dtype.kind not in "iuf" or frames.ndim < 1 or len(frames) < 2:
        raise DataError(
            f"`movies[{index}]` is {shown(movie)}, expected an array of two frames or more."
        )
    if not np.isfinite(frames).all():
        raise DataError(f"`movies[{index}]` holds NaN or infinity; leave out frames with gaps.")
    states = model.from_frames(frames)
    if any(len(leaf) != len(frames) for leaf in jax.tree.leaves(states)):
        raise DataError(f"`from_frames` of {model!r} returns another number of frames than it got.")
    return states


def rows_of(movie: Any, part: slice) -> Any:
    """Return some of the frames of a movie."""
    import jax

    return jax.tree.map(lambda leaf: leaf[part], movie)


def joined(movies: list[Any]) -> Any:
    """Return the frames of all movies, one after another, read-only. Raises `DataError`."""
    import jax

    def together(*parts: Any) -> Any:
        whole = np.concatenate(parts)
        whole.flags.writeable = False
        return whole

    try:
        return jax.tree.map(together, *movies)
    except ValueError as error:
        raise DataError(f"the movies have frames of different shapes: {error}") from None
