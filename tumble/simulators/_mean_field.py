"""The deterministic rate equations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError
from tumble._results import SampleCode
from tumble._typing import FloatArray, JaxArray
from tumble._xla import jit_equations
from tumble.models import ReactionNetwork
from tumble.simulators._autonomous import require_reactions_alone
from tumble.simulators._base import AbstractSimulator, Batch, Sample
from tumble.simulators._integrate import integrate


@dataclass(frozen=True)
class MeanField(AbstractSimulator):
    """The rate equations of a `ReactionNetwork`: dx/dt = Σ_r ν_r a_r(x), without noise.

    Definition: propensities are those of `ReactionNetwork.propensities` at real x: the constant
    times max(0, x (x − 1) … (x − m + 1) / m!) for mass action, so that 2 A -> B goes at
    k x (x − 1) / 2 and stops at x = 1, not 0. Rates may depend on ``time``; variables and events
    are refused.

    Guarantee: deterministic; every run is the same, whatever its number and seed. The means of the
    stochastic model where all reactions are of first order. Otherwise what these tend to, relative
    to the population, as it grows; a population that can die out or has two states is described
    badly at any size.

    States are **real**: they are returned as float64, with NaN in failed runs.

    Arguments: ``rtol``, relative and absolute tolerance of the solver (Dormand and Prince). Default
    1e-8.

    When: a first look at a model, or a comparison that shows what noise does. Not for stiff
    equations, on which the solver gives up (`SampleCode.INTEGRATION`), nor as a mean of small
    populations. `LinearNoise` has the fluctuations around it as well.

    Reference: Kurtz, J. Chem. Phys. 57 (1972), doi:10.1063/1.1678692.
    """

    rtol: float = 1e-8
    exact: ClassVar[bool] = False
    discrete: ClassVar[bool] = False
    citations: ClassVar[tuple[str, ...]] = (
        "Kurtz, J. Chem. Phys. 57 (1972), doi:10.1063/1.1678692 (deterministic limit)",
    )

    def __post_init__(self) -> None:
        if not 1e-12 <= self.rtol <= 1e-2:
            raise ParameterError(f"`rtol` is {self.rtol}, expected between 1e-12 and 1e-2.")

    def sample(self, model: ReactionNetwork, batch: Batch, *, executor: Any = None) -> Sample:
        """See `AbstractSimulator.sample`; rows that are alike are solved once."""
        import jax

        require_reactions_alone(model, "MeanField")
        solve = _solver(model, float(self.rtol))
        shape = (len(batch.runs), len(batch.times), batch.initial.shape[1])
        states = np.empty(shape)
        codes = np.zeros(len(batch.runs), np.int64)
        rows = np.concatenate([batch.params, batch.initial.astype(float)], axis=1)
        _, which, copies = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        copies = copies.reshape(-1)
        # One at a time: solved side by side, the last digits would depend on the company.
        for i, b in enumerate(which):
            params, initial = batch.params[b], batch.initial[b].astype(float)
            if not np.all(_is_rate(model.propensities(initial, params, batch.start))):
                solved, code = np.full(shape[1:], np.nan), SampleCode.INVALID_RATE
            else:
                with jax.enable_x64(True):
                    solved = np.asarray(solve(params, initial, batch.times, float(batch.start)))
                failed = not np.all(np.isfinite(solved))
                code = SampleCode.INTEGRATION if failed else SampleCode.OK
            states[copies == i] = np.nan if code else solved
            codes[copies == i] = code
        return Sample(states, codes, np.zeros(len(codes), np.int64))


def _is_rate(values: FloatArray) -> Any:
    return (values >= 0) & (values < 1e300)


@lru_cache(maxsize=32)
def _solver(model: ReactionNetwork, rtol: float) -> Any:
    """Return the compiled function of params [Q], x [S], times [T] and start that gives [T, S]."""
    import jax
    import jax.numpy as jnp

    def solve(params: JaxArray, initial: JaxArray, times: JaxArray, start: float) -> JaxArray:
        change = jnp.asarray(model.stoichiometry, dtype=float)

        def field(t: JaxArray, x: JaxArray) -> JaxArray:
            return change @ model.propensities(x, params, t, jnp)

        def advance(x: JaxArray, interval: tuple[JaxArray, JaxArray]) -> tuple[JaxArray, JaxArray]:
            after = integrate(field, x, *interval, rtol)
            return after, after

        spans = jnp.diff(times, prepend=start)
        return jax.lax.scan(advance, initial, (times - spans, spans))[1]

    return jit_equations(solve)
