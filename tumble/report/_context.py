"""What the page says, as plain values for its template."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

from tumble.report._charts import audit_chart, course_charts, movie_chart, prediction_chart
from tumble.report._numbers import show, show_count, show_seconds, to_digits
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
    ("95 % band", "Where 95 of 100 data sets lie that the fitted model itself makes."),
)  # fmt: skip


def page_context(tree: Any) -> dict[str, Any]:
    """Return the variables of the template."""
    fit = tree["fit"]
    stats = _json(fit, "stats")
    return {
        "title": tree.attrs["title"] or "A fit of tumble",
        "structure": structure_context(tree),
        "created": _date(tree.attrs["created"]),
        "version": tree.attrs["tumble"],
        "outcome": {
            "ok": bool(fit.attrs["ok"]),
            "code": fit.attrs["result"],
            "reason": _sentence(fit.attrs["reason"]),
            "advice": _sentence(fit.attrs["advice"]),
        },
        "facts": _facts(tree, stats),
        "warnings": _json(fit, "warnings"),
        "estimates": _estimates(fit, "parameter", ""),
        "derived": _estimates(fit, "derived", "derived_"),
        "uncertainty": fit.attrs["uncertainty"],
        "prediction": _prediction(tree),
        "movie": movie_chart(tree),
        "audit": _audit(tree),
        "course": course_charts(tree),
        "model": _model(tree["constant_data"]),
        "settings": _settings(tree, stats),
        "environment": json.loads(tree.attrs["environment"]),
        "citations": _json(fit, "citations"),
        "glossary": (*structure_words(tree), *_GLOSSARY),
    }


def _json(group: Any, name: str) -> Any:
    return json.loads(group.attrs[name])


def _sentence(text: str) -> str:
    text = " ".join(str(text).split())
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def _date(stamp: str) -> str:
    date = datetime.fromisoformat(stamp)
    return f"{date.day} {date:%B %Y, %H:%M} UTC"


def _facts(tree: Any, stats: dict[str, Any]) -> list[tuple[str, Any]]:
    fit = tree["fit"]
    data = sum(int(v.notnull().sum()) for v in tree["observed_data"].data_vars.values())
    facts: list[tuple[str, Any]] = [
        (str(fit.attrs["loss_name"]).replace("-", "−"), show(float(fit.attrs["loss"]), 5)),
        ("data", show_count(data)),
        *(structure_facts(tree) or [("steps", show_count(tree["history"].sizes["step"]))]),
    ]
    if stats.get("runs"):
        facts.append(("simulations", show_count(stats["runs"])))
    if stats.get("seconds") is not None:
        facts.append(("time", show_seconds(stats["seconds"])))
    return facts


def _estimates(fit: Any, dim: str, prefix: str) -> list[dict[str, Any]]:
    """Rows of a table; places on the bar are in percent of the bounds on the fit scale."""
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
            row |= _bar(fit, i, known)
            row["prior"] = str(fit["prior"].values[i])
        else:
            row["formula"] = str(fit["formula"].values[i])
        rows.append(row)
    return rows


def _bar(fit: Any, i: int, known: bool) -> dict[str, Any]:
    lower, upper = (float(fit[f"{side}_bound"].values[i]) for side in ("lower", "upper"))
    scale = str(fit["scale"].values[i])
    ends = [float(fit[f"interval_{side}"].values[i]) for side in ("low", "high")]
    left, right = (_place(x, lower, upper, scale) for x in ends) if known else (0.0, 0.0)
    return {
        "bounds": (show(lower, 3), show(upper, 3)),
        "scale": scale,
        "place": 100 * float(fit["position"].values[i]),
        "left": left,
        "width": right - left,
    }


def _place(value: float, lower: float, upper: float, scale: str) -> float:
    def image(x: float) -> float:
        if scale == "log":
            return math.log(x)
        return math.log(x / (1 - x)) if scale == "logit" else x

    share = (image(value) - image(lower)) / (image(upper) - image(lower))
    return 100 * min(max(share, 0.0), 1.0)


def _prediction(tree: Any) -> dict[str, Any]:
    figure, omitted = prediction_chart(tree)
    if "posterior_predictive" not in tree.children:
        return {"figure": figure, "omitted": omitted, "verdict": "", "num_samples": "", "ok": True}
    group = tree["posterior_predictive"]
    coverage = min(v.attrs["coverage"] for v in group.data_vars.values())
    return {
        "figure": figure,
        "omitted": omitted,
        "verdict": _sentence(group.attrs["verdict"]),
        "num_samples": show_count(group.attrs["num_samples"]),
        "share": f"{100 * coverage:.0f} %",
        "ok": coverage >= 0.8,
    }


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
        "verdicts": _json(audit, "verdicts"),
        "params": {k: _value(v) for k, v in _json(audit, "params").items()},
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


def _model(constant: Any) -> dict[str, Any]:
    described = str(constant.attrs["model"])
    reactions = [str(text) for text in constant["reaction"].values]
    lines = described.splitlines() if reactions else []
    others = [line for line in lines if line not in reactions]
    known = zip(constant["known_parameter"].values, constant["known"].values, strict=True)
    rows = [_reaction(text) for text in reactions]
    return {
        "reactions": rows,
        "has_rate_laws": any(row["arrow"] == "⇒" for row in rows),
        "definitions": [line for line in others if not line.startswith("at ")],
        "events": [line for line in others if line.startswith("at ")],
        "program": "" if reactions else described,
        "laws": _json(constant, "conservation_laws"),
        "observables": _json(constant, "observables"),
        "experiments": [_experiment(e) for e in _json(constant, "experiments")],
        "known": [(str(name), show(float(value))) for name, value in known],
    }


def _reaction(text: str) -> dict[str, str]:
    """Return the parts of ``A -> B ; k``, or of ``A => B ; law``."""
    equation, rate = text.split(" ; ")
    arrow = "->" if " -> " in equation else "=>"
    left, right = ("∅" if side == "0" else side for side in equation.split(f" {arrow} "))
    return {"left": left, "arrow": "→" if arrow == "->" else "⇒", "right": right, "rate": rate}


def _experiment(experiment: dict[str, Any]) -> dict[str, Any]:
    def pairs(values: dict[str, Any]) -> list[tuple[str, Any]]:
        return [(k, v if isinstance(v, str) else show(float(v))) for k, v in values.items()]

    return {
        "initial": pairs(experiment["initial"]),
        "conditions": pairs(experiment["conditions"]),
        "start": show(float(experiment["start"])),
        "kind": experiment["kind"],
    }


def _settings(tree: Any, stats: dict[str, Any]) -> list[tuple[str, str]]:
    fit = tree["fit"]
    settings = [
        (name, str(fit.attrs[name]))
        for name in ("objective", "gradient", "optimizer", "uncertainty")
    ]
    settings.append(("simulator", str(tree["constant_data"].attrs["simulator"])))
    given = json.loads(tree.attrs["settings"])
    return [*settings, *((str(k), str(v)) for k, v in given.items())]
