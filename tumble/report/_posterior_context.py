"""What the page of a posterior says."""

from __future__ import annotations

import math
from typing import Any

from tumble.report._context import (
    BAND,
    bar,
    cost_facts,
    given_settings,
    num_data,
    read_json,
    shared_context,
)
from tumble.report._numbers import show, show_count
from tumble.report._posterior_charts import corner_chart, rounds_chart, tells

_MOST_ROUNDS = 12  # in the table
_COLUMNS = {
    "tolerance": "tolerance",
    "num_simulated": "data sets",
    "num_learnt": "learnt from",
    "loss": "loss",
    "num_steps": "steps",
    "acceptance": "accepted",
    "effective_sample_size": "effective draws",
    "region": "share of the prior",
    "r_hat": "R-hat",
}
_SHARES = ("acceptance", "region")
_GLOSSARY = (
    ("posterior", "What is known of the parameters once the data are seen: how plausible each "
     "value is, given the model and the prior."),
    ("95 % interval", "Holds the parameter with probability 0.95, if the model and the prior are "
     "right. A bar shows it and the median between the bounds."),
    ("effective draws", "How many independent draws would tell as much: draws may have unequal "
     "weights, or depend on each other."),
    BAND,
)  # fmt: skip
_WORDS = {
    "tolerance": (("tolerance", "How far from the data a simulated data set may be that is kept; "
                   "the posterior is the more exact the smaller it is."),),
    "r_hat": (("R-hat", "Near 1 where chains agree with each other and with their own other half; "
               "above 1.01 they have not mixed."),),
    "region": (("loss", "The mean of −log density of held-out draws: the lower, the better the "
                "density has learnt."),
               ("share of the prior", "How much of the prior parameters are still drawn from."),),
}  # fmt: skip


def posterior_context(tree: Any) -> dict[str, Any]:
    """Return the variables of the template."""
    drawn = tree["weighted_posterior"]
    stats = read_json(drawn, "stats")
    corner, left_out = corner_chart(tree)
    rows, earlier = _rounds(tree["rounds"])
    words = [word for name, some in _WORDS.items() if name in tree["rounds"] for word in some]
    return shared_context(tree, drawn) | {
        "title": tree.attrs["title"] or "A posterior of tumble",
        "facts": [
            ("draws", show_count(drawn.sizes["particle"])),
            ("effective draws", show_count(drawn.attrs["effective_sample_size"])),
            ("data", num_data(tree)),
            *_counted(stats),
            *cost_facts(stats),
        ],
        "estimates": _estimates(tree["estimates"], "parameter", ""),
        "derived": _estimates(tree["estimates"], "derived", "derived_"),
        "corner": corner,
        "left_out": left_out,
        "columns": [label for name, label in _COLUMNS.items() if tells(tree["rounds"], name)],
        "rounds": rows,
        "earlier": earlier,
        "course": rounds_chart(tree),
        "basis": drawn.attrs["basis"],
        "settings": [
            ("method", drawn.attrs["method"]), ("seed", drawn.attrs["seed"]),
            *given_settings(tree),
        ],
        "glossary": (*_GLOSSARY, *words),
    }  # fmt: skip


def _counted(stats: dict[str, Any]) -> list[tuple[str, str]]:
    names = {
        "data_sets": "data sets", "evaluations": "likelihoods", "gradients": "slopes of the loss",
    }  # fmt: skip
    return [(label, show_count(stats[name])) for name, label in names.items() if name in stats]


def _estimates(group: Any, dim: str, prefix: str) -> list[dict[str, Any]]:
    rows = []
    for i, name in enumerate(group[dim].values):
        median, mean, sd, low, high = (
            float(group[f"{prefix}{column}"].values[i])
            for column in ("median", "mean", "sd", "interval_low", "interval_high")
        )
        row = {
            "name": str(name),
            "value": show(median),
            "interval": (show(low, 3), show(high, 3)),
            "mean": show(mean),
            "sd": show(sd, 2),
            "at_bound": False,
        }
        if dim == "parameter":
            row |= bar(group, i, known=True)
            row["effective"] = show_count(float(group["effective_sample_size"].values[i]))
        else:
            row["formula"] = str(group["formula"].values[i])
        rows.append(row)
    return rows


def _rounds(group: Any) -> tuple[list[dict[str, Any]], int]:
    """Return the last rows of the table of rounds, and how many there are before them."""
    count = group.sizes["round"]
    first = max(count - _MOST_ROUNDS, 0)
    names = [name for name in _COLUMNS if tells(group, name)]
    rows = [
        {
            "number": i + 1,
            "warming": "warming" in group and bool(group["warming"].values[i]),
            "cells": [_cell(name, float(group[name].values[i])) for name in names],
        }
        for i in range(first, count)
    ]
    return rows, first


def _cell(name: str, value: float) -> Any:
    if math.isnan(value):
        return ""
    if name in _SHARES:
        return f"{show(100 * value, 2)} %"
    whole = name.startswith("num_") or name == "effective_sample_size"
    return show_count(value) if whole else show(value, 4)
