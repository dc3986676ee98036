"""Opening SBML: what is well formed, valid, and of a level that is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from tumble._errors import ModelError
from tumble.formats._source import import_libsbml

_MAX_DEPTH = 180
_MOST_DEPENDENCIES = 20_000
_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
# What the standard forbids and yet means but one thing: a species in a law that is no modifier.
_HARMLESS = {21111}
_CORE = "http://www.sbml.org/sbml/"


@dataclass
class _Scan:
    """What a first look at the XML finds: depth, the root, and packages that must be understood."""

    depth: int = 0
    root: str = ""
    version: tuple[str, str] = ("", "")
    required: list[str] = field(default_factory=list)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ModelError(f"the XML nests more than {_MAX_DEPTH} deep; split formulas up.")
        if self.depth == 1:
            self.root = name
            self.version = (attributes.get("level", "?"), attributes.get("version", "?"))
            for key, value in attributes.items():
                if key.endswith(" required") and value in ("true", "1"):
                    self.required.append(_package(key.rpartition(" ")[0]))

    def end(self, name: str) -> None:
        self.depth -= 1

    def refuse_doctype(self, *details: Any) -> None:
        raise ModelError("the XML has a DOCTYPE, which SBML does not allow; remove it.")


def open_sbml(text: str, name: str) -> tuple[Any, list[str]]:
    """Return libSBML's document of ``text`` and notes about it. Raises one `ModelError`."""
    libsbml = import_libsbml()
    _check_xml(text, name)
    body = _DECLARATION.sub("", text.replace("\0", ""), count=1)
    lines = text.count("\n") - body.count("\n")  # so that libSBML counts as the file does
    document = libsbml.readSBMLFromString(_HEAD + "\n" * lines + body)
    for error in _errors(document):
        raise _refusal(error, name)
    if document.getModel() is None:
        raise ModelError(f"{name} holds no model; expected an element 'model'.")
    return document, _consistency_notes(libsbml, document, name)


_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_READ = {*(("2", str(version)) for version in range(1, 6)), ("3", "1"), ("3", "2")}


def where(element: Any, what: str, name: str | None = None) -> str:
    """Return how errors call an element: its kind, its id, and its line."""
    shown = element.getId() if name is None else name
    line = element.getLine()
    return f"{what} {shown!r}" + (f" (line {line})" if line else "")


def each(elements: Any) -> Iterator[Any]:
    """Yield what a ``ListOf`` holds."""
    for i in range(elements.size()):
        yield elements.get(i)


def _check_xml(text: str, name: str) -> None:
    if not text.strip():
        raise ModelError(f"{name} is empty; expected SBML.")
    scan = _Scan()
    parser = expat.ParserCreate(namespace_separator=" ", encoding="utf-8")
    parser.StartElementHandler = scan.start
    parser.EndElementHandler = scan.end
    parser.StartDoctypeDeclHandler = scan.refuse_doctype
    try:
        parser.Parse(text.encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError as error:
        raise ModelError(
            f"{name} is not well-formed XML: line {error.lineno}: {expat.ErrorString(error.code)}."
        ) from None
    uri, _, root = scan.root.rpartition(" ")
    if root != "sbml" or not uri.startswith(_CORE):
        raise ModelError(f"{name} is XML, but no SBML: its root element is {root!r}.")
    if scan.version not in _READ:
        raise ModelError(
            f"{name} is SBML level {scan.version[0]} version {scan.version[1]}, expected level 2 "
            "version 1 to 5 or level 3 version 1 or 2; convert it, for instance with libSBML's "
            "converters."
        )
    if scan.required:
        raise ModelError(
            f"{name} needs the SBML package '{scan.required[0]}' to be understood, which is not "
            "supported; expected core SBML alone."
        )


def _package(uri: str) -> str:
    match = re.search(r"/([A-Za-z_]+)/version\d+$", uri)
    return match[1] if match else uri


def _errors(document: Any) -> Iterator[Any]:
    for i in range(document.getNumErrors()):
        error = document.getError(i)
        if (error.isError() or error.isFatal()) and error.getErrorId() not in _HARMLESS:
            yield error


def _refusal(error: Any, name: str) -> ModelError:
    message = " ".join(error.getMessage().split())
    return ModelError(
        f"{name} is not valid SBML: line {error.getLine()}: {message} "
        f"(libSBML's error {error.getErrorId()})"
    )


def _consistency_notes(libsbml: Any, document: Any, name: str) -> list[str]:
    for category in (
        libsbml.LIBSBML_CAT_UNITS_CONSISTENCY,
        libsbml.LIBSBML_CAT_MODELING_PRACTICE,
        libsbml.LIBSBML_CAT_SBO_CONSISTENCY,
        libsbml.LIBSBML_CAT_OVERDETERMINED_MODEL,
    ):
        document.setConsistencyChecks(category, False)
    # Looking for circles takes libSBML the cube of the length of a chain; we look for them as well.
    checked = _count_dependencies(document.getModel()) <= _MOST_DEPENDENCIES
    document.setConsistencyChecks(libsbml.LIBSBML_CAT_GENERAL_CONSISTENCY, checked)
    document.checkConsistency()
    for error in _errors(document):
        raise _refusal(error, name)
    notes = [] if checked else ["The rules are too many for libSBML to check their consistency."]
    found = {document.getError(i).getErrorId() for i in range(document.getNumErrors())}
    if found & _HARMLESS:
        notes.append("A law reads species that its reaction does not list as modifiers.")
    return notes


def _count_dependencies(model: Any) -> int:
    """Return how many pairs of an id and what its formula depends on there are, up to the limit."""
    used: dict[str, set[str]] = {}
    for rule in each(model.getListOfRules()):
        used.setdefault(rule.getVariable(), set()).update(_names_in(rule.getMath()))
    for assignment in each(model.getListOfInitialAssignments()):
        used.setdefault(assignment.getSymbol(), set()).update(_names_in(assignment.getMath()))
    for reaction in each(model.getListOfReactions()):
        law = reaction.getKineticLaw()
        used.setdefault(reaction.getId(), set()).update(_names_in(law and law.getMath()))
    total = 0
    for start in used:
        seen = {start}
        waiting = [start]
        while waiting and total <= _MOST_DEPENDENCIES:
            for name in used.get(waiting.pop(), set()) - seen:
                seen.add(name)
                waiting.append(name)
                total += 1
    return total


def _names_in(node: Any) -> set[str]:
    names = set()
    waiting = [] if node is None else [node]
    while waiting:
        top = waiting.pop()
        if top.isName():
            names.add(top.getName())
        waiting += [top.getChild(i) for i in range(top.getNumChildren())]
    return names
