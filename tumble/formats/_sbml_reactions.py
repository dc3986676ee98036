"""The reactions of an SBML model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tumble._errors import ModelError
from tumble._expressions import Expression, Name
from tumble.formats._mass_action import find_mass_action
from tumble.formats._sbml_document import each, where
from tumble.formats._sbml_symbols import Role, Symbol, SymbolTable, math_of
from tumble.formats._signs import Signs
from tumble.models import AbstractRate, MassAction, RateLaw, Reaction


def read_laws(model: Any, table: SymbolTable) -> dict[str, Expression]:
    """Return the kinetic law of each reaction by its id; local parameters join the table.

    A local parameter keeps its name unless something else has it; then it is that of the reaction,
    ``_`` and its own. Raises `ModelError`.
    """
    owners = Counter(p.getId() for r in each(model.getListOfReactions()) for p in _locals(r))
    laws = {}
    ids = {r.getId() for r in each(model.getListOfReactions())}
    species = {s.getId() for s in each(model.getListOfSpecies())}
    for reaction in each(model.getListOfReactions()):
        owner = where(reaction, "reaction")
        law = reaction.getKineticLaw()
        if law is None:
            raise ModelError(f"{owner} has no kinetic law; give it one.")
        renamed = {}
        for parameter in _locals(reaction):
            i = parameter.getId()
            taken = {*table.symbols, *ids, *species, *table.names.values()}
            name = i if owners[i] == 1 and i not in taken else f"{reaction.getId()}_{i}"
            while name in taken or name in ("time", "pi", "e"):
                name += "_"
            if name != i:
                table.notes.append(
                    f"Parameter {i!r} of reaction {reaction.getId()!r} is called {name!r}."
                )
            renamed[i] = name
            meaning = Expression(Name(name))
            table.symbols[name] = Symbol(name, "parameter", parameter, Role.PARAMETER, meaning)
        laws[reaction.getId()] = table.reader.read(math_of(law, owner), owner, renamed)
        if ids & set(laws[reaction.getId()].names):
            raise ModelError(
                f"{owner} uses the rate of a reaction in its own; write its formula instead."
            )
    return laws


def _locals(reaction: Any) -> list[Any]:
    law = reaction.getKineticLaw()
    return [] if law is None else list(each(law.getListOfParameters()))


@dataclass(frozen=True)
class ReactionReader:
    """Turns reactions into those of a network.

    Arguments: ``model``; ``table`` of symbols; ``changing``, names that change in time other than
    species; ``definitions``, those that do so, as expressions of what they are made of;
    ``factors``, species → conversion factor; ``signs``, what is known to be positive.
    """

    model: Any
    table: SymbolTable
    changing: frozenset[str]
    definitions: Mapping[str, Expression]
    factors: Mapping[str, float]
    signs: Signs

    def read(self, element: Any, law: Expression) -> list[Reaction]:
        """Return the reaction, or both directions of one; none if it changes no count."""
        owner = where(element, "reaction")
        if element.isSetFast() and element.getFast():
            raise ModelError(
                f"{owner} is fast, which has no stochastic meaning here; give it a rate instead."
            )
        reactants = self._side(element, element.getListOfReactants(), owner)
        products = self._side(element, element.getListOfProducts(), owner)
        if reactants == products:
            self.table.notes.append(
                f"Reaction {element.getId()!r} changes no count and is left out."
            )
            return []
        written = self.table.written(law, owner)
        flat = written.substitute(self.definitions)
        if not element.getReversible() or self.signs.nonnegative(flat):
            return [self._one(element, reactants, products, written)]
        parts = self.signs.difference(flat)
        if parts is None:
            # Files say that a reaction is reversible by default, whatever its law is.
            self.table.notes.append(
                f"Reaction {element.getId()!r} is said to be reversible, but its law '{written}' "
                "is not a difference of two rates: it is taken as that of the forward direction, "
                "and a run in which it becomes negative fails."
            )
            return [self._one(element, reactants, products, written)]
        if not _are_directions(parts, reactants, products):
            raise ModelError(
                f"{owner} is reversible, but its law '{written}' is not a difference of two terms "
                "that are never negative, of which the first depends on the reactants and the "
                "second on the products; write the two directions as reactions of their own, or "
                "say that it is not reversible."
            )
        self.table.notes.append(
            f"Reaction {element.getId()!r} is reversible: '{parts[0]}' is its forward and "
            f"'{parts[1]}' its backward rate."
        )
        forward = self._one(element, reactants, products, parts[0])
        return [forward, self._one(element, dict(products), dict(reactants), parts[1])]

    def _one(
        self, element: Any, reactants: dict[str, int], products: dict[str, int], law: Expression
    ) -> Reaction:
        flat = law.substitute(self.definitions)
        found = find_mass_action(flat, self.signs.species, self.changing)
        rate: AbstractRate = RateLaw(law)
        # A law of lower order than the reaction does not keep it from taking what is not there.
        fits = found and all(found.counts.get(s, 0) >= n for s, n in reactants.items())
        if found is not None and fits and self.signs.nonnegative(found.constant):
            rate = MassAction(found.constant)
            catalysts = {s: n - reactants.get(s, 0) for s, n in found.counts.items()}
            catalysts = {s: n for s, n in catalysts.items() if n}
            reactants, products = _plus(reactants, catalysts), _plus(products, catalysts)
            if catalysts:
                self.table.notes.append(
                    f"Reaction {element.getId()!r} has {', '.join(catalysts)} on both sides, since "
                    "its law is mass action in it."
                )
        return Reaction(reactants, products, rate)

    def _side(self, element: Any, references: Any, owner: str) -> dict[str, int]:
        side: dict[str, int] = {}
        for reference in each(references):
            i = reference.getSpecies()
            species = self.model.getSpecies(i)
            if reference.isSetStoichiometryMath():
                raise ModelError(
                    f"{owner} has a stoichiometryMath for {i!r}, which is not supported; expected "
                    "a whole number."
                )
            if species is None:
                raise ModelError(f"{owner} takes species {i!r}, which the model does not declare.")
            name = self.table.names.get(i, i)
            count = reference.getStoichiometry() * self.factors.get(name, 1.0)
            # A count of 1e6 is the most that a reaction may take.
            if not 0 <= count <= 1e6 or abs(count - round(count)) > 1e-9:
                raise ModelError(
                    f"{owner} takes {count} of species {i!r}, expected a whole number that does "
                    "not vary."
                )
            if reacts(species) and round(count):
                side[name] = side.get(name, 0) + round(count)
        return side


def _are_directions(
    parts: tuple[Expression, Expression], reactants: Mapping[str, int], products: Mapping[str, int]
) -> bool:
    """Whether the terms of a difference read what they would consume.

    ``k * A * (A - 1)`` is a difference as well, but not of two directions.
    """
    net = {s: products.get(s, 0) - reactants.get(s, 0) for s in {**reactants, **products}}
    lost = {s for s, change in net.items() if change < 0}
    won = {s for s, change in net.items() if change > 0}
    return lost <= set(parts[0].names) and won <= set(parts[1].names)


def reacts(species: Any) -> bool:
    """Whether reactions change a species that they name."""
    return not species.getBoundaryCondition() and not species.getConstant()


def _plus(side: dict[str, int], catalysts: Mapping[str, int]) -> dict[str, int]:
    return {s: side.get(s, 0) + catalysts.get(s, 0) for s in {**side, **catalysts}}
