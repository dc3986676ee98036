"""Normalizing flows of splines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from tumble._errors import CapabilityError, ParameterError, require_whole, shown
from tumble._typing import FloatArray
from tumble.densities._base import AbstractDensity


@dataclass(frozen=True)
class SplineFlow(AbstractDensity):
    """A conditional density of many shapes: a masked autoregressive flow of monotone splines.

    Definition: points y [P] are standard normal after ``num_layers`` steps that can be undone. In
    each, every entry passes a rational quadratic spline with ``num_knots`` knots within ±
    ``interval``, beyond which it stays as it is; the spline is what a network of two layers of
    ``width`` neurons makes of the entries before it and of what is given.

    Arguments: ``num_layers``, default 5; ``width``, default 50; ``num_knots``, default 8;
    ``interval``, default 5, in which points that are standardized mostly are. Needs
    ``pip install "tumble[machines]"``, for flowjax.

    References: Papamakarios, Pavlakou, Murray, NeurIPS (2017), arXiv:1705.07057; Durkan, Bekasov,
    Murray, Papamakarios, NeurIPS (2019), arXiv:1906.04032.
    """

    num_layers: int = 5
    width: int = 50
    num_knots: int = 8
    interval: float = 5.0

    def __post_init__(self) -> None:
        for name in ("num_layers", "width", "num_knots"):
            require_whole(name, getattr(self, name))
        if not (isinstance(self.interval, (int, float)) and 0 < self.interval < 1e3):
            raise ParameterError(f"`interval` is {shown(self.interval)}, expected a number > 0.")

    def build(self, size: int, num_given: int, seed: int) -> Any:
        """See `AbstractDensity.build`; the package is flowjax."""
        import equinox as eqx

        own = eqx.partition(_built(self, size, num_given, seed), eqx.is_array)[0]
        # What is no array has to be the same for all, else each would be compiled for itself.
        return eqx.combine(own, _rest(self, size, num_given)[1])

    def learnt(self, size: int, num_given: int, density: Any) -> LearntFlow:
        """Return what a density that was built with these arguments has learnt."""
        import equinox as eqx
        import jax

        numbers = jax.tree.leaves(eqx.filter(density, eqx.is_array))
        return LearntFlow(self, size, num_given, tuple(np.asarray(each) for each in numbers))


@dataclass(frozen=True)
class LearntFlow:
    """A `SplineFlow` of ``size`` numbers given ``num_given``, and the ``numbers`` it has learnt.

    Settings and arrays are all there is to it, so that it can be written to a file. Final.
    """

    flow: SplineFlow
    size: int
    num_given: int
    numbers: tuple[FloatArray, ...]

    @cached_property
    def density(self) -> Any:
        """The density, as `SplineFlow.build` returns it."""
        import equinox as eqx
        import jax
        import jax.numpy as jnp

        shape, rest = _rest(self.flow, self.size, self.num_given)
        own = jax.tree.unflatten(shape, [jnp.asarray(each) for each in self.numbers])
        return eqx.combine(own, rest)


@cache
def _rest(flow: SplineFlow, size: int, num_given: int) -> tuple[Any, Any]:
    """Return what a flow is made of but for its numbers: how these are arranged, and the others."""
    import equinox as eqx
    import jax

    own, rest = eqx.partition(_built(flow, size, num_given, 0), eqx.is_array)
    return jax.tree.structure(own), rest


def _built(flow: SplineFlow, size: int, num_given: int, seed: int) -> Any:
    try:
        from flowjax.bijections import RationalQuadraticSpline
        from flowjax.distributions import Normal
        from flowjax.flows import masked_autoregressive_flow
    except ImportError:
        raise CapabilityError(
            "flows need the package flowjax, which is not installed; run: "
            'pip install "tumble[machines]"'
        ) from None
    import jax
    import jax.numpy as jnp

    return masked_autoregressive_flow(
        jax.random.key(seed), base_dist=Normal(jnp.zeros(size)), cond_dim=num_given,
        flow_layers=flow.num_layers, nn_width=flow.width, nn_depth=2,
        transformer=RationalQuadraticSpline(knots=flow.num_knots, interval=flow.interval),
    )  # fmt: skip
