"""What a distance between distributions is."""

from __future__ import annotations

import abc
from typing import Any, ClassVar, NamedTuple

from tumble._typing import BoolArray, FloatArray, JaxArray
from tumble.losses import AbstractLoss
from tumble.noise import DatumLaw


class Grid(NamedTuple):
    """Where the features of a distance are taken, for one experiment.

    ``points``, arrays with one row a time, as the distance needs them; ``weight`` [T, G, K] of the
    features in each of G groups (an observable, a projection or all of them together).
    """

    points: Any
    weight: FloatArray


class AbstractDistance(abc.ABC):
    """A distance between a law and a sample, as a loss ℓ(E[φ(Y)], mean φ(y)) of features φ.

    The features of a simulated datum are expectations over its measurement noise, so that only the
    runs themselves are random.
    """

    name: ClassVar[str]
    """What to call its value."""

    citations: ClassVar[tuple[str, ...]]
    """What to cite."""

    smooth: ClassVar[bool]
    """Whether features are smooth in an observable, so that it may depend on unknown parameters."""

    @abc.abstractmethod
    def grid(self, values: FloatArray, whole: BoolArray, positive: BoolArray, joint: bool) -> Grid:
        """Return where to take features, for data ``values`` [N, T, O], NaN where missing.

        Arguments: ``whole`` and ``positive`` [O], whether an observable takes whole numbers only,
        and no negative ones; ``joint``, whether observables are compared together or one by one.
        Raises `CapabilityError` where the distance does not do that.
        """

    @abc.abstractmethod
    def features(self, law: DatumLaw, points: Any, xp: Any) -> JaxArray:
        """Return E[φ(Y) | state], of shape [n, T, G, K].

        Arguments: ``law`` of the data given the states, of shape [n, T, O].
        """

    @abc.abstractmethod
    def gaussian_features(
        self, mean: JaxArray, covariance: JaxArray, points: Any, xp: Any
    ) -> JaxArray:
        """Return E[φ(Y)], of shape [T, G, K], for normal Y.

        Arguments: its ``mean`` [T, O] and ``covariance`` [T, O, O].
        """

    @abc.abstractmethod
    def loss(self, target: FloatArray, weight: FloatArray) -> AbstractLoss:
        """Return the loss of expected features, given observed ones and weights [F]."""
