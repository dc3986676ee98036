"""MathML, as libSBML reads it, to expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

from tumble._errors import ModelError
from tumble._expressions import CONSTANTS, TIME, Call, Expression, Name, Node, Number

_MAX_DEPTH = 150
_LONGEST_CHAIN = 40
_LARGEST = 1e300
_ZERO, _ONE, _TWO = Number(0.0), Number(1.0), Number(2.0)
_ROWS = ("plus", "times", "and", "or", "max", "min")
_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
_TRUTHS = {*_COMPARISONS, "and", "or", "not"}


@dataclass(frozen=True)
class FunctionDefinition:
    """A function of the model: the names of its ``arguments``, and the ``body`` in MathML."""

    arguments: tuple[str, ...]
    body: Any


@dataclass(frozen=True)
class MathReader:
    """Turns MathML into expressions; functions of the model are written out where they are used.

    Arguments: ``functions``, by id; ``names``, id → name where they differ; ``declared``, the names
    that are not the constants ``pi`` and ``e``.
    """

    functions: Mapping[str, FunctionDefinition] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    declared: frozenset[str] = frozenset()
    _bodies: dict[str, Expression] = field(default_factory=dict)

    def read(self, node: Any, where: str, local: Mapping[str, str] | None = None) -> Expression:
        """Return the expression of an ``ASTNode``.

        ``where`` names its owner in errors; ``local`` are ids that have another name here.
        Raises `ModelError` for what has no counterpart.
        """
        names = {**self.names, **(local or {})}
        return Expression(_Walk(self, names, where, ()).read(node, _MAX_DEPTH))

    def body(self, function: str, where: str, above: tuple[str, ...]) -> Expression:
        """Return the body of a function, in which those it calls are written out."""
        if function in above:
            raise ModelError(f"{where} calls the function {function!r}, which calls itself.")
        if function not in self._bodies:
            definition = self.functions[function]
            walk = _Walk(self, self.names, f"function {function!r}", (*above, function))
            self._bodies[function] = Expression(walk.read(definition.body, _MAX_DEPTH))
        return self._bodies[function]


@dataclass(frozen=True)
class _Walk:
    """One way through a tree of MathML, within a depth that is left to go."""

    reader: MathReader
    names: Mapping[str, str]
    where: str
    above: tuple[str, ...]

    def read(self, node: Any, depth: int) -> Node:
        if depth <= 0:
            raise ModelError(f"{self.where} nests more than {_MAX_DEPTH} deep; split it up.")
        kind = _kinds().get(node.getType())
        if kind == "name":
            return Name(self.names.get(node.getName(), node.getName()))
        if kind == "call":
            return self._call(node, depth)
        if kind == "number":
            return self._number(node.getValue())
        if kind == "time":
            return Name(TIME)
        if kind in ("pi", "e"):
            return Number(CONSTANTS[kind]) if kind in self.reader.declared else Name(kind)
        if kind in ("true", "false"):
            return _ONE if kind == "true" else _ZERO
        if kind in ("delay", "rateOf"):
            raise ModelError(
                f"{self.where} uses the csymbol '{kind}', which is not supported; write the model "
                "without it."
            )
        if kind is None or kind not in _BUILDERS:
            name = node.getName() or "an element"
            raise ModelError(f"{self.where} holds MathML {name!r}, which is not supported.")
        build, least, most = _BUILDERS[kind]
        children = _children(node, kind)
        count = len(children)
        if not least <= count <= most:
            expected = str(least) if least == most else f"{least} or more"
            raise ModelError(
                f"{self.where}: MathML '{kind}' has {count} argument(s), expected {expected}."
            )
        if kind == "piecewise" and count % 2 == 0:
            raise ModelError(
                f"{self.where} has a piecewise without 'otherwise', which has no value where no "
                "condition holds; add one."
            )
        return build([self.read(child, depth - 1) for child in children])

    def _number(self, value: float) -> Node:
        if not abs(value) <= _LARGEST:
            raise ModelError(
                f"{self.where} holds the number {value}, expected a finite one up to 1e300."
            )
        return Number(float(value))

    def _call(self, node: Any, depth: int) -> Node:
        name = node.getName()
        if name not in self.reader.functions:
            raise ModelError(f"{self.where} calls {name!r}, which the model does not define.")
        arguments = self.reader.functions[name].arguments
        count = node.getNumChildren()
        if count != len(arguments):
            raise ModelError(
                f"{self.where} calls {name!r} with {count} argument(s), expected {len(arguments)}."
            )
        body = self.reader.body(name, self.where, self.above)
        given = [Expression(self.read(node.getChild(i), depth - 1)) for i in range(count)]
        return body.substitute(dict(zip(arguments, given, strict=True))).tree


def _children(node: Any, kind: str) -> list[Any]:
    """Return the arguments; libSBML reads ``a + b + c`` as ``(a + b) + c``, here it is one row."""
    children: list[Any] = []  # from the last to the first
    while True:
        count = node.getNumChildren()
        children += [node.getChild(i) for i in range(count - 1, -1, -1)]
        first = children[-1] if children else None
        if first is None or kind not in _ROWS or count < 2 or first.getType() != node.getType():
            return children[::-1]
        node = children.pop()


# -- builders: arguments to a tree ----------------------------------------------------------------


def _chained(function: str, empty: float) -> Callable[[Sequence[Node]], Node]:
    def build(parts: Sequence[Node]) -> Node:
        if not parts:
            return Number(empty)
        if len(parts) > _LONGEST_CHAIN:  # as a balanced tree, which does not nest deep
            half = len(parts) // 2
            return Call(function, (build(parts[:half]), build(parts[half:])))
        value = parts[0]
        for part in parts[1:]:
            value = Call(function, (value, part))
        return value

    return build


def _compared(function: str) -> Callable[[Sequence[Node]], Node]:
    def build(parts: Sequence[Node]) -> Node:
        links = [Call(function, (a, b)) for a, b in pairwise(parts)]
        return _chained("and", 1.0)(links)

    return build


def _plain(function: str) -> Callable[[Sequence[Node]], Node]:
    return lambda parts: Call(function, tuple(parts))


def _of(formula: Callable[[Node], Node]) -> Callable[[Sequence[Node]], Node]:
    return lambda parts: formula(parts[0])


def _minus(parts: Sequence[Node]) -> Node:
    if len(parts) == 2:
        return Call("subtract", tuple(parts))
    first = parts[0]
    return Number(-first.value) if isinstance(first, Number) else Call("negative", (first,))


def _root(parts: Sequence[Node]) -> Node:
    if len(parts) == 1 or parts[0] == _TWO:
        return Call("sqrt", (parts[-1],))
    return Call("power", (parts[1], Call("divide", (_ONE, parts[0]))))


def _log(parts: Sequence[Node]) -> Node:
    if len(parts) == 1 or parts[0] == Number(10.0):
        return Call("log10", (parts[-1],))
    if parts[0] == _TWO:
        return Call("log2", (parts[1],))
    return Call("divide", (Call("log", (parts[1],)), Call("log", (parts[0],))))


def _piecewise(parts: Sequence[Node]) -> Node:
    value = parts[-1]
    for i in range(len(parts) - 3, -1, -2):
        if (parts[i], value) == (_ONE, _ZERO) and is_truth(parts[i + 1]):
            value = parts[i + 1]
        else:
            value = Call("where", (parts[i + 1], parts[i], value))
    return value


def _xor(parts: Sequence[Node]) -> Node:
    value: Node = _ZERO
    for part in parts:
        truth = part if is_truth(part) else Call("not_equal", (part, _ZERO))
        value = truth if value == _ZERO else Call("not_equal", (value, truth))
    return value


def _implies(parts: Sequence[Node]) -> Node:
    return Call("or", (Call("not", (parts[0],)), parts[1]))


def _quotient(parts: Sequence[Node]) -> Node:
    ratio = Call("divide", tuple(parts))
    return Call("multiply", (Call("sign", (ratio,)), Call("floor", (Call("abs", (ratio,)),))))


def _remainder(parts: Sequence[Node]) -> Node:
    return Call("subtract", (parts[0], Call("multiply", (parts[1], _quotient(parts)))))


def _inverse(x: Node) -> Node:
    return Call("divide", (_ONE, x))


def _square(x: Node, sign: str) -> Node:
    return Call(sign, (Call("power", (x, _TWO)), _ONE))


def _arsinh(x: Node) -> Node:
    return Call("log", (Call("add", (x, Call("sqrt", (_square(x, "add"),)))),))


def _arcosh(x: Node) -> Node:
    return Call("log", (Call("add", (x, Call("sqrt", (_square(x, "subtract"),)))),))


def _artanh(x: Node) -> Node:
    ratio = Call("divide", (Call("add", (_ONE, x)), Call("subtract", (_ONE, x))))
    return Call("divide", (Call("log", (ratio,)), _TWO))


def _function(name: str) -> Callable[[Node], Node]:
    return lambda x: Call(name, (x,))


_ANY = 10**9
_Builder = tuple[Callable[[Sequence[Node]], Node], int, int]
# Operators by the name of their element, with the least and the largest number of arguments.
_BUILDERS: dict[str, _Builder] = {
    "plus": (_chained("add", 0.0), 0, _ANY),
    "times": (_chained("multiply", 1.0), 0, _ANY),
    "minus": (_minus, 1, 2),
    "divide": (_plain("divide"), 2, 2),
    "power": (_plain("power"), 2, 2),
    "root": (_root, 1, 2),
    "log": (_log, 1, 2),
    "ln": (_plain("log"), 1, 1),
    "piecewise": (_piecewise, 1, _ANY),
    "and": (_chained("and", 1.0), 0, _ANY),
    "or": (_chained("or", 0.0), 0, _ANY),
    "xor": (_xor, 0, _ANY),
    "not": (_plain("not"), 1, 1),
    "implies": (_implies, 2, 2),
    "max": (_chained("max", 0.0), 1, _ANY),
    "min": (_chained("min", 0.0), 1, _ANY),
    "quotient": (_quotient, 2, 2),
    "rem": (_remainder, 2, 2),
    "ceiling": (_plain("ceil"), 1, 1),
    "lt": (_compared("less"), 2, _ANY),
    "leq": (_compared("less_equal"), 2, _ANY),
    "gt": (_compared("greater"), 2, _ANY),
    "geq": (_compared("greater_equal"), 2, _ANY),
    "eq": (_compared("equal"), 2, _ANY),
    "neq": (_plain("not_equal"), 2, 2),
    "arcsinh": (_of(_arsinh), 1, 1),
    "arccosh": (_of(_arcosh), 1, 1),
    "arctanh": (_of(_artanh), 1, 1),
    "arccsch": (_of(lambda x: _arsinh(_inverse(x))), 1, 1),
    "arcsech": (_of(lambda x: _arcosh(_inverse(x))), 1, 1),
    "arccoth": (_of(lambda x: _artanh(_inverse(x))), 1, 1),
}
_BUILDERS |= {
    name: (_plain(name), 1, 1)
    for name in ("exp", "abs", "floor", "sin", "cos", "tan", "sinh", "cosh", "tanh", "factorial")
}
_BUILDERS |= {
    f"arc{name}": (_plain(f"a{name}"), 1, 1)
    for name in ("sin", "cos", "tan")
}  # fmt: skip
_BUILDERS |= {
    name: (_of(lambda x, f=f: _inverse(_function(f)(x))), 1, 1)  # type: ignore[misc]
    for name, f in {"csc": "sin", "sec": "cos", "cot": "tan",
                    "csch": "sinh", "sech": "cosh", "coth": "tanh"}.items()
}  # fmt: skip
_BUILDERS |= {
    f"arc{name}": (_of(lambda x, f=f: _function(f)(_inverse(x))), 1, 1)  # type: ignore[misc]
    for name, f in {"csc": "asin", "sec": "acos", "cot": "atan"}.items()
}


def is_truth(node: Node) -> bool:
    """Whether a tree can only be 1 or 0."""
    return isinstance(node, Call) and node.function in _TRUTHS


@cache
def _kinds() -> dict[int, str]:
    """What each type of libSBML's nodes is: a name, a number, or an operator's element."""
    import libsbml

    plain = {
        "name": ["AST_NAME"],
        "call": ["AST_FUNCTION"],
        "number": ["AST_INTEGER", "AST_REAL", "AST_REAL_E", "AST_RATIONAL", "AST_NAME_AVOGADRO"],
        "time": ["AST_NAME_TIME"],
        "pi": ["AST_CONSTANT_PI"],
        "e": ["AST_CONSTANT_E"],
        "true": ["AST_CONSTANT_TRUE"],
        "false": ["AST_CONSTANT_FALSE"],
        "delay": ["AST_FUNCTION_DELAY"],
        "rateOf": ["AST_FUNCTION_RATE_OF"],
        "plus": ["AST_PLUS"],
        "minus": ["AST_MINUS"],
        "times": ["AST_TIMES"],
        "divide": ["AST_DIVIDE"],
        "power": ["AST_POWER", "AST_FUNCTION_POWER"],
        "piecewise": ["AST_FUNCTION_PIECEWISE"],
    }
    kinds = {getattr(libsbml, t): kind for kind, types in plain.items() for t in types}
    for kind in _BUILDERS:
        for prefix in ("AST_FUNCTION_", "AST_LOGICAL_", "AST_RELATIONAL_"):
            found = getattr(libsbml, prefix + kind.upper(), None)
            if found is not None:
                kinds[found] = kind
    return kinds
