"""What the page says of a learnt structure."""

from __future__ import annotations

import json
import math
from typing import Any

from tumble.plot import network_picture, runners_up
from tumble.report._figures import draw_svg
from tumble.report._numbers import show, show_count

_LEAST = 0.01  # probability of a candidate in the table
_MOST_ROWS = 12
_MOST_LEFT_OUT = 6

_WORDS = (
    ("probability", "How firmly the data, and the prior that prefers few reactions, speak for a "
     "reaction or a network, among the candidates that were given."),
    ("log Bayes factor", "By how much, on a logarithmic scale, data speak for one network rather "
     "than another: 3 is 20 to 1."),
)  # fmt: skip


def structure_context(tree: Any) -> dict[str, Any] | None:
    """Return the variables of the sections on structure, None where the result has none."""
    if "structure" not in tree.children:
        return None
    group = tree["structure"]
    rows, omitted = _reactions(group)
    return {
        "reactions": rows,
        "omitted": omitted,
        "laws": _json(group, "laws"),
        "picture": draw_svg(
            lambda ax: network_picture(tree, ax=ax), "The network of species and reactions",
            (4.6, 4.0),
        ),
        "dashed": any(not row["inside"] and row["share"] >= 5 for row in rows),
        "rivals": draw_svg(
            lambda ax: runners_up(tree, ax=ax), "Probabilities of the first networks",
            (5.4, 0.9 + 0.5 * min(len(group["probability"]), 6)),
        ),
        "classes": [_arrowed(text) for text in _json(group, "classes")],
        "relations": [_arrowed(text) for text in _json(group, "relations")],
        "shared": [
            {
                "probability": show(one["probability"], 3),
                "count": one["count"],
                "networks": [_arrowed(text) for text in one["networks"]],
            }
            for one in _json(group, "shared")
        ],
        "advice": _advice(group),
        "refinement": _refinement(group),
    }  # fmt: skip


def structure_facts(tree: Any) -> list[tuple[str, Any]]:
    """Return what the head of the page counts, empty where there is no structure."""
    if "structure" not in tree.children:
        return []
    group = tree["structure"]
    return [
        ("probability", f"{float(group['probability'].values[0]):.3f}"),
        ("candidates", show_count(group.attrs["num_candidates"])),
        ("networks weighed", show_count(group.attrs["num_weighed"])),
    ]


def structure_words(tree: Any) -> tuple[tuple[str, str], ...]:
    """Return the words that the sections on structure use."""
    return _WORDS if "structure" in tree.children else ()


def _json(group: Any, name: str) -> Any:
    return json.loads(group.attrs[name])


def _reactions(group: Any) -> tuple[list[dict[str, Any]], int]:
    rows: list[dict[str, Any]] = []
    omitted = 0
    for i, name in enumerate(group["candidate"].values):
        share, rate, low, high = (
            float(group[column].values[i])
            for column in ("inclusion", "rate", "interval_low", "interval_high")
        )
        inside = math.isfinite(rate)
        if not inside and (share < _LEAST or len(rows) >= _MOST_ROWS):
            omitted += 1
            continue
        rows.append(
            {
                "equation": _arrowed(name),
                "rate": show(rate) if inside else "",
                "interval": (show(low, 3), show(high, 3)) if inside else None,
                "probability": f"{share:.3f}",
                "share": 100 * share,
                "inside": inside,
            }
        )
    return rows, omitted


def _advice(group: Any) -> dict[str, Any] | None:
    advice = _json(group, "advice")
    if advice is None:
        return None
    first = str(group["equations"].values[0]).split("; ")
    rivals = [_difference(first, rival) for rival in advice["rivals"]]
    designs = [
        {
            "words": d["words"].rstrip(","),
            "probability": f"{d['probability']:.2f}",
            "gains": ", ".join(_gain(gain) for gain in d["gains"]),
        }
        for d in advice["designs"]
    ]
    return advice | {
        "words": _arrowed(advice["words"]),
        "now": f"{advice['now']:.2f}",
        "designs": designs,
        "rivals": "; ".join(rivals),
    }


def _gain(gain: float) -> str:
    return "> 1000" if gain > 1000 else f"{round(gain, 1) + 0.0:.1f}".replace("-", "−")


def _difference(first: list[str], other: list[str]) -> str:
    more = [f"+ {name}" for name in other if name not in first]
    less = [f"− {name}" for name in first if name not in other]
    return _arrowed(f"({', '.join([*less, *more])})")


def _arrowed(text: Any) -> str:
    return str(text).replace("->", "→")


def _refinement(group: Any) -> dict[str, Any] | None:
    refinement = _json(group, "refinement")
    if refinement is None:
        return None
    rows = []
    for i, name in enumerate(group["left_out"].values):
        slope, error = (float(group[c].values[i]) for c in ("slope", "slope_error"))
        z = -slope / error if error > 0 else 0.0
        rows.append({"equation": _arrowed(name), "z": show(z, 2),
                     "slope": show(slope, 3), "error": show(error, 2)})  # fmt: skip
    return {
        "words": _arrowed(refinement["words"]),
        "left_out": rows[:_MOST_LEFT_OUT],
        "omitted": max(len(rows) - _MOST_LEFT_OUT, 0),
        "critical": show(refinement["critical"], 2),
        "estimates": [(k, show(v[0])) for k, v in refinement["estimates"].items()],
    }
