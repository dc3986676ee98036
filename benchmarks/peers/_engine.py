"""The contract between `ssa_speed.py` and a package that it times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Network:
    """A network of mass-action reactions, as it travels to an engine. Final.

    ``reactions`` are triples (reactants, products, rate), both sides as {species: copies}. The
    propensity is rate × Π n (n-1) … (n-m+1) / m! over the reactants; an engine with another
    convention has to adapt the rate. Runs start at time 0 and are observed at ``num_times`` times,
    evenly from 0 to ``end``. ``most_events`` is more than any run fires, for engines that ask.
    """

    species: tuple[str, ...]
    initial: tuple[int, ...]
    reactions: tuple[tuple[dict[str, int], dict[str, int], float], ...]
    end: float
    num_times: int
    most_events: int

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Network:
        """Return the network that JSON carried."""
        return cls(
            tuple(fields["species"]),
            tuple(fields["initial"]),
            tuple((left, right, rate) for left, right, rate in fields["reactions"]),
            fields["end"],
            fields["num_times"],
            fields["most_events"],
        )

    @property
    def start(self) -> dict[str, int]:
        """Counts at time 0, by species."""
        return dict(zip(self.species, self.initial, strict=True))


class AbstractEngine(ABC):
    """A package that simulates networks, at the fastest interface for batches it documents.

    The methods are called in the order in which they stand here, `run` several times.
    """

    packages: ClassVar[tuple[str, ...]]  # distributions whose versions the page names
    interface: ClassVar[str]  # what is called, for the page
    is_peer: ClassVar[bool] = True  # lives in the peers' environment
    counts_events: ClassVar[bool] = False
    all_times: ClassVar[bool] = True  # returns the counts at every output time
    batch = 1  # runs come in multiples of this; `prepare` may set it

    @abstractmethod
    def load(self) -> None:
        """Import the package."""

    @abstractmethod
    def prepare(self, network: Network) -> None:
        """Build the model, and compile it if that is a step of its own."""

    @abstractmethod
    def run(self, runs: int, seed: int) -> Any:
        """Simulate, and return all that a user would get."""

    def settle(self) -> None:  # noqa: B027 - most engines have nothing to wait for
        """Wait until what the first call set going in the background has ended."""

    def hurry(self) -> None:  # noqa: B027 - most engines know one speed only
        """Be as fast as in a call of many runs, before the length of a call is chosen."""

    @abstractmethod
    def last(self, result: Any) -> Any:
        """Return the counts at the last time, [runs, species] in the network's order."""

    def events(self, result: Any) -> int:
        """Return how many reactions all runs fired; for an engine that ``counts_events``."""
        raise NotImplementedError


def text_of(side: dict[str, int]) -> str:
    """Return ``"S + 2 I"`` for ``{"S": 1, "I": 2}``, and ``"0"`` for an empty side."""
    return " + ".join(name if n == 1 else f"{n} {name}" for name, n in side.items()) or "0"


def ordered_rate(reactants: dict[str, int], rate: float) -> float:
    """Return the rate for software that counts ordered pairs: n (n-1) instead of n (n-1) / 2."""
    pairs = sum(count == 2 for count in reactants.values())
    if any(count > 2 for count in reactants.values()):
        raise ValueError("reactions that take more than two copies of a species are not handled")
    return rate / 2**pairs


def lanes(network: Network) -> int:
    """Return how many runs to map over at once with JAX: many, but a call must not last minutes.

    On one core the gain from 1,024 to 4,096 is about a tenth, and there is none beyond.
    """
    work_of_run = network.most_events * (len(network.reactions) + 8)
    return max(16, min(4096, 2_000_000_000 // work_of_run))
