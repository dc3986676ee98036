"""What a lattice model is."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tumble._errors import CapabilityError
from tumble._typing import IntArray, JaxArray
from tumble.models._black_box import AbstractBlackBox, checked_names
from tumble.models.lattices._grid import Grid

if TYPE_CHECKING:
    from tumble._site_draws import AbstractSiteDraws


class AbstractLattice(AbstractBlackBox):
    """A model that changes step by step, all sites at once, by declared random draws.

    A member is a class with the names of its ``parameters`` and ``outputs``, and three functions in
    `jax.numpy`, which say how a run begins, how it goes on, and what is seen of it:

    - ``start(params, draw) -> state``
    - ``step(state, params, draw) -> state``
    - ``observe(state) -> {output: number}``

    ``state`` is an array, or a tuple or dict of arrays, of the same shapes in every step.
    ``params`` are numbers by name, ``draw`` an `AbstractSiteDraws`, through which all randomness
    comes; ``initial`` counts, if the class names any, are among ``params`` in ``start``. One run is
    written, never a batch.

    That gives the model everything a network has: `simulate`, `fit`, scores, alternative outcomes,
    relaxed derivatives, audits. Derivatives of scores and alternatives are exact as long as
    parameters act through the probabilities of draws; a comparison with a parameter is not seen by
    them. For relaxed ones, `Pathwise`, a state that depends on draws must consist of real numbers.

    ``step_time`` is the time that a step takes, default 1. Observation times are multiples of it.
    """

    noun: ClassVar[str] = "the lattice"
    parameters: Any = ()
    outputs: Any = ()
    initial: Any = ()
    step_time: float = 1.0

    renews: ClassVar[bool] = False
    """Whether steps do not depend on each other, so that a score is that of the last step alone."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.outputs:
            names = checked_names(cls.parameters, cls.outputs, cls.initial)
            for label, found in names.items():
                setattr(cls, label, found)

    @abc.abstractmethod
    def start(self, params: Mapping[str, JaxArray], draw: AbstractSiteDraws) -> Any:
        """Return the state before the first step."""

    @abc.abstractmethod
    def step(self, state: Any, params: Mapping[str, JaxArray], draw: AbstractSiteDraws) -> Any:
        """Return the state after a step."""

    @abc.abstractmethod
    def observe(self, state: Any) -> Mapping[str, JaxArray]:
        """Return the outputs, a number each."""

    def mean(self, params: Mapping[str, JaxArray], steps: IntArray) -> Mapping[str, JaxArray]:
        """Return the expected outputs [T] after numbers of ``steps`` [T], in `jax.numpy`.

        For models where they are known exactly: fits of means then need no simulation
        (`gradients.ExactMean`). Raises `CapabilityError` where they are not, as by default.
        """
        raise CapabilityError(
            f"{type(self).__name__} does not say what its outputs are on average (`mean`); "
            "leave out `gradient` to have one chosen that simulates."
        )

    @property
    def has_mean(self) -> bool:
        """Whether the model says what its outputs are on average."""
        return type(self).mean is not AbstractLattice.mean

    @property
    def arrays(self) -> Any:
        """Large arrays that steps use, given to the compiled program rather than built into it.

        Arrays of NumPy that are read-only are put on the device once, others for each call.
        """
        return ()

    def having(self, arrays: Any) -> AbstractLattice:
        """Return the model with these `arrays`."""
        return self

    def from_frames(self, frames: Any) -> Any:
        """Return states with a first dimension [frames, ...] from what a camera saw.

        Default: a frame is the state. Raises `DataError` for frames that the model cannot have.
        """
        return frames

    def outcomes(self, before: Any, after: Any) -> tuple[JaxArray, ...]:
        """Return the outcomes of the draws of a step, in order, as two states tell them.

        Draws of which the states tell nothing must not matter: their probability is to be 0 or 1
        then. Raises `CapabilityError` where the states do not tell, as by default.
        """
        raise CapabilityError(
            f"{type(self).__name__} does not say what two frames tell of its draws (`outcomes`), "
            "so its transitions have no likelihood; use objectives.MomentMatching()."
        )

    def to_text(self) -> str:
        """See `AbstractModel.to_text`."""
        module = type(self).__module__
        owner = "" if module.startswith("tumble.") else f"{module}."
        if not is_dataclass(self):
            return f"{owner}{self!r}"
        parts = []
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, Grid):
                parts.append(value.to_text())
            elif repr(value) != repr(_default(entry)):
                parts.append(f"{entry.name}={value!r}")
        return f"{owner}{type(self).__qualname__}({', '.join(parts)})"


def _default(entry: Any) -> Any:
    return entry.default if entry.default_factory is MISSING else entry.default_factory()
