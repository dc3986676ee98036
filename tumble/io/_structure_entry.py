"""The section ``structure`` of a run file: which reactions to choose among."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tumble._errors import TumbleError
from tumble._parameters import Parameter
from tumble.io._run_section import Section, shorten
from tumble.io._yaml import RunFileError

if TYPE_CHECKING:
    from tumble.structure import NetworkPrior, ReactionLibrary, WindowSearch

_LIBRARY_KEYS = ("order", "conserve", "forbid", "require", "reversible")
_KEYS = ("species", *_LIBRARY_KEYS, "largest", "spread", "window", "most", "next", "refine")
_ANY_RATE = 1e12


@dataclass(frozen=True)
class StructureEntry:
    """The section ``structure``: the candidates (None for those of the model) and how to choose.

    ``prior`` and ``search``, None for the defaults; ``next``, whether to say what to measure next;
    ``refine``, whether to fit and test the network on the simulator.
    """

    library: ReactionLibrary | None = None
    prior: NetworkPrior | None = None
    search: WindowSearch | None = None
    next: bool = True
    refine: bool = False

    def candidates(self, model: Any) -> ReactionLibrary:
        """Return the candidates, given the model of the run file."""
        from tumble.structure import ReactionLibrary

        if self.library is not None:
            return self.library
        return ReactionLibrary(model.reactions, model.species)


def read_structure(top: Section) -> StructureEntry | None:
    """Return the section, None where there is none. Raises `RunFileError`."""
    if not top.has("structure"):
        return None
    from tumble.structure import NetworkPrior, WindowSearch

    entry = Section.read(top.raw("structure"), "structure", _KEYS)
    prior = {
        "largest": entry.whole("largest", None, at_least=1),
        "spread": entry.number("spread", None),
    }
    search = {
        "window": entry.number("window", None),
        "most": entry.whole("most", None, at_least=1),
    }
    try:
        return StructureEntry(
            _library(entry, top),
            NetworkPrior(**{k: v for k, v in prior.items() if v is not None}),
            WindowSearch(**{k: v for k, v in search.items() if v is not None}),
            entry.flag("next", True) if entry.has("next") else True,
            entry.flag("refine", False) if entry.has("refine") else False,
        )
    except RunFileError:
        raise
    except TumbleError as error:
        raise RunFileError(f"`structure`: {error}") from None


def any_rates(library: ReactionLibrary) -> dict[str, Parameter]:
    """Return an unknown for the constant of each candidate; no bound of it matters."""
    return library.parameters(1 / _ANY_RATE, _ANY_RATE)


def _library(entry: Section, top: Section) -> ReactionLibrary | None:
    from tumble.structure import mass_action

    if not entry.has("species"):
        for key in _LIBRARY_KEYS:
            if entry.has(key):
                raise RunFileError(
                    f"`structure.{key}` goes with `structure.species`, of which all reactions are "
                    "candidates; those of `model` are taken as they are."
                )
        return None
    if top.has("model"):
        raise RunFileError(
            "the run file has `model` and `structure.species`, which both name candidates; give "
            "one of them."
        )
    options: dict[str, Any] = {
        key: _texts(entry, key) for key in ("conserve", "forbid", "require") if entry.has(key)
    }
    if entry.has("reversible"):
        options["reversible"] = entry.flag("reversible", False)
    order = entry.whole("order", 2, at_least=1)
    return mass_action(_texts(entry, "species"), order, **options)


def _texts(entry: Section, key: str) -> list[str]:
    given = entry.raw(key)
    given = [given] if isinstance(given, str) else given
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise RunFileError(f"`{entry.path(key)}` is {shorten(given)}, expected a list of texts.")
    return list(given)
