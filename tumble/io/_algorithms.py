"""The one table that turns names in files into objects."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from tumble._errors import TumbleError, did_you_mean
from tumble.io._yaml import RunFileError

ALGORITHMS: Mapping[str, Mapping[str, str]] = {
    "objective": {
        "path_likelihood": "tumble.objectives:PathLikelihood",
        "moment_matching": "tumble.objectives:MomentMatching",
        "expected_loss": "tumble.objectives:ExpectedLoss",
        "distribution_matching": "tumble.objectives:DistributionMatching",
        "trajectory_matching": "tumble.objectives:TrajectoryMatching",
    },
    "distance": {
        "energy_distance": "tumble.distances:EnergyDistance",
        "maximum_mean_discrepancy": "tumble.distances:MaximumMeanDiscrepancy",
        "wasserstein_distance": "tumble.distances:WassersteinDistance",
    },
    "gradient": {
        "auto": "tumble.gradients:Auto",
        "score_function": "tumble.gradients:ScoreFunction",
        "coupled_difference": "tumble.gradients:CoupledDifference",
        "alternative_path": "tumble.gradients:AlternativePath",
        "gaussian_smoothing": "tumble.gradients:GaussianSmoothing",
        "smoothed_reinforce": "tumble.gradients:SmoothedReinforce",
        "spsa": "tumble.gradients:SPSA",
        "mean_field": "tumble.gradients:MeanField",
        "pathwise": "tumble.gradients:Pathwise",
    },
    "relaxation": {
        "straight_through": "tumble.gradients:StraightThrough",
        "second_order": "tumble.gradients:SecondOrder",
        "gumbel_softmax": "tumble.gradients:GumbelSoftmax",
    },
    "baseline": {
        "leave_one_out": "tumble.gradients:LeaveOneOut",
        "cross_fitted": "tumble.gradients:CrossFitted",
        "linear_response": "tumble.gradients:LinearResponse",
    },
    "directions": {
        "coordinate": "tumble.gradients:CoordinateDirections",
        "rademacher": "tumble.gradients:RademacherDirections",
        "gaussian": "tumble.gradients:GaussianDirections",
        "orthogonal": "tumble.gradients:OrthogonalDirections",
    },
    "schedule": {
        "constant": "tumble.gradients:ConstantStep",
        "shrinking": "tumble.gradients:ShrinkingStep",
    },
    "optimizer": {
        "gauss_newton": "tumble.optimizers:GaussNewton",
        "stochastic_gauss_newton": "tumble.optimizers:StochasticGaussNewton",
        "adam": "optax:adam",
        "sgd": "optax:sgd",
    },
    "through": {
        "linear_noise": "tumble.simulators:LinearNoise",
        "finite_state_projection": "tumble.simulators:FiniteStateProjection",
        "particle_filter": "tumble.simulators:ParticleFilter",
    },
    "posterior": {
        "smc_abc": "tumble.posteriors:SMCABC",
        "rejection_abc": "tumble.posteriors:RejectionABC",
        "abc_mcmc": "tumble.posteriors:ABCMCMC",
        "synthetic_likelihood": "tumble.posteriors:SyntheticLikelihood",
        "adaptive_metropolis": "tumble.posteriors:AdaptiveMetropolis",
        "particle_mcmc": "tumble.posteriors:ParticleMCMC",
        "nuts": "tumble.posteriors:NUTS",
        "loss_posterior": "tumble.posteriors:LossPosterior",
        "tsnpe": "tumble.posteriors:TSNPE",
    },
    "slopes": {
        "response_surface": "tumble.posteriors:ResponseSurface",
        "fresh_runs": "tumble.posteriors:FreshRuns",
    },
    "criterion": {
        "evidence": "tumble.structure:Evidence",
        "held_out": "tumble.structure:HeldOut",
    },
    "evidence": {"evidence": "tumble.structure:Evidence"},
    "simulator": {
        "direct_method": "tumble.simulators:DirectMethod",
        "next_reaction_method": "tumble.simulators:NextReactionMethod",
        "tau_leaping": "tumble.simulators:TauLeaping",
        "langevin": "tumble.simulators:Langevin",
        "mean_field": "tumble.simulators:MeanField",
    },
    "lattice": {
        "susceptible_infected": "tumble.models:SusceptibleInfected",
        "susceptible_infected_recovered": "tumble.models:SusceptibleInfectedRecovered",
        "forest_fire": "tumble.models:ForestFire",
        "predator_prey": "tumble.models:PredatorPrey",
        "ising": "tumble.models:Ising",
        "potts": "tumble.models:Potts",
        "cellular_potts": "tumble.models:CellularPotts",
        "fitzhugh_nagumo_lattice_gas": "tumble.models:FitzHughNagumoLatticeGas",
        "plain_walk": "tumble.models:PlainWalk",
        "persistent_walk": "tumble.models:PersistentWalk",
        "restricted_potts_walk": "tumble.models:RestrictedPottsWalk",
    },
    "term": {
        "adhesion": "tumble.models:Adhesion",
        "volume": "tumble.models:Volume",
        "perimeter": "tumble.models:Perimeter",
        "activity": "tumble.models:Activity",
    },
    "measure": {
        "contact_length": "tumble.models:ContactLength",
        "mean_volume": "tumble.models:MeanVolume",
        "cell_count": "tumble.models:CellCount",
        "shape_index": "tumble.models:ShapeIndex",
        "shape_modes": "tumble.models:ShapeModes",
        "square_displacement": "tumble.models:SquareDisplacement",
    },
    "neighborhood": {
        "von_neumann": "tumble.models:VonNeumann",
        "moore": "tumble.models:Moore",
        "within_radius": "tumble.models:WithinRadius",
        "hexagonal": "tumble.models:Hexagonal",
    },
    "boundary": {
        "periodic": "tumble.models:Periodic",
        "reflective": "tumble.models:Reflective",
        "fixed": "tumble.models:Fixed",
    },
    "noise": {
        "exact": "tumble.noise:Exact",
        "normal": "tumble.noise:Normal",
        "log_normal": "tumble.noise:LogNormal",
        "poisson": "tumble.noise:Poisson",
        "negative_binomial": "tumble.noise:NegativeBinomial",
        "binomial": "tumble.noise:Binomial",
    },
    "prior": {
        "uniform": "tumble.priors:Uniform",
        "log_uniform": "tumble.priors:LogUniform",
        "normal": "tumble.priors:Normal",
        "log_normal": "tumble.priors:LogNormal",
        "gamma": "tumble.priors:Gamma",
        "beta": "tumble.priors:Beta",
        "poisson": "tumble.priors:Poisson",
    },
}
"""Family → name in a file → where the class or function lives.

A setting that has the name of a family takes a member of it, as in
``{path_likelihood: {through: finite_state_projection}}``.
"""


def make(family: str, given: Any, where: str) -> Any:
    """Return the member of ``family`` that ``given`` describes.

    ``given`` is a name (``adam``), a name with settings (``{adam: {learning_rate: 0.1}}``), or a
    name with its first setting (``{negative_binomial: phi}``); ``where`` names the entry in errors.
    Raises `RunFileError`.
    """
    name, settings = _split(family, given, where)
    module, attribute = ALGORITHMS[family][name].split(":")
    member = getattr(import_module(module), attribute)
    known = [
        p.name
        for p in inspect.signature(member).parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    if settings is not None and not isinstance(settings, Mapping):
        if not known:
            raise RunFileError(f"`{where}.{name}` is {settings!r}, but {name} takes no settings.")
        settings = {known[0]: settings}
    settings = {str(k): as_number(v) for k, v in (settings or {}).items()}
    for key, value in settings.items():
        if key not in known:
            raise RunFileError(
                f"`{where}.{name}` has {key!r}, but {name} takes "
                f"{', '.join(known) or 'no settings'}.{did_you_mean(key, known)}"
            )
        if key in ALGORITHMS:
            settings[key] = make(key, value, f"{where}.{name}.{key}")
        elif not isinstance(value, (int, float, str)) or value != value:
            raise RunFileError(f"`{where}.{name}.{key}` is {value!r}, expected a number or a name.")
    try:
        return member(**settings)
    except TumbleError as error:
        raise RunFileError(f"`{where}`: {error}") from None
    except TypeError as error:
        reason = str(error).removeprefix(f"{attribute}.__init__() ").removeprefix(f"{attribute}() ")
        raise RunFileError(f"`{where}.{name}` cannot be made: {reason}.") from None


def check_name(family: str, given: Any, where: str) -> None:
    """Raise `RunFileError` unless ``given`` has the name of a member of ``family``."""
    _split(family, given, where)


def as_number(value: Any) -> Any:
    """Return a number for text that reads as one, such as ``"1e-4"`` in quotes; else ``value``."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _split(family: str, given: Any, where: str) -> tuple[str, Any]:
    known = ALGORITHMS[family]
    if isinstance(given, str):
        name, settings = given, None
    elif isinstance(given, Mapping) and len(given) == 1:
        ((name, settings),) = given.items()
    else:
        raise RunFileError(
            f"`{where}` is {given!r}, expected one of {', '.join(known)}, alone or with settings "
            f"as in '{_example(family)}'."
        )
    if name not in known:
        raise RunFileError(
            f"`{where}` is {name!r}, expected one of {', '.join(known)}.{did_you_mean(name, known)}"
        )
    return str(name), settings


def _example(family: str) -> str:
    return {
        "optimizer": "{adam: {learning_rate: 0.1}}",
        "noise": "{negative_binomial: {phi: phi}}",
        "prior": "{log_normal: {loc: 0, scale: 1}}",
        "simulator": "{direct_method: {max_events: 1000000}}",
        "lattice": "{susceptible_infected: {grid: {shape: [64, 64]}}}",
        "term": "{volume: {by_type: true}}",
        "neighborhood": "{within_radius: 2}",
        "boundary": "{fixed: 0}",
    }.get(family, "{" + next(iter(ALGORITHMS[family])) + ": {}}")
