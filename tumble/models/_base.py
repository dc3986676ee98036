"""What a problem has to know of a model, whatever it is."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tumble._typing import FloatArray


class AbstractModel(abc.ABC):
    """Something that can be simulated: names, and checked values of its parameters.

    A member has the attributes

    - ``species``: names of what a run shows at each time, in order;
    - ``parameters``: names of the numbers it needs, in order;
    - ``definitions`` and ``resolved_definitions``: name → expression of the former;
    - ``variables``, ``reactions`` and ``events``: empty but for networks.
    """

    noun: ClassVar[str]
    """What to call it in messages: ``"the network"``."""

    shows_counts: ClassVar[bool]
    """Whether what a run shows are whole numbers ≥ 0, or any real ones."""

    species: Any
    parameters: Any
    definitions: Any
    variables: Any
    reactions: Any
    events: Any

    @property
    @abc.abstractmethod
    def resolved_definitions(self) -> Mapping[str, Any]:
        """Each definition as an expression of species and parameters."""

    @property
    @abc.abstractmethod
    def initial_names(self) -> Sequence[str]:
        """Names of the counts that a run starts from, in order."""

    @abc.abstractmethod
    def params_vector(self, params: Mapping[str, float]) -> FloatArray:
        """Return the values of ``params`` in the model's order, [Q]. Raises `ModelError`."""

    @abc.abstractmethod
    def to_text(self) -> str:
        """Return the model as text that tells it from others."""
