"""Differential equations through diffrax, as the deterministic approximations need them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tumble._typing import JaxArray

_MAX_STEPS = 4096


def integrate(
    field: Callable[[JaxArray, Any], Any], y: Any, start: JaxArray, span: JaxArray, rtol: float
) -> Any:
    """Return y a time ``span`` ≥ 0 later, where dy/dt = ``field``(t, y); NaN if that fails.

    Arguments: ``y``, a pytree of arrays, at time ``start``; ``rtol``, the relative and absolute
    tolerance of the solver (Tsit5, at most 4096 steps). Differentiable forward; for a 64-bit scope.
    """
    import diffrax
    import jax
    import jax.numpy as jnp

    # A zero span would make the solver divide by it; its result is replaced below.
    length = jnp.where(span > 0, span, 1.0)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(
            lambda t, y, args: jax.tree.map(lambda f: length * f, field(start + length * t, y))
        ),
        diffrax.Tsit5(),
        t0=0.0,
        t1=1.0,
        dt0=None,
        y0=y,
        saveat=diffrax.SaveAt(t1=True),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol),
        adjoint=diffrax.ForwardMode(),
        max_steps=_MAX_STEPS,
        throw=False,
    )
    solved = solution.result == diffrax.RESULTS.successful
    return jax.tree.map(
        lambda after, before: jnp.where(span > 0, jnp.where(solved, after[0], jnp.nan), before),
        solution.ys,
        y,
    )
