"""Arithmetic expressions of named quantities: parsed with a whitelist, never evaluated as Python.

``parse("beta * 763 / gamma")`` gives an `Expression` that knows its names and can be computed with
NumPy or `jax.numpy`, on numbers or arrays.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._errors import ModelError, did_you_mean

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS = {
    "exp": ("exp", 1),
    "log": ("log", 1),
    "sqrt": ("sqrt", 1),
    "abs": ("abs", 1),
    "tanh": ("tanh", 1),
    "sin": ("sin", 1),
    "cos": ("cos", 1),
    "min": ("minimum", 2),
    "max": ("maximum", 2),
}
_MAX_LENGTH = 10_000
_MAX_DEPTH = 200
# A rate may be called lambda, which Python reserves: another name stands in for it while parsing.
_RESERVED = re.compile(r"\b(lambda)\b(?!\s*(\w+\s*)?:)")
_STAND_IN = "_reserved_"


@dataclass(frozen=True)
class Expression:
    """A parsed expression.

    Arguments: ``text``, as written; ``names``, what it refers to, in order of appearance.
    """

    text: str
    names: tuple[str, ...]
    _tree: ast.expr

    def __call__(self, values: Mapping[str, Any], xp: Any = np) -> Any:
        """Return the value with the names bound to ``values``, computed by the namespace ``xp``."""
        with np.errstate(all="ignore"):  # 1/0 is inf, as in the arrays of either namespace
            return _compute(self._tree, values, xp)

    @property
    def is_name(self) -> bool:
        """Whether the expression is a single name."""
        return isinstance(self._tree, ast.Name)


def parse(text: str) -> Expression:
    """Return the `Expression` of ``text``.

    Allowed are numbers, names, ``+ - * / ** ^``, parentheses and the functions exp, log, sqrt, abs,
    tanh, sin, cos, min(a, b), max(a, b). Raises `ModelError` for anything else.
    """
    if len(text) > _MAX_LENGTH:
        raise ModelError(f"expression of {len(text)} characters; at most {_MAX_LENGTH} are read.")
    source = _RESERVED.sub(rf"{_STAND_IN}\1", text.strip().replace("^", "**"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parser, about what is refused below
            tree = ast.parse(source, mode="eval").body
        names: dict[str, None] = {}
        _check(tree, names, text, _MAX_DEPTH)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"expression {text!r} cannot be read; expected arithmetic such as 'beta * S / N'."
        ) from None
    return Expression(text.strip(), tuple(names), tree)


def _check(node: ast.expr, names: dict[str, None], text: str, depth: int) -> None:
    if depth == 0:
        raise ModelError(f"an expression nests more than {_MAX_DEPTH} deep; split it up.")
    if isinstance(node, ast.Name):
        node.id = node.id.removeprefix(_STAND_IN)
        names[node.id] = None
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        if not abs(node.value) < 1e300:  # type: ignore[arg-type]
            raise ModelError(f"expression {text[:40]!r} holds a number beyond 1e300.")
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        _check(node.left, names, text, depth - 1)
        _check(node.right, names, text, depth - 1)
    elif isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        _check(node.operand, names, text, depth - 1)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        _check_call(node, text)
        for argument in node.args:
            _check(argument, names, text, depth - 1)
    else:
        raise ModelError(
            f"expression {text!r} uses {ast.unparse(node)!r}; only numbers, names, + - * / ** and "
            f"{', '.join(_FUNCTIONS)} are allowed."
        )


def _check_call(node: ast.Call, text: str) -> None:
    assert isinstance(node.func, ast.Name)
    name = node.func.id
    if name not in _FUNCTIONS:
        raise ModelError(
            f"expression {text!r} calls {name!r}, but the known functions are "
            f"{', '.join(_FUNCTIONS)}.{did_you_mean(name, _FUNCTIONS)}"
        )
    expected = _FUNCTIONS[name][1]
    if len(node.args) != expected:
        raise ModelError(
            f"expression {text!r}: {name} takes {expected} argument(s), got {len(node.args)}."
        )


def _compute(node: ast.expr, values: Mapping[str, Any], xp: Any) -> Any:
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.Constant):
        return np.float64(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.BinOp):
        left, right = _compute(node.left, values, xp), _compute(node.right, values, xp)
        return _BINARY[type(node.op)](left, right)
    if isinstance(node, ast.UnaryOp):
        return _UNARY[type(node.op)](_compute(node.operand, values, xp))
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    function = getattr(xp, _FUNCTIONS[node.func.id][0])
    return function(*(_compute(argument, values, xp) for argument in node.args))
