"""Expressions to MathML.

Numbers are written with all their digits, which is why this is not left to libSBML: it writes 15.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from tumble._errors import ModelError
from tumble._expressions import TIME, Call, Expression, Name, Node, Number
from tumble.formats._mathml_read import is_truth

MATHML = "http://www.w3.org/1998/Math/MathML"
_TIME_URL = "http://www.sbml.org/sbml/symbols/time"
_NUMBERS = {
    "add": "plus",
    "subtract": "minus",
    "multiply": "times",
    "divide": "divide",
    "power": "power",
    "negative": "minus",
    "log": "ln",
    "ceil": "ceiling",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
}
_NUMBERS |= {
    name: name
    for name in (
        *("exp", "abs", "floor", "factorial", "min", "max"),
        *("sin", "cos", "tan", "sinh", "cosh", "tanh"),
    )
}
_TRUTHS = {
    "less": "lt",
    "less_equal": "leq",
    "greater": "gt",
    "greater_equal": "geq",
    "equal": "eq",
    "not_equal": "neq",
    "and": "and",
    "or": "or",
    "not": "not",
}
_CHAINS = ("add", "multiply", "min", "max", "and", "or")
_LOGICAL = ("and", "or", "not")
_ZERO, _ONE = Number(0.0), Number(1.0)


@dataclass(frozen=True)
class MathWriter:
    """Turns expressions into elements ``math``. Truth is no number in MathML: one makes the other.

    Arguments: ``declared``, names that are not the constants ``pi`` and ``e``.
    """

    declared: Collection[str]

    def number(self, expression: Expression) -> Element:
        """Return the element of an expression. Raises `ModelError` for what MathML lacks."""
        return _apply("math", [self._number(expression.tree)], xmlns=MATHML)

    def truth(self, expression: Expression) -> Element:
        """Return the element of a condition."""
        return _apply("math", [self._truth(expression.tree)], xmlns=MATHML)

    def _number(self, node: Node) -> Element:
        if isinstance(node, Number):
            return _constant(node.value)
        if isinstance(node, Name):
            return self._name(node.name)
        if is_truth(node):
            return self._pieces([(_ONE, node)], _ZERO)
        first = node.arguments[0]
        if node.function == "where":
            condition, value, otherwise = node.arguments
            return self._pieces([(value, condition)], otherwise)
        if node.function == "sign":
            up, down = Call("greater", (first, _ZERO)), Call("less", (first, _ZERO))
            return self._pieces([(_ONE, up), (Number(-1.0), down)], _ZERO)
        if node.function in ("log10", "log2"):
            base = _apply("logbase", [_constant(float(node.function[3:]))])
            return _apply("apply", [Element("log"), base, self._number(first)])
        if node.function == "sqrt":
            return _apply("apply", [Element("root"), self._number(first)])
        if node.function not in _NUMBERS:
            raise ModelError(
                f"'{Expression(node)}' has no counterpart in SBML; write the law without "
                f"{node.function!r}."
            )
        parts = [self._number(part) for part in _chain(node)]
        return _apply("apply", [Element(_NUMBERS[node.function]), *parts])

    def _truth(self, node: Node) -> Element:
        if isinstance(node, Number):
            return Element("true" if node.value else "false")
        if not is_truth(node):
            parts = [self._number(node), _constant(0.0)]
            return _apply("apply", [Element("neq"), *parts])
        assert isinstance(node, Call)
        write = self._truth if node.function in _LOGICAL else self._number
        return _apply("apply", [Element(_TRUTHS[node.function]), *map(write, _chain(node))])

    def _pieces(self, pieces: Sequence[tuple[Node, Node]], otherwise: Node) -> Element:
        parts = [_apply("piece", [self._number(v), self._truth(c)]) for v, c in pieces]
        return _apply("piecewise", [*parts, _apply("otherwise", [self._number(otherwise)])])

    def _name(self, name: str) -> Element:
        if name == TIME:
            return _leaf("csymbol", name, encoding="text", definitionURL=_TIME_URL)
        if name in ("pi", "e") and name not in self.declared:
            return Element("pi" if name == "pi" else "exponentiale")
        return _leaf("ci", name)


def _apply(tag: str, children: Sequence[Element], **attributes: str) -> Element:
    element = Element(tag, attributes)
    element.extend(children)
    return element


def _leaf(tag: str, text: str, **attributes: str) -> Element:
    element = Element(tag, attributes)
    element.text = text
    return element


def _constant(value: float) -> Element:
    text = repr(float(value))
    if value == int(value) and abs(value) < 2**31:
        return _leaf("cn", str(int(value)), type="integer")
    if "e" not in text:
        return _leaf("cn", text)
    mantissa, _, exponent = text.partition("e")
    element = _leaf("cn", mantissa, type="e-notation")
    SubElement(element, "sep").tail = str(int(exponent))
    return element


def _chain(node: Call) -> list[Node]:
    """Return the arguments, those of a sum of a sum as one row."""
    parts = list(node.arguments)
    while node.function in _CHAINS:
        first = parts[0]
        if not isinstance(first, Call) or first.function != node.function:
            break
        parts[:1] = first.arguments
    return parts
