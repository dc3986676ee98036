"""Parameters: what is fitted, within which bounds and on which scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np

from tumble._errors import ParameterError, require_known, require_mapping, shown
from tumble._random import Stream
from tumble._typing import FloatArray, Params
from tumble.priors import AbstractPrior

_SCALES = ("log", "linear", "logit")


@dataclass(frozen=True)
class Ref:
    """Stands for a parameter of the problem where a number is expected.

    Arguments: ``name`` of the parameter; ``index`` into it when it has a shape.
    """

    name: str
    index: int | tuple[int, ...] | None = None


@dataclass(frozen=True)
class Parameter:
    """One unknown, a number or an array of them.

    Arguments:

    - ``lower``, ``upper``: bounds in the natural scale; finite.
    - ``scale``: the scale that fits, steps and standard errors use: ``"log"`` (default, needs
      ``lower`` > 0), ``"linear"``, or ``"logit"`` (needs 0 < lower, upper < 1).
    - ``prior``: a member of `tumble.priors`, of each entry; default none.
    - ``start``: where a fit starts, a number or array; default: the middle of the bounds on
      ``scale`` for the first start, random inside the bounds for further ones.
    - ``shape``: of the array, or its length; default ``()``, a number.
    """

    lower: float
    upper: float
    scale: str = "log"
    prior: AbstractPrior | None = None
    start: Any = None
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        shape = (self.shape,) if isinstance(self.shape, int) else tuple(self.shape)
        object.__setattr__(self, "shape", shape)
        if self.prior is not None and not isinstance(self.prior, AbstractPrior):
            raise ParameterError(
                f"`prior` is {self.prior!r}, expected a member of tumble.priors such as "
                "LogNormal(0, 1)."
            )
        if self.scale not in _SCALES:
            raise ParameterError(
                f"`scale` is {self.scale!r}, expected one of {', '.join(_SCALES)}."
            )
        if not all(isinstance(b, Real) and abs(b) < 1e300 for b in (self.lower, self.upper)) or (
            self.lower >= self.upper
        ):
            raise ParameterError(
                f"`Parameter(lower, upper)` is ({self.lower}, {self.upper}), expected finite "
                "lower < upper."
            )
        if self.scale != "linear" and self.lower <= 0:
            raise ParameterError(
                f"`lower` is {self.lower}, but scale={self.scale!r} needs lower > 0; use a small "
                "positive bound, or scale='linear'."
            )
        if self.scale == "logit" and self.upper >= 1:
            raise ParameterError(f"`upper` is {self.upper}, but scale='logit' needs upper < 1.")
        if self.start is not None:
            self.require_inside(self.start, "`start`")

    def require_inside(self, value: Any, what: str) -> None:
        """Raise `ParameterError` unless ``value`` has this shape and lies within the bounds."""
        try:
            array = np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            raise ParameterError(f"{what} is {shown(value)}, expected a number.") from None
        if array.shape != self.shape:
            raise ParameterError(f"{what} has shape {array.shape}, expected {self.shape}.")
        slack = 1e-9 * (self.upper - self.lower)
        if not np.all((array >= self.lower - slack) & (array <= self.upper + slack)):
            raise ParameterError(
                f"{what} is {value}, outside the bounds [{self.lower:g}, {self.upper:g}]; "
                "move it inside or widen the bounds."
            )


@dataclass(frozen=True)
class ParameterSpace:
    """All unknowns of a problem as one vector θ [P], and its image z [P] on the fit scale."""

    parameters: Mapping[str, Parameter]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the entries of θ: ``beta``, or ``k[0]``, ``k[1]``, … for an array."""
        names: list[str] = []
        for name, parameter in self.parameters.items():
            names += [name + _subscript(i) for i in np.ndindex(parameter.shape)]
        return tuple(names)

    @property
    def size(self) -> int:
        """P, the number of unknowns."""
        return len(self.names)

    @cached_property
    def lower(self) -> FloatArray:
        """Lower bounds on the fit scale [P]."""
        return self.to_fit(self._each(lambda p: p.lower))

    @cached_property
    def upper(self) -> FloatArray:
        """Upper bounds on the fit scale [P]."""
        return self.to_fit(self._each(lambda p: p.upper))

    @cached_property
    def scales(self) -> tuple[str, ...]:
        """Scale of each entry [P]."""
        return tuple(s for p in self.parameters.values() for s in [p.scale] * _count(p.shape))

    def position(self, ref: Ref) -> int:
        """Return the index into θ of what ``ref`` points to. Raises `ParameterError`."""
        require_known([ref.name], self.parameters, what="`Ref` names parameter",
                      owner="the problem", error=ParameterError)  # fmt: skip
        parameter = self.parameters[ref.name]
        index = () if ref.index is None else ref.index
        index = index if isinstance(index, tuple) else (index,)
        full = ref.name + _subscript(index)
        if full not in self.names:
            raise ParameterError(
                f"`Ref({ref.name!r}, {ref.index})` does not point to one number: {ref.name!r} has "
                f"shape {parameter.shape}."
            )
        return self.names.index(full)

    def pack(self, params: Params) -> FloatArray:
        """Return θ [P] of named values; checks names, shapes and bounds."""
        require_mapping("params", params)
        require_known(params, self.parameters, what="`params` has", owner="the problem",
                      error=ParameterError)  # fmt: skip
        parts = []
        for name, parameter in self.parameters.items():
            if name not in params:
                raise ParameterError(f"`params` has no value for {name!r}.")
            parameter.require_inside(params[name], f"`params[{name!r}]`")
            parts.append(np.asarray(params[name], dtype=float).ravel())
        return np.concatenate(parts) if parts else np.empty(0)

    def unpack(self, theta: Any) -> dict[str, Any]:
        """Return named values of θ [P]: floats, or arrays where a parameter has a shape."""
        values: dict[str, Any] = {}
        offset = 0
        for name, parameter in self.parameters.items():
            count = _count(parameter.shape)
            part = theta[offset : offset + count]
            values[name] = part.reshape(parameter.shape) if parameter.shape else part[0]
            offset += count
        return values

    def to_fit(self, theta: Any, xp: Any = np) -> Any:
        """Return z, the image of θ on the fit scale."""
        log, logit = self._masks
        safe = xp.where(log | logit, theta, 0.5)
        unit = xp.where(logit, theta, 0.5)
        return xp.where(log, xp.log(safe), xp.where(logit, xp.log(unit / (1 - unit)), theta))

    def from_fit(self, z: Any, xp: Any = np) -> Any:
        """Return θ of a point z on the fit scale."""
        log, logit = self._masks
        curved = xp.where(log | logit, z, 0.0)
        return xp.where(log, xp.exp(curved), xp.where(logit, 1 / (1 + xp.exp(-curved)), z))

    def slope(self, z: FloatArray) -> FloatArray:
        """Return ∂θ/∂z [P] at z."""
        theta = np.asarray(self.from_fit(z), dtype=float)
        log, logit = self._masks
        return np.where(log, theta, np.where(logit, theta * (1 - theta), 1.0))

    def clip(self, z: Any, xp: Any = np) -> Any:
        """Return z moved to the nearest point within the bounds."""
        return xp.clip(z, self.lower, self.upper)

    def starts(self, count: int, stream: Stream) -> FloatArray:
        """Return starting points [count, P] on the fit scale.

        The first is each parameter's ``start``, or the middle of its bounds; the others are drawn
        uniformly within the bounds.
        """
        first = [
            np.full(_count(p.shape), np.nan)
            if p.start is None
            else np.asarray(p.start, dtype=float).ravel()
            for p in self.parameters.values()
        ]
        given = np.concatenate(first) if first else np.empty(0)
        known = np.isfinite(given)
        middle = (self.lower + self.upper) / 2
        z0 = np.where(known, self.to_fit(np.where(known, given, self.from_fit(middle))), middle)
        uniform = stream.numpy().uniform(size=(max(count - 1, 0), self.size))
        return np.concatenate([z0[None], self.lower + uniform * (self.upper - self.lower)])[:count]

    def log_prior(self, theta: Any) -> Any:
        """Return Σ log prior density of θ in the natural scale (0 without priors), in JAX."""
        total = 0.0
        offset = 0
        for parameter in self.parameters.values():
            count = _count(parameter.shape)
            if parameter.prior is not None:
                total = total + parameter.prior.log_prob(theta[offset : offset + count]).sum()
            offset += count
        return total

    @property
    def has_priors(self) -> bool:
        """Whether any parameter has a prior."""
        return any(p.prior is not None for p in self.parameters.values())

    @cached_property
    def _masks(self) -> tuple[Any, Any]:
        scales = np.array(self.scales, dtype=object)
        return (scales == "log").astype(bool), (scales == "logit").astype(bool)

    def _each(self, value: Any) -> FloatArray:
        parts = [np.full(_count(p.shape), float(value(p))) for p in self.parameters.values()]
        return np.concatenate(parts) if parts else np.empty(0)


def _count(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=int))


def _subscript(index: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, index))}]" if index else ""
