"""Computing what is constant in an expression."""

from __future__ import annotations

import numpy as np

from tumble._expressions._evaluate import evaluate
from tumble._expressions._nodes import Call, Node, Number, postorder


def fold(node: Node) -> Node:
    """Return the tree with numbers in place of what depends on nothing; choices are made.

    What has no finite value stays as it is.
    """
    stack: list[Node] = []
    for part in postorder(node):
        if not isinstance(part, Call):
            stack.append(part)
            continue
        count = len(part.arguments)
        stack[-count:] = [_folded(part.function, tuple(stack[-count:]))]
    return stack[0]


def _folded(function: str, arguments: tuple[Node, ...]) -> Node:
    first = arguments[0]
    if function == "where" and isinstance(first, Number):
        return arguments[1] if first.value != 0 else arguments[2]
    call = Call(function, arguments)
    if not all(isinstance(argument, Number) for argument in arguments):
        return call
    with np.errstate(all="ignore"):
        value = float(evaluate(call, {}, np))
    return Number(value) if np.isfinite(value) else call
