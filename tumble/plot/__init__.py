"""Figures of a result, drawn on ``ax=``, which is returned; and a player for frames."""

from tumble.plot._audit import audit_plot
from tumble.plot._cells import cells, render
from tumble.plot._convergence import convergence, waterfall
from tumble.plot._descents import chosen_reactions, loss_paths, response_surface
from tumble.plot._fit_band import fit_band
from tumble.plot._models import model_fits, model_probabilities
from tumble.plot._parameters import parameters
from tumble.plot._player import Player, play
from tumble.plot._posteriors import posteriors, ranks
from tumble.plot._profiles import profiles
from tumble.plot._segmentation import segmentation
from tumble.plot._selection import gates, selection
from tumble.plot._structure import inclusion, network_picture, runners_up

__all__ = [
    "Player",
    "audit_plot",
    "cells",
    "chosen_reactions",
    "convergence",
    "fit_band",
    "gates",
    "inclusion",
    "loss_paths",
    "model_fits",
    "model_probabilities",
    "network_picture",
    "parameters",
    "play",
    "posteriors",
    "profiles",
    "ranks",
    "render",
    "response_surface",
    "runners_up",
    "segmentation",
    "selection",
    "waterfall",
]
