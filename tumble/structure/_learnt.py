"""What is learnt: a reaction with its probability, a network with its rates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LearntReaction:
    """A candidate: its ``equation``, the ``probability`` that the network has it, and its rate.

    ``rate`` in the most probable network, with its 95 % ``interval``; NaN if it is not in that one.
    """

    equation: str
    probability: float
    rate: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class NetworkChoice:
    """A network: its ``equations``, ``rates`` and ``probability``, and ``log_evidence``."""

    equations: tuple[str, ...]
    rates: tuple[float, ...]
    probability: float
    log_evidence: float
