"""Which simulator runs a model, unless somebody says otherwise."""

from __future__ import annotations

from typing import Any

from tumble._errors import ModelError
from tumble.models import AbstractLattice, BlackBox, CellularPotts, ExternalProgram, ReactionNetwork
from tumble.simulators._base import AbstractSimulator
from tumble.simulators._black_box import CallFunction, CallWithChoices
from tumble.simulators._direct import DirectMethod
from tumble.simulators._external import RunProgram
from tumble.simulators._lattice import LatticeSteps
from tumble.simulators._metropolis import Metropolis


def default_simulator(model: Any) -> AbstractSimulator:
    """Return what runs ``model``: exact, and with all that is known of its derivatives.

    Raises `ModelError` for what is no model.
    """
    if isinstance(model, ReactionNetwork):
        return DirectMethod()
    if isinstance(model, BlackBox):
        return CallWithChoices() if model.choices else CallFunction()
    if isinstance(model, ExternalProgram):
        return RunProgram()
    if isinstance(model, AbstractLattice):
        return LatticeSteps()
    if isinstance(model, CellularPotts):
        return Metropolis()
    advice = " Wrap a function of your own: tb.BlackBox(function, …)." if callable(model) else ""
    raise ModelError(
        f"`model` is {model!r}, expected a ReactionNetwork, a BlackBox, an ExternalProgram, a "
        "lattice or a CellularPotts."
        f"{advice}"
    )
