"""Arrays without an owner, for kernels made of many small functions.

Numba counts references: each array that enters a function costs two atomic instructions, which in
small functions take most of the time. An array that owns nothing is not counted. Whoever borrows an
array has to see to it that it lives on: kernels do so for what Python passes to them.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic


def _borrowed(context: Any, array: Any) -> Any:
    """Return the same array, not counted."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = target.make_array(array)(target, builder, arguments[0])
        view.meminfo = target.get_constant_null(types.MemInfoPointer(types.voidptr))
        view.parent = target.get_constant_null(types.pyobject)
        return view._getvalue()

    return array(array), generate


borrowed: Any = intrinsic(_borrowed)
