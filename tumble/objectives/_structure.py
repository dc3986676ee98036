"""A problem up to its data, as a key for compiled functions."""

from __future__ import annotations

from tumble._problem import Problem


class Structure:
    """Two problems that differ in data alone have equal structures. Final.

    Arguments: ``problem``, kept as the representative.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._key = problem.structure

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and self._key == other._key
