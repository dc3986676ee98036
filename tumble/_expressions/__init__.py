"""Arithmetic expressions of named quantities: parsed with a whitelist, never evaluated as Python.

``parse("beta * 763 / gamma")`` gives an `Expression` that knows its names, can be computed with
NumPy or `jax.numpy`, differentiated, written as text, and walked as a tree of `Number`, `Name` and
`Call`.
"""

from tumble._expressions._expression import Expression
from tumble._expressions._nodes import ARITIES, CONSTANTS, TIME, Call, Name, Node, Number, postorder
from tumble._expressions._parse import Macro, parse

__all__ = [
    "ARITIES",
    "CONSTANTS",
    "TIME",
    "Call",
    "Expression",
    "Macro",
    "Name",
    "Node",
    "Number",
    "parse",
    "postorder",
]
