"""The engines that `ssa_speed.py` times, one file each. `python -m peers` runs one of them."""

from __future__ import annotations

from peers._engine import AbstractEngine, Network
from peers.bioscrape import Bioscrape
from peers.copasi import Copasi
from peers.crn_jax import CrnJax
from peers.generated_c import GeneratedC
from peers.gillespy2 import GillesPy2
from peers.rebop import Rebop
from peers.roadrunner import RoadRunner
from peers.stochastix import Stochastix
from peers.stochastix_final import StochastixFinal
from peers.tumble import Tumble

ENGINES: dict[str, type[AbstractEngine]] = {
    "tumble": Tumble,
    "c": GeneratedC,
    "bioscrape": Bioscrape,
    "stochastix": Stochastix,
    "stochastix-final": StochastixFinal,
    "crn-jax": CrnJax,
    "rebop": Rebop,
    "gillespy2": GillesPy2,
    "copasi": Copasi,
    "roadrunner": RoadRunner,
}

__all__ = ["ENGINES", "AbstractEngine", "Network"]
