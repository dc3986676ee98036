"""Sums of species that no reaction changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

from tumble._typing import IntArray


@dataclass(frozen=True)
class ConservationLaw:
    """A weighted sum of species that no reaction changes.

    Arguments: ``weights`` maps species names to whole numbers.
    """

    weights: Mapping[str, int]

    def __str__(self) -> str:
        terms = []
        for name, weight in self.weights.items():
            sign = "-" if weight < 0 else "+"
            terms.append(f"{sign} {name}" if abs(weight) == 1 else f"{sign} {abs(weight)} {name}")
        text = " ".join(terms)
        return (text[2:] if text.startswith("+ ") else text) + " = constant"


def left_null_space(matrix: IntArray) -> list[list[int]]:
    """Return whole-number vectors w, a basis of {w : w @ matrix = 0}, by exact elimination."""
    num_rows = matrix.shape[0]
    rows = [
        [int(x) for x in matrix[i]] + [int(i == j) for j in range(num_rows)]
        for i in range(num_rows)
    ]
    # Eliminating with the last species first leaves laws on the first ones, S + I + R, positive.
    pivot_row = 0
    for column in range(matrix.shape[1]):
        pivot = next((i for i in range(pivot_row, num_rows) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[pivot_row], rows[pivot] = rows[pivot], rows[pivot_row]
        head = rows[pivot_row]
        for i in range(num_rows):
            if i != pivot_row and rows[i][column]:
                a, b = head[column], rows[i][column]
                rows[i] = _reduce([a * x - b * y for x, y in zip(rows[i], head, strict=True)])
        pivot_row += 1
    basis = [row[matrix.shape[1] :] for row in rows[pivot_row:]]
    return [_positive(_reduce(row)) for row in basis]


def _reduce(row: list[int]) -> list[int]:
    divisor = gcd(*row) or 1
    return [x // divisor for x in row]


def _positive(row: list[int]) -> list[int]:
    first = next((x for x in row if x), 1)
    return [-x for x in row] if first < 0 else row
