"""Predators and prey that share a plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tumble._errors import ModelError
from tumble._typing import JaxArray
from tumble.models.lattices._base import AbstractLattice
from tumble.models.lattices._contact import passed_on
from tumble.models.lattices._grid import Grid, VonNeumann
from tumble.models.lattices._site_codes import around, forbid, site_codes

_KINDS = "empty", "prey", "predator"


@dataclass(frozen=True)
class PredatorPrey(AbstractLattice):
    """A lattice Lotka–Volterra model: a site is empty, or holds one prey or one predator.

    Definition: in each step a prey comes to an empty site with probability 1 − (1 − ``p_birth``)^N,
    N neighbors being prey; a predator takes the place of a prey with probability
    1 − (1 − ``p_meal``)^N, N neighbors being predators, and dies with probability ``p_death``. At
    first prey and predators are at random sites. The outputs ``prey`` and ``predators`` are numbers
    of sites.

    Arguments: ``grid``, default 64 × 64 sites on a torus, four neighbors each; ``at_first``, the
    probabilities that a site holds a prey, and that it holds a predator, default 0.3 and 0.1.

    Reference: Mobilia, Georgiev, Täuber, J. Stat. Phys. 128 (2007), doi:10.1007/s10955-006-9146-3.
    """

    grid: Grid = field(default_factory=lambda: Grid((64, 64), VonNeumann()))
    at_first: tuple[float, float] = (0.3, 0.1)
    parameters = ("p_birth", "p_meal", "p_death")
    outputs = ("prey", "predators")

    def __post_init__(self) -> None:
        prey, predators = self.at_first
        if not (prey >= 0 and predators >= 0 and prey + predators <= 1):
            raise ModelError(
                f"`at_first` is {self.at_first!r}, expected two probabilities that add up to 1 at "
                "most."
            )

    def start(self, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.start`."""
        prey, predators = self.at_first
        who = draw.choose([prey, predators, 1 - prey - predators], self.grid.shape)
        return {"prey": (who == 0) * 1.0, "predators": (who == 1) * 1.0}

    def step(self, state: Any, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.step`."""
        prey, predators = state["prey"], state["predators"]
        fertile = passed_on(params["p_birth"], self.grid.sum_neighbors(prey))
        danger = passed_on(params["p_meal"], self.grid.sum_neighbors(predators))
        born = draw.flip((1 - prey - predators) * fertile)
        eaten = draw.flip(prey * danger)
        dead = draw.flip(predators * params["p_death"])
        return {"prey": prey + born - eaten, "predators": predators + eaten - dead}

    def observe(self, state: Any) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`."""
        return {name: sites.sum() for name, sites in state.items()}

    def from_frames(self, frames: Any) -> Any:
        """See `AbstractLattice.from_frames`: 0 where empty, 1 a prey, 2 a predator."""
        codes = site_codes(frames, self.grid, _KINDS, ((0, 1), (1, 2), (2, 0)))
        prey, predators = codes == 1, codes == 2
        born, eaten = prey[1:] & ~prey[:-1], prey[:-1] & predators[1:]
        forbid(born & (around(self.grid, prey[:-1]) == 0), "a prey is born without another")
        forbid(eaten & (around(self.grid, predators[:-1]) == 0), "a prey is eaten by nobody")
        return {"prey": prey.astype(np.uint8), "predators": predators.astype(np.uint8)}

    def outcomes(self, before: Any, after: Any) -> tuple[JaxArray, ...]:
        """See `AbstractLattice.outcomes`: who has been born, has been eaten and has died."""
        eaten = before["prey"] * after["predators"]
        born = after["prey"] - before["prey"] + eaten
        return born, eaten, before["predators"] * (1 - after["predators"])
