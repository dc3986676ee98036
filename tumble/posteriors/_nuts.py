"""The No-U-Turn sampler through the linear-noise likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tumble._errors import CapabilityError, require_member
from tumble._typing import FloatArray, JaxArray
from tumble._xla import jit_equations
from tumble.posteriors._base import PosteriorTask
from tumble.posteriors._chains import ChainRound
from tumble.posteriors._log_likelihoods import ComputedLikelihood
from tumble.posteriors._tempering import population
from tumble.posteriors._walk import AbstractChains, AbstractWalk, AbstractWalkState
from tumble.simulators import LinearNoise

_WARM_STEPS = 300
_CHAINS = 4
_STARTS = 64
_EDGE = 1e-6  # of the bounds' distance, where a start may be


@dataclass(frozen=True)
class NUTS(AbstractChains):
    """The No-U-Turn sampler through the linear-noise likelihood, by blackjax.

    Definition: Hamiltonian dynamics, in coordinates in which bounds are at infinity, followed until
    they turn back; step size and masses are found in a warm-up of 300 steps. Chains start from a
    population that was led from the prior to the posterior. Needs ``pip install "tumble[mcmc]"``.

    Guarantee: draws from the posterior of the linear-noise likelihood in the limit of long chains;
    how far that is from the exact one, `ParticleMCMC` tells.

    Arguments: ``through``, default `LinearNoise()`; ``num_draws``, effective draws of every
    parameter at which it stops, if R̂ is below 1.01, default 1,000; ``num_chains``, default 4;
    ``max_steps`` of each chain, default 20,000.

    When: more than about five parameters. With fewer `AdaptiveMetropolis` needs less time.

    References: Hoffman, Gelman, J. Mach. Learn. Res. 15 (2014), 1593-1623; Cabezas et al., BlackJAX
    (2024), arXiv:2402.10797; Komorowski et al., BMC Bioinformatics 10 (2009),
    doi:10.1186/1471-2105-10-343 (the likelihood).
    """

    citations: ClassVar[tuple[str, ...]] = (
        "Hoffman, Gelman, J. Mach. Learn. Res. 15 (2014), 1593-1623",
        "Cabezas et al., BlackJAX (2024), arXiv:2402.10797",
    )
    through: LinearNoise = field(default_factory=LinearNoise)
    num_draws: int = 1000
    num_chains: int | None = None
    max_steps: int = 20_000

    def __post_init__(self) -> None:
        super().__post_init__()
        require_member("through", self.through, LinearNoise, "LinearNoise()")

    def bind(self, task: PosteriorTask) -> NUTSSampler:
        """See `AbstractPosteriorMethod.bind`."""
        return NUTSSampler(self, task)


class Tuned(NamedTuple):
    """What the warm-up has found, named as blackjax does."""

    step_size: FloatArray
    inverse_mass_matrix: FloatArray


@dataclass(frozen=True, kw_only=True)
class NUTSState(AbstractWalkState):
    """Where chains have got, in coordinates without bounds.

    ``inner``, the state of blackjax for every chain, which before the warm-up is a position [C, P]
    alone; ``tuned``, step sizes [C] and masses, None before it.
    """

    inner: tuple[FloatArray, ...]
    tuned: Tuned | None = None


class NUTSSampler(AbstractWalk):
    """`NUTS` of one problem. Final."""

    state_type = NUTSState

    def __init__(self, method: NUTS, task: PosteriorTask) -> None:
        super().__init__(method)
        try:
            import blackjax
        except ImportError:
            raise CapabilityError(
                "NUTS needs the package blackjax, which is not installed; run: "
                'pip install "tumble[mcmc]", or use AdaptiveMetropolis().'
            ) from None
        self._blackjax: Any = blackjax
        self._task, self._through = task, method.through
        self._guide = ComputedLikelihood(task, method.through)
        self._count = method.num_chains or _CHAINS

    def init(self) -> NUTSState:
        """See `AbstractSampler.init`: places from a population near the posterior."""
        found = population(self._task, self._guide, _STARTS)
        order = self._task.stream.child("start").numpy().permutation(len(found.z))
        z = found.z[np.resize(order, self._count)]
        return NUTSState(inner=(self._to_free(z),), evaluations=found.evaluations)

    # -- private -----------------------------------------------------

    def _is_warm(self, state: NUTSState) -> bool:
        return state.tuned is not None

    def _warmed(self, state: NUTSState) -> NUTSState:
        import jax

        with jax.enable_x64(True):
            inner, tuned, info = self._warm_up(self._keys("warm-up", 0), *state.inner)
            steps = np.asarray(info.num_integration_steps).sum()
            acceptance = np.asarray(info.acceptance_rate).mean()
        found = Tuned(**{name: np.asarray(value) for name, value in tuned.items()})
        return replace(
            state, inner=_arrays(inner), tuned=found, num_steps=_WARM_STEPS,
            evaluations=state.evaluations + int(steps),
            rounds=(ChainRound(_WARM_STEPS, float(acceptance), True),),
        )  # fmt: skip

    def _walked(self, state: NUTSState, length: int) -> tuple[NUTSState, FloatArray, float]:
        import jax

        assert state.tuned is not None
        keys = self._keys("walk", state.num_steps, length)
        with jax.enable_x64(True):
            inner, tuned = self._blackjax.mcmc.hmc.HMCState(*state.inner), state.tuned._asdict()
            track, steps = [], 0
            acceptance = np.empty((length, self._count))
            for i in range(length):
                inner, info = self._move(keys[i], inner, tuned)
                track.append(np.asarray(inner.position))
                acceptance[i] = np.asarray(info.acceptance_rate)
                steps += int(np.asarray(info.num_integration_steps).sum())
        state = replace(
            state, inner=_arrays(inner), num_steps=state.num_steps + length,
            evaluations=state.evaluations + steps,
        )  # fmt: skip
        return state, self._from_free(np.stack(track, axis=1)), float(acceptance.mean())

    @cached_property
    def _move(self) -> Callable[..., Any]:
        """Return the jitted (keys [C], states [C], tuned [C]) -> states, infos."""
        import jax

        density = self._log_density

        def move(key: Any, inner: Any, tuned: Any) -> Any:
            return self._blackjax.nuts(density, **tuned).step(key, inner)

        return jit_equations(jax.vmap(move))

    @cached_property
    def _warm_up(self) -> Callable[..., Any]:
        """Return the jitted (keys [C], positions [C, P]) -> states, tuned, infos."""
        import jax

        adaptation = self._blackjax.window_adaptation(self._blackjax.nuts, self._log_density)

        def warm_up(key: Any, position: Any) -> Any:
            (inner, tuned), info = adaptation.run(key, position, _WARM_STEPS)
            return inner, tuned, info.info

        return jit_equations(jax.vmap(warm_up))

    def _keys(self, name: str, first: int, length: int | None = None) -> Any:
        """Return keys of JAX [C], or [length, C]."""
        import jax

        seed = self._task.stream.child(name, first).numpy().integers(2**31)
        shape = (self._count,) if length is None else (length, self._count)
        return jax.random.split(jax.random.key(int(seed)), shape)

    @cached_property
    def _log_density(self) -> Callable[[JaxArray], JaxArray]:
        """The log posterior density of free coordinates u [P].

        Its gradient is taken forwards: parameters are few, and the equations need no memory so.
        """
        import jax
        import jax.numpy as jnp

        problem = self._task.problem
        space, low, high = problem.space, problem.space.lower, problem.space.upper
        likelihood: Any = self._through.likelihood(problem)
        data = [e.data.values for e in problem.experiments]

        def value(u: JaxArray) -> JaxArray:
            share = jax.nn.sigmoid(u)
            z = low + (high - low) * share
            white, log_scale, constant = likelihood.residuals(space.from_fit(z, jnp), data)
            log_likelihood = -(0.5 * white @ white + log_scale.sum() + constant)
            stretch = (jax.nn.log_sigmoid(u) + jax.nn.log_sigmoid(-u)).sum()
            found = log_likelihood + self._task.prior.log_density_at(z) + stretch
            return jnp.where(jnp.isfinite(found), found, -jnp.inf)

        @jax.custom_vjp
        def density(u: JaxArray) -> JaxArray:
            return value(u)

        def forwards(u: JaxArray) -> tuple[JaxArray, JaxArray]:
            def twice(u: JaxArray) -> tuple[JaxArray, JaxArray]:
                found = value(u)
                return found, found

            slope, found = jax.jacfwd(twice, has_aux=True)(u)
            return found, jnp.where(jnp.isfinite(slope), slope, 0.0)

        density.defvjp(forwards, lambda slope, weight: (weight * slope,))
        return density

    def _to_free(self, z: FloatArray) -> FloatArray:
        space = self._task.problem.space
        share = np.clip((z - space.lower) / (space.upper - space.lower), _EDGE, 1 - _EDGE)
        return np.asarray(np.log(share / (1 - share)))

    def _from_free(self, u: FloatArray) -> FloatArray:
        space = self._task.problem.space
        return np.asarray(space.lower + (space.upper - space.lower) / (1 + np.exp(-u)))


def _arrays(inner: Any) -> tuple[FloatArray, ...]:
    return tuple(np.asarray(part) for part in inner)
