"""Where the species and the reactions of a network are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tumble._typing import FloatArray

Point = tuple[float, float]

_ROUNDS = 300
_OUTSIDE = 0.85  # from a species to the box of a reaction with nothing else
_FAN = 0.7  # radians between the boxes of reactions of one species
_APART = 0.42  # that boxes and species keep


class Arrow(NamedTuple):
    """A line between a species and the box of a reaction: how many ``copies`` go along it.

    ``bend`` keeps two lines between the same ends apart.
    """

    species: str
    taken: bool
    copies: int
    bend: float


def arrows_of(equation: str) -> list[Arrow]:
    """Return the arrows of a reaction such as ``"I + S -> 2 I"``."""
    left, right = (_counts(side) for side in equation.split(" -> "))
    both = set(left) & set(right)
    found = []
    for taken, counts in ((True, left), (False, right)):
        for name, copies in counts.items():
            found.append(Arrow(name, taken, copies, 0.32 if name in both else 0.0))
    return found


def layout(
    species: Sequence[str], reactions: Sequence[Sequence[Arrow]]
) -> tuple[dict[str, Point], list[Point]]:
    """Return the places of species, on a circle, and of the boxes of reactions.

    A box is drawn to the middle of its species, and away from all else.
    """
    size = max(len(species), 1)
    turn = math.pi if size == 2 else math.pi / 2
    radius = max(1.0, size / 4)
    points = {
        name: (
            radius * math.cos(turn - 2 * math.pi * k / size),
            radius * math.sin(turn - 2 * math.pi * k / size),
        )
        for k, name in enumerate(species)
    }
    if not reactions:
        return points, []
    fixed = np.array(list(points.values()))
    homes = np.array(_homes(points, reactions))
    boxes = homes.copy()
    # Boxes at the same place would push each other nowhere.
    angle = 2.4 * np.arange(len(homes))
    boxes += 0.02 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for _ in range(_ROUNDS):
        others = np.concatenate([boxes, fixed])
        gap = boxes[:, None] - others[None]
        distance = np.maximum(np.linalg.norm(gap, axis=2), 1e-9)
        distance[np.arange(len(boxes)), np.arange(len(boxes))] = np.inf
        push = np.maximum(_APART - distance, 0.0) / distance
        boxes = boxes + 0.3 * (gap * push[..., None]).sum(1) + 0.1 * (homes - boxes)
    return points, [(float(x), float(y)) for x, y in boxes]


def _homes(points: dict[str, Point], reactions: Sequence[Sequence[Arrow]]) -> list[Point]:
    """Return the middle of each reaction's species; outside the circle where there is only one.

    Reactions of the same species stand side by side, across the line between them.
    """
    groups: dict[frozenset[str], list[int]] = {}
    for r, arrows in enumerate(reactions):
        groups.setdefault(frozenset(arrow.species for arrow in arrows), []).append(r)
    homes: list[Point] = [(0.0, 0.0)] * len(reactions)
    for names, members in groups.items():
        places = np.array([points[name] for name in points if name in names])
        for k, r in enumerate(members):
            aside = k - (len(members) - 1) / 2
            if len(places) == 1:
                out = _turned(places[0] / np.linalg.norm(places[0]), _FAN * aside)
                home = places[0] + _OUTSIDE * out
            else:
                along = places[-1] - places[0]
                home = places.mean(0) + _APART * aside * _turned(
                    along / np.linalg.norm(along), math.pi / 2
                )
            homes[r] = float(home[0]), float(home[1])
    return homes


def _turned(vector: FloatArray, angle: float) -> FloatArray:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([cos * vector[0] - sin * vector[1], sin * vector[0] + cos * vector[1]])


def _counts(side: str) -> dict[str, int]:
    if side == "0":
        return {}
    counts = {}
    for part in side.split(" + "):
        head, _, tail = part.rpartition(" ")
        counts[tail] = int(head) if head else 1
    return counts
