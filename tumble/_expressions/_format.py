"""Writing an expression as text, in the one way that `parse` reads back as the same tree."""

from __future__ import annotations

from tumble._expressions._nodes import Call, Name, Node, Number

# How strongly a form binds, from ``or`` to atoms, and the symbol of each operator.
_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(9)
_OPERATORS = {
    "or": ("or", _OR),
    "and": ("and", _AND),
    "less": ("<", _COMPARISON),
    "less_equal": ("<=", _COMPARISON),
    "greater": (">", _COMPARISON),
    "greater_equal": (">=", _COMPARISON),
    "equal": ("==", _COMPARISON),
    "not_equal": ("!=", _COMPARISON),
    "add": ("+", _SUM),
    "subtract": ("-", _SUM),
    "multiply": ("*", _PRODUCT),
    "divide": ("/", _PRODUCT),
}
_LARGEST_PLAIN = 1e15


def write(node: Node) -> str:
    """Return the text of a tree, with no more parentheses than needed."""
    return _write(node)[0]


def write_number(value: float) -> str:
    """Return the shortest text that reads back as ``value``, whole numbers without a point."""
    if value == int(value) and abs(value) < _LARGEST_PLAIN:
        return str(int(value))
    return repr(float(value))


def _write(node: Node) -> tuple[str, int]:
    """Return the text and how strongly its outermost form binds."""
    if isinstance(node, Name):
        return node.name, _ATOM
    if isinstance(node, Number):
        return write_number(node.value), _SIGN if node.value < 0 else _ATOM
    if node.function in _OPERATORS:
        return _binary(node)
    if node.function == "power":
        base, exponent = node.arguments
        return f"{_within(base, _ATOM)} ^ {_within(exponent, _SIGN)}", _POWER
    if node.function == "negative":
        return f"-{_within(node.arguments[0], _SIGN)}", _SIGN
    if node.function == "not":
        return f"not {_within(node.arguments[0], _NOT)}", _NOT
    return f"{node.function}({', '.join(write(a) for a in _flat(node))})", _ATOM


def _binary(node: Call) -> tuple[str, int]:
    symbol, strength = _OPERATORS[node.function]
    left, right = node.arguments
    # a - b - c is (a - b) - c, but a < b < c would be read as a chain.
    on_left = _within(left, strength + (strength == _COMPARISON))
    return f"{on_left} {symbol} {_within(right, strength + 1)}", strength


def _within(node: Node, least: int) -> str:
    text, strength = _write(node)
    return text if strength >= least else f"({text})"


def _flat(node: Call) -> tuple[Node, ...]:
    """Return the arguments, those of a min of a min as one row."""
    first = node.arguments[0]
    if node.function not in ("min", "max") or not isinstance(first, Call):
        return node.arguments
    return (*_flat(first), node.arguments[1]) if first.function == node.function else node.arguments
