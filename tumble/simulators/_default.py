"""Which simulator runs a model, unless somebody says otherwise."""

from __future__ import annotations

from typing import Any

from tumble._errors import ModelError, shown
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
    advice = ""
    if callable(model):
        advice = " Wrap a function of your own: tb.BlackBox(function, …)."
    elif isinstance(getattr(model, "network", None), ReactionNetwork):
        advice = " Give its `network`, its `params` and its `initial`."
    raise ModelError(
        f"`model` is {shown(model)}, expected a ReactionNetwork, a BlackBox, an ExternalProgram, a "
        f"lattice or a CellularPotts.{advice}"
    )
