"""Errors that say what, got, expected, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
