"""Learnt structures as files: the fit of the most probable network, and what is beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble.io._result_file import fit_tree
from tumble.io._run_folder import to_json

if TYPE_CHECKING:
    import xarray as xr

    from tumble.structure import Advice, Refinement, StructureResult

_MOST_NETWORKS = 100
_MOST_RELATIONS = 12
_MOST_CLASSES, _MOST_MEMBERS = 4, 5
_LIKELY = 0.02
_ADVICE = {
    "MAX_STEPS": "allow more networks to be weighed (`most` of the search), or ask fewer "
    "candidates.",
    "INTERRUPTED": "stopped by hand; probabilities are of the networks weighed by then.",
}


def structure_tree(
    result: StructureResult,
    *,
    advice: Advice | None = None,
    refinement: Refinement | None = None,
    predictive: Any = None,
    title: str = "",
    settings: Mapping[str, Any] | None = None,
) -> xr.DataTree:
    """Return a learnt structure as an `xarray.DataTree`, which `save_fit` and reports take.

    It holds the groups of `fit_tree` for the most probable network, as `StructureResult.as_fit`
    gives it, and ``structure``: candidates with probability and rate (dimension ``candidate``), the
    networks (``network``, the first 100), left-out candidates with their tests (``left_out``, of a
    ``refinement``), and in attributes what the data cannot tell apart and the ``advice``.
    """
    import xarray as xr

    tree = fit_tree(result.as_fit(), predictive=predictive, title=title, settings=settings)
    tree["fit"].attrs["optimizer"] = "a search among networks"
    tree["fit"].attrs["advice"] = _ADVICE.get(result.result.name, result.result.advice)
    tree["structure"] = xr.DataTree(_group(result, advice, refinement))
    return tree


def _group(
    result: StructureResult, advice: Advice | None, refinement: Refinement | None
) -> xr.Dataset:
    import xarray as xr

    reactions, networks = result.reactions, result.networks[:_MOST_NETWORKS]
    left = () if refinement is None else refinement.left_out
    data: dict[str, Any] = {
        "inclusion": ("candidate", _numbers(r.probability for r in reactions)),
        "rate": ("candidate", _numbers(r.rate for r in reactions)),
        "interval_low": ("candidate", _numbers(r.interval[0] for r in reactions)),
        "interval_high": ("candidate", _numbers(r.interval[1] for r in reactions)),
        "equations": ("network", _words("; ".join(n.equations) for n in networks)),
        "rates": ("network", _words("; ".join(map(repr, n.rates)) for n in networks)),
        "probability": ("network", _numbers(n.probability for n in networks)),
        "log_evidence": ("network", _numbers(n.log_evidence for n in networks)),
        "slope": ("left_out", _numbers(c.slope for c in left)),
        "slope_error": ("left_out", _numbers(c.standard_error for c in left)),
    }
    coords = {
        "candidate": _words(r.equation for r in reactions),
        "left_out": _words(c.equation for c in left),
    }
    same = result.equivalent
    shared = [c for c in same.networks if len(c.ranks) > 1 and c.probability >= _LIKELY]
    attributes = {
        "num_weighed": result.num_weighed,
        "num_candidates": len(result.library),
        "species": to_json(list(result.library.species)),
        "laws": to_json([str(law) for law in result.laws]),
        "classes": to_json([str(one) for one in same.reactions]),
        "relations": to_json([str(one) for one in same.relations[:_MOST_RELATIONS]]),
        "shared": to_json(
            [
                {"probability": c.probability, "count": len(c.ranks),
                 "networks": [", ".join(e) for e in c.equations[:_MOST_MEMBERS]]}
                for c in shared[:_MOST_CLASSES]
            ]
        ),
        "prior": to_json({"largest": result.prior.largest, "spread": result.prior.spread}),
        "advice": to_json(None if advice is None else _advice(advice)),
        "refinement": to_json(None if refinement is None else _refinement(refinement)),
    }  # fmt: skip
    return xr.Dataset(data, coords, attributes)


def _advice(advice: Advice) -> dict[str, Any]:
    return {
        "words": advice.words,
        "now": advice.now,
        "num_draws": advice.num_draws,
        "rivals": [list(rival) for rival in advice.rivals],
        "designs": [
            {"words": d.experiment.words, "probability": d.probability, "gains": list(d.gains)}
            for d in advice.designs
        ],
    }


def _refinement(refinement: Refinement) -> dict[str, Any]:
    return {
        "words": refinement.words,
        "loss": refinement.loss,
        "floor": list(refinement.floor),
        "two_sets": refinement.two_sets,
        "critical": refinement.critical,
        "estimates": {
            e.name: [e.value, e.interval[0], e.interval[1]] for e in refinement.fit.estimates
        },
    }


def _numbers(values: Iterable[float]) -> np.ndarray:
    return np.array([float(v) for v in values], dtype=float)


def _words(values: Iterable[str]) -> np.ndarray:
    return np.array([str(v) for v in values], dtype="U")
