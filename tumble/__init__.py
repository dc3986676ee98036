"""Fit stochastic, discrete simulators to data, and say how far each answer can be trusted."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tumble import (
        choices,
        densities,
        diagnostics,
        distances,
        formats,
        gradients,
        inputs,
        io,
        losses,
        machines,
        models,
        movies,
        noise,
        objectives,
        optimizers,
        outputs,
        plot,
        posteriors,
        priors,
        problems,
        report,
        simulators,
        structure,
    )
    from tumble._bootstrap import bootstrap
    from tumble._budget import Budget
    from tumble._compare import compare
    from tumble._compare_models import compare_models
    from tumble._errors import TumbleError
    from tumble._experiment import Experiment
    from tumble._fit import fit
    from tumble._fit_result import FitResult
    from tumble._learn_structure import learn_structure
    from tumble._observable import Observable
    from tumble._parameters import Parameter, Ref
    from tumble._problem import Problem
    from tumble._random_effect import RandomEffect
    from tumble._results import ResultCode, SampleCode
    from tumble._sample_posterior import sample_posterior
    from tumble._segment import Segmentation, segment
    from tumble._simulate import simulate
    from tumble._train import train
    from tumble._trajectory import Trajectory
    from tumble.diagnostics import audit_gradient, posterior_predictive
    from tumble.formats import (
        ImportedModel,
        read_antimony,
        read_sbml,
        write_antimony,
        write_sbml,
    )
    from tumble.io import read_data, read_images, read_masks, read_tracks
    from tumble.models import BlackBox, ExternalProgram, ReactionNetwork

__version__ = "0.1.0"

# name -> module it is loaded from on first use, by layer
_HOMES = {
    # foundations
    "Budget": "tumble._budget",
    "ResultCode": "tumble._results",
    "SampleCode": "tumble._results",
    "TumbleError": "tumble._errors",
    "priors": "tumble.priors",
    # forward
    "BlackBox": "tumble.models",
    "Experiment": "tumble._experiment",
    "ExternalProgram": "tumble.models",
    "Observable": "tumble._observable",
    "Parameter": "tumble._parameters",
    "Problem": "tumble._problem",
    "ReactionNetwork": "tumble.models",
    "RandomEffect": "tumble._random_effect",
    "Ref": "tumble._parameters",
    "Trajectory": "tumble._trajectory",
    "choices": "tumble.choices",
    "inputs": "tumble.inputs",
    "models": "tumble.models",
    "movies": "tumble.movies",
    "noise": "tumble.noise",
    "outputs": "tumble.outputs",
    "problems": "tumble.problems",
    "simulate": "tumble._simulate",
    "simulators": "tumble.simulators",
    # inference
    "FitResult": "tumble._fit_result",
    "audit_gradient": "tumble.diagnostics",
    "bootstrap": "tumble._bootstrap",
    "compare": "tumble._compare",
    "compare_models": "tumble._compare_models",
    "densities": "tumble.densities",
    "diagnostics": "tumble.diagnostics",
    "distances": "tumble.distances",
    "fit": "tumble._fit",
    "gradients": "tumble.gradients",
    "learn_structure": "tumble._learn_structure",
    "losses": "tumble.losses",
    "objectives": "tumble.objectives",
    "optimizers": "tumble.optimizers",
    "Segmentation": "tumble._segment",
    "posterior_predictive": "tumble.diagnostics",
    "posteriors": "tumble.posteriors",
    "sample_posterior": "tumble._sample_posterior",
    "machines": "tumble.machines",
    "structure": "tumble.structure",
    "train": "tumble._train",
    "segment": "tumble._segment",
    # interfaces
    "ImportedModel": "tumble.formats",
    "formats": "tumble.formats",
    "io": "tumble.io",
    "plot": "tumble.plot",
    "read_antimony": "tumble.formats",
    "read_data": "tumble.io",
    "read_images": "tumble.io",
    "read_masks": "tumble.io",
    "read_sbml": "tumble.formats",
    "read_tracks": "tumble.io",
    "report": "tumble.report",
    "write_antimony": "tumble.formats",
    "write_sbml": "tumble.formats",
}

__all__ = [
    "BlackBox",
    "Budget",
    "Experiment",
    "ExternalProgram",
    "FitResult",
    "ImportedModel",
    "Observable",
    "Parameter",
    "Problem",
    "ReactionNetwork",
    "RandomEffect",
    "Ref",
    "ResultCode",
    "SampleCode",
    "Segmentation",
    "Trajectory",
    "TumbleError",
    "__version__",
    "audit_gradient",
    "bootstrap",
    "choices",
    "compare",
    "compare_models",
    "densities",
    "diagnostics",
    "distances",
    "fit",
    "formats",
    "gradients",
    "inputs",
    "io",
    "learn_structure",
    "losses",
    "machines",
    "models",
    "movies",
    "noise",
    "objectives",
    "optimizers",
    "outputs",
    "plot",
    "posterior_predictive",
    "posteriors",
    "priors",
    "problems",
    "read_antimony",
    "read_data",
    "read_images",
    "read_masks",
    "read_sbml",
    "read_tracks",
    "report",
    "sample_posterior",
    "segment",
    "simulate",
    "simulators",
    "structure",
    "train",
    "write_antimony",
    "write_sbml",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tumble' has no attribute {name!r}")
    module = import_module(_HOMES[name])
    value = module if _HOMES[name] == f"tumble.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
