"""The Cellular Potts model: cells, terms of their energy, and what is seen of them."""

from tumble.models.cellular_potts._cells import Cells
from tumble.models.cellular_potts._cellular_potts import CellularPotts
from tumble.models.cellular_potts._energy import (
    AbstractEnergy,
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
    SquareDisplacement,
)

__all__ = [
    "AbstractEnergy",
    "AbstractMeasure",
    "Adhesion",
    "CellCount",
    "Cells",
    "CellularPotts",
    "ContactLength",
    "MeanVolume",
    "Perimeter",
    "ShapeIndex",
    "SquareDisplacement",
    "Volume",
    "type_pairs",
]
