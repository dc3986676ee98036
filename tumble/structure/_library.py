"""Libraries of candidate reactions."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tumble._errors import ModelError, ParameterError, require_known, require_whole, shown
from tumble._parameters import Parameter
from tumble._typing import FloatArray, IntArray
from tumble.models import Reaction, ReactionNetwork

_MOST_REACTANTS = 2
_MOST_CANDIDATES = 2000
_TERM = re.compile(r"(\d+(?:\.\d+)?)?\s*\*?\s*([^\W\d]\w*)")


@dataclass(frozen=True)
class ReactionLibrary:
    """Candidate reactions of mass action, among which a network is sought.

    Arguments: ``reactions``, each with a parameter of its own as its constant; ``species``, in
    order; ``required``, positions of reactions that every network has; ``reversible``, whether a
    reaction and its reverse come and go together. Reactions take up to two copies in all. Raises
    `ModelError`.

    See `mass_action`, which writes down all reactions between given species.
    """

    reactions: tuple[Reaction, ...]
    species: tuple[str, ...]
    required: tuple[int, ...] = ()
    reversible: bool = False

    def __post_init__(self) -> None:
        for name in ("reactions", "species", "required"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for reaction in self.reactions:
            if not reaction.is_mass_action:
                raise ModelError(
                    f"candidate '{reaction}' follows a rate law, but networks are sought among "
                    "reactions of mass action; write it as steps of mass action, or compare a few "
                    "networks by compare_models."
                )
            if sum(reaction.reactants.values()) > _MOST_REACTANTS:
                raise ModelError(
                    f"candidate '{reaction}' takes {sum(reaction.reactants.values())} copies, "
                    f"expected {_MOST_REACTANTS} at most; write it as two steps."
                )
        index = self.network.rate_index
        for r, reaction in enumerate(self.reactions):
            if index[r] < 0 or np.sum(index == index[r]) > 1:
                raise ModelError(
                    f"candidate '{reaction}' needs a parameter of its own as its constant, such as "
                    f"'{equation(reaction)} ; k{r + 1}'; a rate that is known in an "
                    "experiment goes into its conditions."
                )
        seen: dict[str, int] = {}
        for r, reaction in enumerate(self.reactions):
            first = seen.setdefault(equation(reaction), r)
            if first != r:
                raise ModelError(f"candidate '{equation(reaction)}' is there twice.")
        alone = [self.equations[r] for r, unit in enumerate(self.units) if len(unit) < 2]
        if self.reversible and alone:
            raise ModelError(
                f"candidate '{alone[0]}' has no reverse in the library, in which reactions are "
                "reversible; leave it out, or take reversible=False."
            )
        together = {r for given in self.required for r in self.units[given]}
        object.__setattr__(self, "required", tuple(sorted(together)))

    @cached_property
    def network(self) -> ReactionNetwork:
        """All candidates as one network."""
        return ReactionNetwork(self.reactions, self.species)

    @cached_property
    def equations(self) -> tuple[str, ...]:
        """The candidates as text, without their constants."""
        return tuple(equation(reaction) for reaction in self.reactions)

    @cached_property
    def change(self) -> FloatArray:
        """Net change of each species by each candidate [R, S]."""
        return np.ascontiguousarray(self.network.stoichiometry.T, dtype=float)

    @cached_property
    def reactants(self) -> IntArray:
        """The first and the second species that each candidate takes, -1 for none [R, 2]."""
        table = np.full((len(self.reactions), 2), -1, np.int64)
        for r, reaction in enumerate(self.reactions):
            names = [s for s, count in reaction.reactants.items() for _ in range(count)]
            table[r, : len(names)] = sorted(self.species.index(name) for name in names)
        return table

    @cached_property
    def units(self) -> tuple[frozenset[int], ...]:
        """The candidates that come and go with each one [R]: itself, and its reverse or not."""
        place = {equation(reaction): r for r, reaction in enumerate(self.reactions)}
        found = []
        for r, reaction in enumerate(self.reactions):
            back = place.get(f"{_side(reaction.products)} -> {_side(reaction.reactants)}", r)
            found.append(frozenset({r, back}) if self.reversible else frozenset({r}))
        return tuple(found)

    def closed(self, network: Iterable[int]) -> frozenset[int]:
        """Return a network with what it needs: what is required, and reverses."""
        members = {*network, *self.required}
        return frozenset().union(*(self.units[r] for r in members))

    def size(self, network: Iterable[int]) -> int:
        """Return how many choices a network is: its reactions, or pairs, that are not required."""
        return len({min(self.units[r]) for r in network} - set(self.required))

    def combinations(self, states: FloatArray) -> FloatArray:
        """Return the combinations of reactants [..., R] in states [..., S]."""
        return np.asarray(self.network.combinations(np.asarray(states, dtype=float)))

    def parameters(self, lower: float, upper: float) -> dict[str, Parameter]:
        """Return an unknown on a log scale for each candidate's constant, for a `Problem`."""
        return {name: Parameter(lower, upper, scale="log") for name in self.network.parameters}

    def positions(self, equations: Iterable[str]) -> tuple[int, ...]:
        """Return the candidates with these equations, such as ``"S + I -> 2 I"``."""
        found = []
        for text in equations:
            wanted = _read(text, self.species)
            require_known([wanted], self.equations, what="the library has no candidate",
                          owner="the library", error=ModelError)  # fmt: skip
            found.append(self.equations.index(wanted))
        return tuple(found)

    def within(self, laws: Iterable[Mapping[str, float]]) -> ReactionLibrary:
        """Return the candidates that leave weighted sums of species unchanged."""
        keep = np.ones(len(self.reactions), bool)
        for law in laws:
            weights = np.array([float(law.get(name, 0.0)) for name in self.species])
            keep &= np.abs(self.change @ weights) < 1e-9
        return self.only(np.flatnonzero(keep))

    def only(self, keep: Collection[int] | IntArray) -> ReactionLibrary:
        """Return the library of the candidates at these positions."""
        kept = [int(r) for r in keep]
        lost = [self.equations[r] for r in self.required if r not in kept]
        if lost:
            raise ModelError(f"required reaction '{lost[0]}' breaks a conservation law.")
        required = tuple(kept.index(r) for r in self.required)
        reactions = tuple(self.reactions[r] for r in kept)
        return ReactionLibrary(reactions, self.species, required, self.reversible)

    def network_of(self, members: Sequence[int], rates: Sequence[float]) -> ReactionNetwork:
        """Return the network of the candidates at these positions, with rates as numbers."""
        reactions = tuple(
            Reaction(self.reactions[r].reactants, self.reactions[r].products, float(rate))
            for r, rate in zip(members, rates, strict=True)
        )
        return ReactionNetwork(reactions, self.species)

    def __len__(self) -> int:
        return len(self.reactions)

    def __repr__(self) -> str:
        head = f"ReactionLibrary: {len(self)} candidates between {', '.join(self.species)}"
        marked = [
            f"  {text}{'  (required)' if r in self.required else ''}"
            for r, text in enumerate(self.equations)
        ]
        shown_lines = (
            marked if len(marked) <= 20 else [*marked[:18], f"  … {len(marked) - 18} more"]
        )
        return "\n".join([head, *shown_lines])


def mass_action(
    species: Sequence[str],
    order: int = 2,
    *,
    conserve: Sequence[Mapping[str, float] | str] | str = (),
    forbid: Sequence[str] | str = (),
    require: Sequence[str] | str = (),
    reversible: bool = False,
) -> ReactionLibrary:
    """Return all reactions of mass action between complexes of up to ``order`` copies.

    Arguments:

    - ``species``: their names.
    - ``order``: copies on either side, 1 or 2. Default 2: for n species there are
      C = 1 + n + n (n + 1) / 2 complexes and C (C − 1) reactions, 90 for three species.
    - ``conserve``: weighted sums of species that no reaction may change, as a mapping or as text,
      such as ``"S + I + R"`` or ``"A + 2 D"``.
    - ``forbid``, ``require``: reactions such as ``"S + I -> 2 I"`` that no network, or every
      network, has.
    - ``reversible``: whether no reaction comes without its reverse, as where there is detailed
      balance; each has a rate of its own, also around cycles, where detailed balance would tie
      them. What is forbidden then takes its reverse with it. Default False.

    Constants are called ``k1``, ``k2``, … Raises `ModelError`, `ParameterError`.

    >>> library = mass_action(["S", "I", "R"], conserve=["S + I + R"])
    >>> len(library)
    36
    """
    names = _checked_species(species)
    require_whole("order", order)
    if order > _MOST_REACTANTS:
        raise ParameterError(f"`order` is {order}, expected 1 or 2.")
    complexes = [
        combination
        for size in range(order + 1)
        for combination in itertools.combinations_with_replacement(names, size)
    ]
    pairs = [pair for pair in itertools.product(complexes, complexes) if pair[0] != pair[1]]
    laws = [_law(given, names) for given in _several(conserve)]
    kept = [pair for pair in pairs if all(_keeps(law, *pair) for law in laws)]
    if len(kept) > _MOST_CANDIDATES:
        raise ParameterError(
            f"{len(names)} species have {len(kept)} reactions, expected {_MOST_CANDIDATES} at "
            "most; take order=1, or say what is conserved or forbidden."
        )
    excluded = {_candidate(text, names, order) for text in _several(forbid)}
    if reversible:
        excluded |= {" -> ".join(reversed(text.split(" -> "))) for text in excluded}
    wanted = [_read(text, names) for text in _several(require)]
    reactions: list[Reaction] = []
    for before, after in kept:
        reaction = Reaction(_counts(before), _counts(after), f"k{len(reactions) + 1}")
        if equation(reaction) not in excluded:
            reactions.append(reaction)
    if not reactions:
        raise ModelError("no reaction keeps what is to be conserved; the library would be empty.")
    library = ReactionLibrary(tuple(reactions), names)
    return ReactionLibrary(library.reactions, names, library.positions(wanted), reversible)


def equation(reaction: Reaction) -> str:
    """Return a reaction as text, without its constant: species in alphabetical order."""
    return f"{_side(reaction.reactants)} -> {_side(reaction.products)}"


def _side(counts: Mapping[str, int]) -> str:
    parts = [f"{n} {name}" if n > 1 else name for name, n in sorted(counts.items())]
    return " + ".join(parts) or "0"


def _read(text: str, species: Sequence[str]) -> str:
    """Return an equation as `equation` writes it. Raises `ModelError`."""
    network = ReactionNetwork.from_text(f"{text} ; 1", species=tuple(species))
    if len(network.reactions) != 1:
        raise ModelError(f"{shown(text)} is not one reaction such as 'S + I -> 2 I'.")
    return equation(network.reactions[0])


def _candidate(text: str, species: Sequence[str], order: int) -> str:
    """Return an equation to leave out, as `equation` writes it. Raises `ModelError`."""
    network = ReactionNetwork.from_text(f"{text} ; 1", species=tuple(species))
    for reaction in network.reactions:
        most = max(sum(reaction.reactants.values()), sum(reaction.products.values()))
        if most > order:
            raise ModelError(
                f"`forbid` has {shown(text)} with {most} copies on a side, which is no candidate; "
                f"expected reactions of {order} at most."
            )
    return _read(text, species)


def _several(given: Any) -> list[Any]:
    """Return what is given, or the one thing that is, as a list."""
    return [given] if isinstance(given, (str, Mapping)) else list(given)


def _counts(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def _law(given: Mapping[str, float] | str, species: tuple[str, ...]) -> dict[str, float]:
    if isinstance(given, str):
        given = _weights(given)
    require_known(given, species, what="`conserve` has species", owner="the library",
                  error=ModelError)  # fmt: skip
    return {name: float(weight) for name, weight in given.items()}


def _weights(text: str) -> dict[str, float]:
    """Return the weights of a sum such as ``"A + 2 D"``. Raises `ModelError`."""
    weights: dict[str, float] = {}
    for part in text.split("+"):
        found = _TERM.fullmatch(part.strip())
        if found is None:
            raise ModelError(
                f"`conserve` has {shown(text)}, expected a sum of species such as 'S + I + R' or "
                "'A + 2 D'."
            )
        weights[found[2]] = weights.get(found[2], 0.0) + float(found[1] or 1)
    return weights


def _keeps(law: Mapping[str, float], before: Iterable[str], after: Iterable[str]) -> bool:
    total = sum(law.get(n, 0.0) for n in after) - sum(law.get(n, 0.0) for n in before)
    return abs(total) < 1e-9


def _checked_species(species: Sequence[str]) -> tuple[str, ...]:
    if isinstance(species, str) or not species:
        raise ParameterError(
            f"`species` is {shown(species)}, expected a list of names such as ['S', 'I', 'R']."
        )
    names = tuple(species)
    if len(set(names)) != len(names):
        raise ParameterError(f"`species` names something twice: {', '.join(names)}.")
    return names
