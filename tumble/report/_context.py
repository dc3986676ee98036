"""What every page says, as plain values for its template."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

from tumble.report._charts import prediction_chart
from tumble.report._numbers import show, show_count, show_seconds

BAND = (
    "95 % band", "Where 95 of 100 data sets lie that the model itself makes at such parameters.",
)  # fmt: skip


def shared_context(tree: Any, told: Any) -> dict[str, Any]:
    """Return the variables that every page has; ``told``, the group that says how it ended."""
    return {
        "created": _date(tree.attrs["created"]),
        "version": tree.attrs["tumble"],
        "outcome": {
            "ok": bool(told.attrs["ok"]),
            "code": told.attrs["result"],
            "reason": _sentence(told.attrs["reason"]),
            "advice": _sentence(told.attrs["advice"]),
        },
        "warnings": read_json(told, "warnings"),
        "prediction": _prediction(tree),
        "model": _model(tree["constant_data"]),
        "environment": json.loads(tree.attrs["environment"]),
        "citations": read_json(told, "citations"),
    }


def num_data(tree: Any) -> str:
    """Return how many data there are."""
    return show_count(sum(int(v.notnull().sum()) for v in tree["observed_data"].data_vars.values()))


def cost_facts(stats: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return what the head of the page says of the cost."""
    facts: list[tuple[str, Any]] = []
    if stats.get("runs"):
        facts.append(("simulations", show_count(stats["runs"])))
    if stats.get("seconds") is not None:
        facts.append(("time", show_seconds(stats["seconds"])))
    return facts


def given_settings(tree: Any) -> list[tuple[str, str]]:
    """Return what was set where the result was asked for, and by what the model was run."""
    given = json.loads(tree.attrs["settings"])
    simulator = ("simulator", str(tree["constant_data"].attrs["simulator"]))
    return [simulator, *((str(k), str(v)) for k, v in given.items())]


def read_json(group: Any, name: str) -> Any:
    """Return what an attribute of a group holds."""
    return json.loads(group.attrs[name])


def _sentence(text: str) -> str:
    text = " ".join(str(text).split())
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def _date(stamp: str) -> str:
    date = datetime.fromisoformat(stamp)
    return f"{date.day} {date:%B %Y, %H:%M} UTC"


def bar(group: Any, i: int, known: bool) -> dict[str, Any]:
    """Return where on a bar an estimate and its interval are, if it is ``known``.

    Places are in percent of the bounds, on the scale of the fit.
    """
    lower, upper = (float(group[f"{side}_bound"].values[i]) for side in ("lower", "upper"))
    scale = str(group["scale"].values[i])
    ends = [float(group[f"interval_{side}"].values[i]) for side in ("low", "high")]
    left, right = (_place(x, lower, upper, scale) for x in ends) if known else (0.0, 0.0)
    return {
        "bounds": (show(lower, 3), show(upper, 3)),
        "scale": scale,
        "place": 100 * float(group["position"].values[i]),
        "left": left,
        "width": right - left,
        "prior": str(group["prior"].values[i]),
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
        "laws": read_json(constant, "conservation_laws"),
        "observables": read_json(constant, "observables"),
        "experiments": [_experiment(e) for e in read_json(constant, "experiments")],
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
