"""Numbers that know their derivatives: forward-mode differentiation of ordinary NumPy code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tumble._errors import DerivativeError
from tumble._partials import OF_FLAGS, ON_VALUES, PARTIALS

_LOST = (
    "a number that depends on a parameter was used where its derivative would be lost: by {what}. "
    "Compute probabilities and rates with + - * / ** and NumPy functions such as np.exp (not "
    "math.exp), put arrays of them together with np.stack, and let outputs depend on parameters "
    "only through the draws: a factor such as `scale * count` belongs in an Observable."
)


class Dual:
    """An array ``value`` [...] with its derivatives ``slope`` [..., Q]. Final.

    Arithmetic, comparisons and the usual NumPy functions work as on arrays. Comparisons, and so
    branches, see the value alone; but ``~ & | ^`` and `numpy.where` of outcomes that are True or
    False keep their derivatives, as polynomials in them. What would lose the derivative (``float``,
    ``math.exp``, writing into an array) raises `DerivativeError`.
    """

    __slots__ = ("slope", "value")

    def __init__(self, value: Any, slope: Any) -> None:
        self.value = value
        self.slope = slope

    # -- arithmetic --------------------------------------------------

    def __add__(self, other: Any) -> Dual:
        if _is_flag(self) and _is_flag(other) and self.ndim + np.ndim(other):
            return np.add(self, other)
        if isinstance(other, Dual):
            return _of(self.value + other.value, self.slope, other.slope)
        if _is_plain(other):
            return _of(self.value + other, self.slope)
        return NotImplemented

    __radd__ = __add__

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.slope)

    def __pos__(self) -> Dual:
        return self

    def __sub__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            return _of(self.value - other.value, self.slope, -other.slope)
        if _is_plain(other):
            return _of(self.value - other, self.slope)
        return NotImplemented

    def __rsub__(self, other: Any) -> Dual:
        return _of(other - self.value, -self.slope) if _is_plain(other) else NotImplemented

    def __mul__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            return _of(
                self.value * other.value,
                _scaled(self.slope, other.value),
                _scaled(other.slope, self.value),
            )
        if _is_plain(other):
            return _of(self.value * other, _scaled(self.slope, other))
        return NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            return _apply(np.true_divide, self, other)
        if _is_plain(other):
            return _of(self.value / other, _scaled(self.slope, 1 / np.asarray(other)))
        return NotImplemented

    def __rtruediv__(self, other: Any) -> Dual:
        return _apply(np.true_divide, other, self) if _is_plain(other) else NotImplemented

    def __pow__(self, other: Any) -> Dual:
        return _apply(np.power, self, other)

    def __rpow__(self, other: Any) -> Dual:
        return _apply(np.power, other, self)

    def __abs__(self) -> Dual:
        return _apply(np.absolute, self)

    def __invert__(self) -> Dual:
        return np.invert(self)  # type: ignore[return-value]

    def __and__(self, other: Any) -> Any:
        return np.bitwise_and(self, other)

    def __or__(self, other: Any) -> Any:
        return np.bitwise_or(self, other)

    def __xor__(self, other: Any) -> Any:
        return np.bitwise_xor(self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    # -- comparisons see the value -----------------------------------

    def __lt__(self, other: Any) -> Any:
        return self.value < _value(other)

    def __le__(self, other: Any) -> Any:
        return self.value <= _value(other)

    def __gt__(self, other: Any) -> Any:
        return self.value > _value(other)

    def __ge__(self, other: Any) -> Any:
        return self.value >= _value(other)

    def __eq__(self, other: object) -> Any:
        return self.value == _value(other)

    def __ne__(self, other: object) -> Any:
        return self.value != _value(other)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self.value)

    # -- as an array -------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return np.shape(self.value)

    @property
    def ndim(self) -> int:
        """Number of dimensions of the value."""
        return np.ndim(self.value)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.size(self.value))

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, index: Any) -> Dual:
        array = np.asarray(self.value)
        key = index if isinstance(index, tuple) else (index,)
        if any(part is Ellipsis for part in key):
            key = (*key, slice(None))
        return Dual(array[index], self.slope[key])

    def __iter__(self) -> Iterator[Dual]:
        return (self[i] for i in range(len(self)))

    def reshape(self, *shape: Any) -> Dual:
        """Return the same numbers in another shape."""
        value = np.reshape(self.value, shape[0] if len(shape) == 1 else shape)
        return Dual(value, self.slope.reshape(*value.shape, self.slope.shape[-1]))

    def sum(self, axis: Any = None, keepdims: bool = False) -> Dual:
        """See `numpy.sum`."""
        value = np.asarray(self.value)
        axes = _axes(axis, value.ndim)
        return Dual(
            value.sum(axis=axes, keepdims=keepdims), self.slope.sum(axis=axes, keepdims=keepdims)
        )

    def mean(self, axis: Any = None, keepdims: bool = False) -> Dual:
        """See `numpy.mean`."""
        total = self.sum(axis, keepdims)
        return total / (self.size / max(np.size(total.value), 1))

    def any(self, axis: Any = None) -> Any:
        """See `numpy.any`; like a comparison, it sees the value alone."""
        return np.any(self.value, axis=axis)

    def all(self, axis: Any = None) -> Any:
        """See `numpy.all`; like a comparison, it sees the value alone."""
        return np.all(self.value, axis=axis)

    def astype(self, dtype: Any) -> Dual:
        """Return the same numbers as numbers of another type."""
        return Dual(np.asarray(self.value).astype(dtype), self.slope)

    def copy(self) -> Dual:
        """Return the same numbers."""
        return Dual(np.copy(self.value), self.slope)

    def cumsum(self, axis: int | None = None) -> Dual:
        """See `numpy.cumsum`."""
        flat = self.reshape(-1) if axis is None else self
        place = _axes(0 if axis is None else axis, flat.ndim)[0]
        return Dual(np.cumsum(flat.value, axis=place), np.cumsum(flat.slope, axis=place))

    # -- NumPy functions ---------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if "out" in options:
            what = "writing it into an array (x = x + y, unlike x += y, makes a new one)"
            raise DerivativeError(_LOST.format(what=what))
        of_flags = all(_is_flag(x) for x in inputs)
        ufunc = OF_FLAGS.get(ufunc, ufunc) if of_flags else ufunc
        if ufunc in ON_VALUES and method == "__call__" and not options:
            return ufunc(*(_value(x) for x in inputs))
        known = ufunc in PARTIALS and (of_flags or ufunc not in OF_FLAGS.values())
        if method != "__call__" or options or not known:
            name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
            raise DerivativeError(
                _LOST.format(what=f"np.{name}, whose derivative is not known here")
            )
        return _apply(ufunc, *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function not in _FUNCTIONS:
            name = f"np.{function.__name__}, whose derivative is not known here"
            raise DerivativeError(_LOST.format(what=name))
        return _FUNCTIONS[function](*args, **kwargs)

    # -- what would lose the derivative --------------------------------

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise DerivativeError(_LOST.format(what="making a plain array of it"))

    def __float__(self) -> float:
        raise DerivativeError(_LOST.format(what="making a plain number of it"))

    __int__ = __index__ = __round__ = __floor__ = __ceil__ = __float__

    def __setitem__(self, index: Any, value: Any) -> None:
        raise DerivativeError(_LOST.format(what="writing into it"))

    def __repr__(self) -> str:
        return f"Dual({self.value!r}, slope={self.slope!r})"


def split_dual(x: Any) -> tuple[Any, Any]:
    """Return the value of ``x``, and its slope or None.

    A list becomes an array, its entries along the last dimension; one of plain numbers stays.
    """
    if isinstance(x, Dual):
        return x.value, x.slope
    if not isinstance(x, (list, tuple)):
        return x, None
    values = [_value(part) for part in x]
    if any(np.ndim(value) for value in values):
        return split_dual(stack(x, axis=-1))
    duals = [part for part in x if isinstance(part, Dual)]
    if not duals:
        return x, None
    none = np.zeros_like(duals[0].slope)
    return values, np.array([part.slope if isinstance(part, Dual) else none for part in x])


def stack(parts: Sequence[Any], axis: int = 0) -> Any:
    """See `numpy.stack`; unlike it, it broadcasts the parts."""
    shape = np.broadcast_shapes(*(np.shape(_value(part)) for part in parts))
    return _joined(np.stack, [_broadcast(part, shape) for part in parts], axis, len(shape) + 1)


def as_dual(x: Any) -> Any:
    """Return numbers in nested lists as an array, with derivatives if any of them has some."""
    if isinstance(x, Dual):
        return Dual(np.asarray(x.value, float), x.slope)
    if isinstance(x, (list, tuple)):
        parts = [as_dual(part) for part in x]
        if any(isinstance(part, Dual) for part in parts):
            return _strict_stack(parts)
    return np.asarray(x, dtype=float)


# -- private ---------------------------------------------------------------------------------------


def _is_plain(x: Any) -> bool:
    return isinstance(x, (int, float, np.ndarray, np.generic))


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Dual) else x


def _is_flag(x: Any) -> bool:
    value = _value(x)
    return isinstance(value, bool) or (hasattr(value, "dtype") and value.dtype.kind == "b")


def _scaled(slope: Any, by: Any) -> Any:
    """Return slope [..., Q] times numbers [...], 0 where the slope is 0."""
    return slope * (by if np.ndim(by) == 0 else np.asarray(by)[..., None])


def _of(value: Any, *slopes: Any) -> Dual:
    """Return a Dual with the sum of the slopes, in the shape of the value."""
    total = slopes[0] if len(slopes) == 1 else slopes[0] + slopes[1]
    shape = np.shape(value)
    if total.shape[:-1] != shape:
        total = np.broadcast_to(total, (*shape, total.shape[-1]))
    return Dual(value, total)


def _apply(ufunc: Any, *inputs: Any) -> Dual:
    """Return ``ufunc`` of numbers of which at least one is a `Dual`, by the chain rule."""
    values = [_value(x) for x in inputs]
    slopes = []
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        result = ufunc(*values)
        for x, partial in zip(inputs, PARTIALS[ufunc], strict=True):
            if isinstance(x, Dual):
                terms = _scaled(x.slope, partial(result, *values))
                # What does not depend on a parameter stays so where a partial is infinite.
                slopes.append(np.where(x.slope == 0, 0.0, terms))
    return _of(result, *slopes)


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return axes of the value, counted from the left."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def _broadcast(x: Any, shape: tuple[int, ...]) -> Any:
    if not isinstance(x, Dual):
        return np.broadcast_to(x, shape)
    slope = x.slope
    return Dual(np.broadcast_to(x.value, shape), np.broadcast_to(slope, (*shape, slope.shape[-1])))


def _slope_like(x: Any, like: Any) -> Any:
    if isinstance(x, Dual):
        return x.slope
    return np.zeros((*np.shape(x), like.slope.shape[-1]))


def _joined(join: Any, parts: Sequence[Any], axis: int, ndim: int) -> Any:
    dual = next((part for part in parts if isinstance(part, Dual)), None)
    place = axis % ndim
    value = join([_value(part) for part in parts], axis=place)
    if dual is None:
        return value
    return Dual(value, join([_slope_like(part, dual) for part in parts], axis=place))


def _concatenate(parts: Sequence[Any], axis: int = 0) -> Any:
    return _joined(np.concatenate, parts, axis, np.ndim(_value(parts[0])))


def _strict_stack(parts: Sequence[Any], axis: int = 0) -> Any:
    return _joined(np.stack, parts, axis, np.ndim(_value(parts[0])) + 1)


def _where(condition: Any, a: Any, b: Any) -> Any:
    flags = np.asarray(_value(condition))
    value = np.where(flags, _value(a), _value(b))
    dual = next((x for x in (a, b, condition) if isinstance(x, Dual)), None)
    if dual is None:
        return value
    sides = [_slope_like(_broadcast(x, value.shape), dual) for x in (a, b)]
    slope = np.where(flags[..., None], *sides)
    if isinstance(condition, Dual) and flags.dtype.kind == "b":  # b + x (a − b)
        change = np.asarray(_value(a), float) - np.asarray(_value(b), float)
        slope = slope + _scaled(condition.slope, change)
    elif dual is condition:
        return value
    return Dual(value, slope)


def _roll(x: Dual, shift: Any, axis: Any = None) -> Dual:
    if axis is None:
        return _roll(x.reshape(-1), shift, 0).reshape(x.shape)
    axes = _axes(axis, x.ndim)
    return Dual(np.roll(x.value, shift, axes), np.roll(x.slope, shift, axes))


def _clip(x: Any, a_min: Any = None, a_max: Any = None, **options: Any) -> Any:
    low, high = options.get("min", a_min), options.get("max", a_max)
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: lambda x, axis=None, keepdims=False: x.sum(axis, keepdims),
    np.mean: lambda x, axis=None, keepdims=False: x.mean(axis, keepdims),
    np.cumsum: lambda x, axis=None: x.cumsum(axis),
    np.reshape: lambda x, shape: x.reshape(shape),
    np.broadcast_to: _broadcast,
    np.concatenate: _concatenate,
    np.stack: _strict_stack,
    np.where: _where,
    np.clip: _clip,
    np.roll: _roll,
    np.any: lambda x, axis=None: x.any(axis),
    np.all: lambda x, axis=None: x.all(axis),
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
    np.zeros_like: lambda x, *a, **k: np.zeros_like(x.value, *a, **k),
    np.ones_like: lambda x, *a, **k: np.ones_like(x.value, *a, **k),
}
"""Functions that are no ufuncs."""
