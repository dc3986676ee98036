"""What the page of a fit says."""

from __future__ import annotations

import math
from typing import Any

from tumble.report._charts import audit_chart, course_charts, movie_chart
from tumble.report._context import (
    BAND,
    bar,
    cost_facts,
    given_settings,
    num_data,
    read_json,
    shared_context,
)
from tumble.report._numbers import show, show_count, to_digits
from tumble.report._structure import structure_context, structure_facts, structure_words

_GLOSSARY = (
    ("95 % interval", "Made over and over from fresh data of the same kind, such intervals hold "
     "the true value in about 95 of 100 cases, if the model is right."),
    ("loss", "What the fit made small. For a likelihood it is −log p(data | parameters): a "
     "difference of 2 is about what chance alone explains."),
    ("gradient", "The direction in which the loss falls. For a model that moves by chance it can "
     "only be estimated, and some ways of estimating it are wrong: hence the audit."),
    ("margin", "The error of a gradient that is tolerated, a tenth of its size."),
    ("right, wrong, undecided", "The error is shown to be within the margin, shown to be outside "
     "it, or neither: then more runs would tell."),
    BAND,
)  # fmt: skip


def fit_context(tree: Any) -> dict[str, Any]:
    """Return the variables of the template."""
    fit = tree["fit"]
    stats = read_json(fit, "stats")
    return shared_context(tree, fit) | {
        "title": tree.attrs["title"] or "A fit of tumble",
        "structure": structure_context(tree),
        "facts": _facts(tree, stats),
        "estimates": _estimates(fit, "parameter", ""),
        "derived": _estimates(fit, "derived", "derived_"),
        "uncertainty": fit.attrs["uncertainty"],
        "movie": movie_chart(tree),
        "audit": _audit(tree),
        "course": course_charts(tree),
        "settings": _settings(tree),
        "glossary": (*structure_words(tree), *_GLOSSARY),
    }


def _facts(tree: Any, stats: dict[str, Any]) -> list[tuple[str, Any]]:
    fit = tree["fit"]
    return [
        (str(fit.attrs["loss_name"]).replace("-", "−"), show(float(fit.attrs["loss"]), 5)),
        ("data", num_data(tree)),
        *(structure_facts(tree) or [("steps", show_count(tree["history"].sizes["step"]))]),
        *cost_facts(stats),
    ]


def _estimates(fit: Any, dim: str, prefix: str) -> list[dict[str, Any]]:
    rows = []
    for i, name in enumerate(fit[dim].values):
        value, error, low, high = (
            float(fit[f"{prefix}{column}"].values[i])
            for column in ("estimate", "standard_error", "interval_low", "interval_high")
        )
        known = math.isfinite(low) and math.isfinite(high)
        scale = str(fit[f"{prefix}scale"].values[i])
        row = {
            "name": str(name),
            "value": show(value),
            "interval": (show(low, 3), show(high, 3)) if known else None,
            "at_bound": bool(fit[f"{prefix}at_bound"].values[i]),
            "error": f"{to_digits(100 * error, 2)} %" if scale == "log" and known else "",
        }
        if dim == "parameter":
            row |= bar(fit, i, known)
        else:
            row["formula"] = str(fit["formula"].values[i])
        rows.append(row)
    return rows


def _audit(tree: Any) -> dict[str, Any] | None:
    if "audit" not in tree.children:
        return None
    audit = tree["audit"]
    rows = []
    for i in range(audit.sizes["row"]):
        number = {
            name: float(audit[name].values[i])
            for name in ("estimate", "standard_error", "reference", "reference_error", "margin",
                         "runs_needed")
        }  # fmt: skip
        known = math.isfinite(number["reference_error"])
        rows.append(
            {
                "estimator": str(audit["estimator"].values[i]),
                "parameter": str(audit["parameter"].values[i]),
                "estimate": show(number["estimate"], 3),
                "estimate_error": _error(number["standard_error"]),
                "reference": show(number["reference"], 3) if known else "none",
                "reference_error": _error(number["reference_error"]) if known else "",
                "margin": show(number["margin"], 2) if known else "",
                "verdict": str(audit["verdict"].values[i]),
                "runs_needed": _round(number["runs_needed"]),
            }
        )
    return {
        "words": audit.attrs["words"],
        "reference": audit.attrs["reference"],
        "verdicts": read_json(audit, "verdicts"),
        "params": {k: _value(v) for k, v in read_json(audit, "params").items()},
        "rows": rows,
        "figure": audit_chart(tree),
    }


def _error(error: float) -> Any:
    return show(error, 2) if error > 0 else ""


def _round(runs: float) -> str:
    if not (math.isfinite(runs) and runs > 0):
        return ""
    return show_count(float(f"{runs:.1g}"))


def _value(value: Any) -> Any:
    return show(value) if isinstance(value, (int, float)) else f"{len(value)} values"


def _settings(tree: Any) -> list[tuple[str, str]]:
    fit = tree["fit"]
    names = ("objective", "gradient", "optimizer", "uncertainty")
    return [*((name, str(fit.attrs[name])) for name in names), *given_settings(tree)]
