"""Errors that say what, got, expected, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tumble._typing import FloatArray


class TumbleError(ValueError):
    """Base of every error that tumble raises on purpose. The command line exits with status 2."""


class ModelError(TumbleError):
    """A model that cannot be read or simulated."""


class DerivativeError(ModelError):
    """A derivative that does not exist, or that the code of a model would lose."""


class DataError(TumbleError):
    """Data that do not fit the problem they are given to."""


class ParameterError(TumbleError):
    """A parameter value, bound or prior that makes no sense."""


class CapabilityError(TumbleError):
    """An estimator or objective asks for something that the simulator does not offer."""


class SimulationError(TumbleError):
    """Too many runs of a simulator failed for the result to mean anything."""


class RunFolderError(TumbleError):
    """A run folder that cannot be written or read."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'R'?"`` for the nearest known name, or an empty string."""
    candidates = {str(k).lower(): str(k) for k in known}
    near = difflib.get_close_matches(str(name).lower(), candidates, n=1, cutoff=0.5)
    return f" Did you mean {candidates[near[0]]!r}?" if near else ""


def require_known(
    names: Iterable[str],
    known: Iterable[str],
    *,
    what: str,
    owner: str,
    error: type[TumbleError] = TumbleError,
) -> None:
    """Raise ``error`` for the first of ``names`` that is not in ``known``.

    ``what`` names the argument and the role of the names (``"`initial` has species"``), ``owner``
    whatever holds the known names (``"the network"``).
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise error(
                f"{what} {name!r}, but {owner} has {', '.join(known) or 'none'}."
                f"{did_you_mean(name, known)}"
            )


def shown(value: object) -> str:
    """Return ``repr(value)`` on one line of at most 100 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 100 else f"{text[:97]}..."


def elided(lines: list[str], most: int = 40, last: str = "… and {} more") -> list[str]:
    """Return ``lines``, or the first of them and one that says how many more there are."""
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], last.format(len(lines) - most + 1)]


def require_whole(name: str, value: Any, least: int = 1) -> None:
    """Raise `ParameterError` unless ``value`` is a whole number of at least ``least``."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not (whole and value >= least):
        raise ParameterError(
            f"`{name}` is {shown(value)}, expected a whole number of at least {least}."
        )


def is_number(value: Any) -> bool:
    """Return whether ``value`` is a single real number, finite or not; `True` is not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def require_flag(name: str, value: Any, error: type[TumbleError] = ParameterError) -> None:
    """Raise ``error`` unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise error(f"`{name}` is {shown(value)}, expected True or False.")


def require_member(name: str, value: Any, family: type, example: str) -> None:
    """Raise `ParameterError` unless ``value`` is an instance of ``family``.

    ``example`` says what would be: ``"a distance such as EnergyDistance()"``.
    """
    if isinstance(value, family):
        return
    is_class = isinstance(value, type) and issubclass(value, family)
    hint = f" Write {value.__name__}(...), with brackets." if is_class else ""
    given = value.__name__ if is_class else shown(value)
    raise ParameterError(f"`{name}` is {given}, expected {example}.{hint}")


def require_mapping(name: str, value: Any) -> None:
    """Raise `ParameterError` unless ``value`` gives values by name."""
    if not isinstance(value, Mapping):
        raise ParameterError(
            f"`{name}` is {shown(value)}, expected values by name such as {{'k': 1.0}}."
        )


def first_line(error: BaseException) -> str:
    """Return the first line of what an error of others says, as a sentence."""
    text = next(iter(str(error).splitlines()), "").strip()[:200]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def require_times(times: Any, start: float = 0.0) -> FloatArray:
    """Return ``times`` as an array. Raises `ParameterError` unless they ascend from ``start``."""
    import numpy as np

    if not np.isfinite(start):
        raise ParameterError(f"`start` is {start}, expected a finite time.")
    try:
        grid = np.atleast_1d(np.asarray(times, dtype=float))
    except (TypeError, ValueError):
        raise ParameterError(f"`times` is {times!r}, expected a list of times.") from None
    if grid.ndim != 1 or grid.size == 0:
        raise ParameterError(f"`times` has shape {grid.shape}, expected a list of times.")
    if not np.all(np.isfinite(grid)) or np.any(np.diff(grid) < 0):
        raise ParameterError("`times` must be finite and ascending.")
    if grid[0] < start:
        raise ParameterError(
            f"`times` begin at {grid[0]:g}, before `start` = {start:g}; set start= as well."
        )
    return grid
