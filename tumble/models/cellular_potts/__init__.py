"""The Cellular Potts model: cells, terms of their energy, and what is seen of them."""

from tumble.models.cellular_potts._cells import Cells
from tumble.models.cellular_potts._cellular_potts import CellularPotts
from tumble.models.cellular_potts._energy import (
    AbstractEnergy,
    AbstractTerm,
    Adhesion,
    Perimeter,
    Volume,
    type_pairs,
)
from tumble.models.cellular_potts._measures import (
    AbstractMeasure,
    CellCount,
    ContactLength,
    MeanVolume,
    ShapeIndex,
    ShapeModes,
    SquareDisplacement,
)
from tumble.models.cellular_potts._work import AbstractWork, Activity, Chemotaxis

__all__ = [
    "AbstractEnergy",
    "AbstractMeasure",
    "AbstractTerm",
    "AbstractWork",
    "Activity",
    "Adhesion",
    "CellCount",
    "Cells",
    "CellularPotts",
    "Chemotaxis",
    "ContactLength",
    "MeanVolume",
    "Perimeter",
    "ShapeIndex",
    "ShapeModes",
    "SquareDisplacement",
    "Volume",
    "type_pairs",
]
