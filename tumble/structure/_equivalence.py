"""What the data cannot tell apart, however many there were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tumble._problem import Problem
from tumble.models import Reaction
from tumble.structure._library import ReactionLibrary, equation
from tumble.structure._sight import Sight

if TYPE_CHECKING:
    from tumble.structure._learnt import NetworkChoice

_SLIGHT = 1e-4  # probability below which a network is in no class
_MOST = 200  # networks that are compared
_LIKELY = 0.01  # probability of a reaction of which to speak


@dataclass(frozen=True)
class NetworkClass:
    """Networks that give the same laws to all that is observed, most probable first.

    ``ranks`` in `StructureResult.networks`; ``equations`` of each; their summed ``probability``;
    ``reasons`` why they cannot be told apart, none for a network alone.
    """

    ranks: tuple[int, ...]
    equations: tuple[tuple[str, ...], ...]
    probability: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ReactionClass:
    """Reactions of which any one may take the place of another in the most probable network.

    ``equations``, first the one that this network has, if it has any of them; ``probability`` that
    the network has one of them or more; ``reason``.
    """

    equations: tuple[str, ...]
    probability: float
    reason: str

    def __str__(self) -> str:
        return f"{_listed(self.equations)}: {self.reason}"


@dataclass(frozen=True)
class Relation:
    """A candidate that others can stand for together: ``rates`` by equation, for rate 1 of it."""

    equation: str
    rates: dict[str, float]

    def __str__(self) -> str:
        parts = [f"{name} at {rate:.4g} c" for name, rate in self.rates.items()]
        return f"{self.equation} at rate c acts as {_listed(parts)}"


@dataclass(frozen=True, repr=False)
class Equivalences:
    """What this design cannot tell apart.

    ``networks``, all in classes, most probable first; ``reactions``, classes of two or more, and
    those that nothing observed would show; ``relations`` between candidates of which one acts as
    several others together.
    """

    networks: tuple[NetworkClass, ...]
    reactions: tuple[ReactionClass, ...]
    relations: tuple[Relation, ...]

    def summary(self) -> str:
        """Return what cannot be told apart, in words."""
        lines = [str(one) for one in (*self.reactions, *self.relations)]
        shared = [c for c in self.networks if len(c.ranks) > 1]
        for one in shared:
            lines.append(
                f"{len(one.ranks)} networks, together {one.probability:.3f}: "
                + " | ".join(", ".join(names) for names in one.equations[:4])
                + (" | …" if len(one.equations) > 4 else "")
            )
        if not lines:
            return "The design tells all candidates apart."
        return "\n".join(["This design cannot tell apart", *(f"  {line}" for line in lines)])

    __repr__ = summary


@dataclass(frozen=True)
class Recovery:
    """How much of a known network was found, up to what the design cannot tell apart.

    ``same``: whether the most probable network is alike to it; ``probability`` of all networks that
    are; ``precision``, the share of the reactions found that are of the known network or may take
    the place of one of it; ``recall``, the share of its reactions that were found so. Reactions
    that nothing observed would show count neither way.
    """

    same: bool
    probability: float
    precision: float
    recall: float


def find_equivalences(
    problem: Problem,
    library: ReactionLibrary,
    networks: Sequence[NetworkChoice],
    inclusion: Mapping[str, float],
) -> Equivalences:
    """Return what the design of a problem cannot tell apart of ``networks`` and candidates.

    Guarantee: that of `Sight.alike`. Networks less probable than 1e-4 are in no class.
    """
    sight = Sight.of(problem, library.reactions)
    by_equation = dict(zip(library.equations, library.reactions, strict=True))

    def reactions_of(names: Iterable[str]) -> list[Reaction]:
        return [by_equation[name] for name in names]

    groups: list[list[int]] = []
    for rank, choice in enumerate(networks[:_MOST]):
        if rank and choice.probability < _SLIGHT:
            break
        own = reactions_of(choice.equations)
        for group in groups:
            if sight.alike(reactions_of(networks[group[0]].equations), own):
                group.append(rank)
                break
        else:
            groups.append([rank])
    classes = []
    for group in groups:
        names = tuple(networks[rank].equations for rank in group)
        share = sum(networks[rank].probability for rank in group)
        reasons = _reasons(sight, [reactions_of(each) for each in names])
        classes.append(NetworkClass(tuple(group), names, share, reasons))
    classes.sort(key=lambda c: -c.probability)
    best = reactions_of(networks[0].equations)
    return Equivalences(
        tuple(classes),
        _reaction_classes(sight, best, library, networks),
        _relations(sight, library, inclusion),
    )


def find_recovery(
    problem: Problem,
    library: ReactionLibrary,
    networks: Sequence[NetworkChoice],
    truth: Sequence[Reaction],
) -> Recovery:
    """Return how much of a known network, the ``truth``, the most probable one of ``networks`` has.

    Guarantee: that of `Sight.alike`.
    """
    sight = Sight.of(problem, library.reactions)
    by_equation = dict(zip(library.equations, library.reactions, strict=True))
    own = [[by_equation[name] for name in choice.equations] for choice in networks]
    alike = [sight.alike(truth, network) for network in own[:_MOST]]
    share = sum(n.probability for n, same in zip(networks, alike, strict=False) if same)
    if alike[0]:
        return Recovery(True, share, 1.0, 1.0)
    missed = {equation(r): r for r in truth}
    wrong = [r for r in own[0] if missed.pop(equation(r), None) is None]
    hits = len(own[0]) - len(wrong)
    for reaction in list(wrong):
        for name, true in missed.items():
            others = [r for r in truth if r is not true]
            if sight.alike(truth, [*others, reaction]):
                del missed[name]
                wrong.remove(reaction)
                hits += 1
                break
    wrong = [r for r in wrong if not sight.alike(truth, [*truth, r])]
    gone = [r for r in missed.values() if not sight.alike(truth, [o for o in truth if o is not r])]
    precision, recall = hits / max(hits + len(wrong), 1), hits / max(hits + len(gone), 1)
    return Recovery(False, share, precision, recall)


def _reasons(sight: Sight, networks: Sequence[Sequence[Reaction]]) -> tuple[str, ...]:
    """Return why networks are alike, of those reactions in which they differ."""
    names = [{equation(r) for r in network} for network in networks]
    shared = set.intersection(*names)
    every = {equation(r): r for network in networks for r in network}
    groups: dict[tuple[object, ...], list[str]] = {}
    for name in sorted(set(every) - shared):
        groups.setdefault(sight.jump_of(every[name], list(every.values())), []).append(name)
    reasons = []
    for jump, members in groups.items():
        if jump:
            reasons.append(f"{_listed(members)}: {_same_change(sight, members, every)}")
        else:
            reasons.append(f"{_listed(members)}: {_unseen(sight)}")
    return tuple(reasons)


def _reaction_classes(
    sight: Sight,
    best: Sequence[Reaction],
    library: ReactionLibrary,
    networks: Sequence[NetworkChoice],
) -> tuple[ReactionClass, ...]:
    every = dict(zip(library.equations, library.reactions, strict=True))

    def share(names: Sequence[str]) -> float:
        return sum(n.probability for n in networks if set(n.equations) & set(names))

    hidden = [
        r for r in library.reactions if r not in best and not sight.jump_of(r, [*best, r])
    ]  # fmt: skip
    classes, done = [], list(hidden)
    for member in best:
        if member in done:
            continue
        same = [member]
        for other in library.reactions:
            if other in done or other is member:
                continue
            rest = [r for r in best if r is not member and r is not other]
            if sight.alike([*rest, member], [*rest, other]):
                same.append(other)
        done += same
        if len(same) > 1:
            names = tuple(equation(r) for r in same)
            classes.append(ReactionClass(names, share(names), _same_change(sight, names, every)))
    if hidden:
        names = tuple(equation(r) for r in hidden)
        classes.append(ReactionClass(names, share(names), _unseen(sight)))
    return tuple(classes)


def _same_change(sight: Sight, names: Sequence[str], every: Mapping[str, Reaction]) -> str:
    takes = {frozenset(every[name].reactants.items()) for name in names}
    words = f"the same change of all that is observed ({sight.words}), and of what acts on it"
    return words if len(takes) == 1 else f"{words}, at the conserved sums of these experiments"


def _unseen(sight: Sight) -> str:
    return f"no change of what is observed ({sight.words}), nor of what acts on it"


def _relations(
    sight: Sight, library: ReactionLibrary, inclusion: Mapping[str, float]
) -> tuple[Relation, ...]:
    """Return candidates that several others stand for, where one of them is probable at all."""
    reactions, found = library.reactions, []
    for r, reaction in enumerate(reactions):
        others = [
            other for q, other in enumerate(reactions)
            if q != r and other.reactants != reaction.reactants
        ]  # fmt: skip
        rates = sight.expressed(reaction, others, reactions)
        named = {equation(others[i]): rate for i, rate in rates.items()}
        likely = [n for n in (library.equations[r], *named) if inclusion.get(n, 0.0) >= _LIKELY]
        if named and likely:
            found.append(Relation(library.equations[r], named))
    return tuple(found)


def _listed(names: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
