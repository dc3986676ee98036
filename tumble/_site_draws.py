"""Declared random draws for programs that JAX compiles: those of a lattice, a site each.

As with `tumble.choices`, a model that draws through `SiteDraws` tells with which probability each
outcome was drawn, and how that depends on the parameters: enough for scores, for alternative
outcomes of one site, and for relaxed derivatives.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tumble._draw_laws import CHOOSE, COUNT, FLIP, NORMAL, AbstractLaw
from tumble._philox import Halves, philox_words
from tumble._relaxation import AbstractRelaxation
from tumble._typing import JaxArray

# The counter of a block of words is (block, step · _CALLS + call): so many draws a step may have.
_CALLS = 64
# The largest mean of a Poisson number: its probabilities are added up one by one.
_MOST = 500.0
_ONE = np.uint64(0x3FF0000000000000)  # the bits of 1.0
_LESS_ONE = 1.0 - 2.0**-53
_FIRST_EXTRA = 32  # calls from here on are of relaxations and of what chooses alternatives


class SeenDraw(NamedTuple):
    """One call of a draw: its law, the outcomes [...] as drawn and the arguments."""

    law: AbstractLaw
    outcome: JaxArray
    args: tuple[JaxArray, ...]


class ForcedDraw(NamedTuple):
    """An outcome to be had instead of the drawn one: at a step (-1: none), call and site."""

    step: JaxArray
    call: JaxArray
    site: JaxArray
    outcome: JaxArray


class AbstractSiteDraws(abc.ABC):
    """Draws with declared probabilities, in `jax.numpy`, an element of an array each.

    Probabilities and rates are computed from parameters and state. There may be up to 32 calls a
    step, in the same order in every step.
    """

    def __init__(self) -> None:
        self._count = 0

    def flip(self, p: Any, size: Any = None) -> JaxArray:
        """Return 1.0 with probability ``p``, else 0.0, for every element of ``p``."""
        return self._outcome(FLIP, _fitted(size, p), False)

    def choose(self, weights: Any, size: Any = None) -> JaxArray:
        """Return the label i with probability weights[..., i] / Σ weights, or i < a whole number.

        A label has no pathwise derivative: draw numbers with `pick` where that is wanted.
        """
        even = isinstance(weights, (int, np.integer))
        return self._outcome(CHOOSE, (_fitted_weights(size, weights),), False, even)

    def pick(self, values: Any, weights: Any, size: Any = None) -> JaxArray:
        """Return values[i] with i drawn as by `choose`; ``values`` [n, …] are plain numbers."""
        import jax.numpy as jnp

        hot = self._outcome(CHOOSE, (_fitted_weights(size, weights),), True)
        return jnp.tensordot(hot, jnp.asarray(values).astype(hot.dtype), axes=1)

    def count(self, rate: Any, size: Any = None) -> JaxArray:
        """Return a whole number with the Poisson law of mean ``rate``, 0 to 500."""
        return self._outcome(COUNT, _fitted(size, rate), False)

    def normal(self, mean: Any, sd: Any, size: Any = None) -> JaxArray:
        """Return a number with the normal law of ``mean`` and standard deviation ``sd`` > 0."""
        return self._outcome(NORMAL, _fitted(size, mean, sd), False)

    @abc.abstractmethod
    def _outcome(
        self, law: AbstractLaw, args: tuple[JaxArray, ...], hot: bool, even: bool = False
    ) -> JaxArray:
        """Return the outcomes of a call; of a choice as labels, or ``hot``: 1 at the label.

        ``even``: whether all weights of a choice are known to be the same.
        """

    def _next_call(self) -> int:
        call = self._count
        self._count += 1
        if call >= _FIRST_EXTRA:
            raise ValueError(
                f"a step makes more than {_FIRST_EXTRA} calls of draws; put some of them together"
            )
        return call


class SiteDraws(AbstractSiteDraws):
    """Random draws of one step of one run. Final.

    Guarantee: draws are a pure function of the seed, the run, the step, the call and the element,
    by the generator that all of tumble uses (Philox4x32-10): runs at other parameters share their
    uniforms, and a site's draw does not depend on the size of a batch. Uniforms have 52 bits.
    Scores and alternatives are exact as long as parameters reach the outputs through the draws
    alone.

    Arguments: ``key``, ``run``, halves of 64-bit numbers; ``step``; ``forced``, an outcome to have
    instead; ``relaxation``, by which outcomes carry pathwise derivatives; ``backward``, whether
    these are wanted from the end of a run to its beginning, which needs what is linear in slopes.

    References: Salmon et al., SC11 (2011), doi:10.1145/2063384.2063405 (generator); as for
    `tumble.choices.Choices`.
    """

    def __init__(
        self,
        key: Halves,
        run: Halves,
        step: JaxArray,
        forced: ForcedDraw | None = None,
        relaxation: AbstractRelaxation | None = None,
        backward: bool = False,
    ) -> None:
        import jax.numpy as jnp

        super().__init__()
        self._key, self._run, self._step = key, run, step
        self._forced, self._relaxation, self._backward = forced, relaxation, backward
        self._valid = jnp.asarray(True)
        self.seen: list[SeenDraw] = []

    @property
    def valid(self) -> JaxArray:
        """Whether all arguments so far made sense."""
        return self._valid

    def uniforms(self, shape: tuple[int, ...]) -> JaxArray:
        """Return the uniforms in (0, 1) of the next call, of 52 bits."""
        return _uniforms(self._key, self._run, self._step, self._next_call(), shape)

    def extra_uniforms(self, call: int, shape: tuple[int, ...]) -> JaxArray:
        """Return uniforms that no draw uses: of call 0 … 31 of what goes with draws."""
        return _uniforms(self._key, self._run, self._step, _FIRST_EXTRA + call, shape)

    # -- private -----------------------------------------------------

    def _outcome(
        self, law: AbstractLaw, args: tuple[JaxArray, ...], hot: bool, even: bool = False
    ) -> JaxArray:
        """See `AbstractSiteDraws._outcome`: drawn, forced and relaxed as is asked for."""
        import jax.numpy as jnp

        shape = args[0].shape[: args[0].ndim - law.categories]
        u = self.uniforms(shape)
        if even:
            drawn, fine = jnp.floor(u * args[0].shape[-1]).astype(jnp.int32), jnp.asarray(True)
        else:
            drawn, fine = _drawn(law, u, tuple(_fixed(arg) for arg in args))
        self._valid = self._valid & fine
        call = self._count - 1
        if self._forced is not None and drawn.size:
            here = (self._forced.step == self._step) & (self._forced.call == call)
            flat = drawn.ravel()
            other = flat.at[self._forced.site].set(self._forced.outcome.astype(flat.dtype))
            drawn = jnp.where(here, other, flat).reshape(drawn.shape)
        self.seen.append(SeenDraw(law, drawn, args))
        shown = drawn
        if hot:
            shown = (drawn[..., None] == jnp.arange(args[0].shape[-1])).astype(args[0].dtype)
        if self._relaxation is None or even or hot < law.categories:  # a label has no derivative
            return shown
        extra = None
        if law.categories and self._relaxation.noisy:
            extra = self.extra_uniforms(call, args[0].shape)
        slopes = _linear_slopes if self._backward else _slopes
        return _relaxed(self._relaxation, law, slopes, shown, (drawn, u, extra), args)


def _drawn(law: AbstractLaw, u: JaxArray, args: tuple[JaxArray, ...]) -> tuple[Any, JaxArray]:
    """Return outcomes by the inverse of the distribution function, and whether all are valid."""
    import jax.numpy as jnp
    from jax.scipy.special import ndtri

    if law is FLIP:
        (p,) = args
        return (u < p).astype(p.dtype), ((p >= -1e-9) & (p <= 1 + 1e-9)).all()
    if law is COUNT:
        (rate,) = args
        return _poisson(u, rate), ((rate >= 0) & (rate <= _MOST)).all()
    if law is NORMAL:
        mean, sd = args
        valid = jnp.isfinite(mean) & (sd > 0) & (sd < jnp.inf)
        return mean + sd * ndtri(u), valid.all()
    (weights,) = args
    edges = jnp.cumsum(weights, axis=-1)
    total = edges[..., -1]
    found = (edges <= (u * total)[..., None]).sum(-1)
    # Rounding must not choose what has no weight at the end.
    last = weights.shape[-1] - 1 - jnp.argmax(weights[..., ::-1] > 0, axis=-1)
    valid = (weights >= 0).all(-1) & (total > 0) & jnp.isfinite(total)
    return jnp.minimum(found, last), valid.all()


def _uniforms(
    key: Halves, run: Halves, step: JaxArray, call: int, shape: tuple[int, ...]
) -> JaxArray:
    """Return uniforms of 52 bits, as `tumble.kernels._uniforms.uniform` makes them.

    An element has a block of its own, half of which is not used: to put the words of blocks side by
    side would take longer than to make them.
    """
    import jax
    import jax.numpy as jnp

    block = jnp.arange(math.prod(shape), dtype=jnp.uint32)
    draw = (block, step * np.uint32(_CALLS) + np.uint32(call))
    high, low, _, _ = philox_words(key, run, draw)
    bits = high.astype(jnp.uint64) << np.uint64(20) | low.astype(jnp.uint64) >> np.uint64(12)
    ones = jax.lax.bitcast_convert_type(bits | _ONE, jnp.float64)
    return (ones - _LESS_ONE).reshape(shape)


def _relaxed(
    relaxation: AbstractRelaxation,
    law: AbstractLaw,
    slopes: Callable[..., JaxArray],
    shown: JaxArray,
    drawn: tuple[JaxArray, JaxArray, JaxArray | None],
    args: tuple[JaxArray, ...],
) -> JaxArray:
    """Return the outcomes as they are ``shown``, with derivatives that the relaxation gives them.

    ``drawn``: the outcomes, the uniforms that they were made of and others for a noisy relaxation.
    """
    import jax

    @jax.custom_jvp
    def outcome(shown: JaxArray, drawn: Any, *given: JaxArray) -> JaxArray:
        return shown

    @outcome.defjvp
    def along(given: Any, moved: Any) -> Any:
        shown, drawn, *values = given
        return shown, slopes(relaxation, law, drawn, values, moved[2:])

    return outcome(shown, drawn, *args)


def _slopes(
    relaxation: AbstractRelaxation, law: AbstractLaw, drawn: Any, args: Any, moved: Any
) -> JaxArray:
    """Return how outcomes move as their arguments do; where those rest, so do they."""
    import jax.numpy as jnp

    x, u, extra = drawn
    moved = [slope[..., None] for slope in moved]
    return jnp.asarray(law.relaxed(x, u, args, moved, relaxation, extra, jnp)[..., 0])


def _linear_slopes(
    relaxation: AbstractRelaxation, law: AbstractLaw, drawn: Any, args: Any, moved: Any
) -> JaxArray:
    """Return the same as a sum over arguments, each times a factor, so that it can be transposed.

    A factor that is not defined makes the sum so, even where its argument rests.
    """
    import jax
    import jax.numpy as jnp

    x, u, extra = drawn
    # Else the compiler would multiply them out over all sites, which takes it minutes.
    eye = jax.lax.optimization_barrier(
        jnp.eye(moved[0].shape[-1] if law.categories else len(moved))
    )
    if law.categories:
        units = [jnp.broadcast_to(eye, (*moved[0].shape, len(eye)))]
        factors = law.relaxed(x, u, args, units, relaxation, extra, jnp)
        return jnp.einsum("...ij,...j->...i", factors, moved[0])
    units = [
        jnp.broadcast_to(row, (*slope.shape, len(moved)))
        for row, slope in zip(eye, moved, strict=True)
    ]
    factors = law.relaxed(x, u, args, units, relaxation, extra, jnp)
    return jnp.asarray(sum(factors[..., k] * slope for k, slope in enumerate(moved)))


def _poisson(u: JaxArray, mean: JaxArray) -> JaxArray:
    """Return the first count up to which probabilities add up to u."""
    import jax
    import jax.numpy as jnp

    def unfinished(state: Any) -> JaxArray:
        _, share, below, _ = state
        return jnp.any((u > below) & (share > 0))

    def advance(state: Any) -> Any:
        k, share, below, count = state
        going = (u > below) & (share > 0)
        share = share * (mean / (k + 1))
        return k + 1, share, below + share, count + going

    share = jnp.exp(-mean)
    start = (jnp.zeros((), mean.dtype), share, share, jnp.zeros_like(mean))
    return jax.lax.while_loop(unfinished, advance, start)[3]


def _fixed(values: JaxArray) -> JaxArray:
    import jax

    return jax.lax.stop_gradient(values)


def _fitted(size: Any, *args: Any) -> tuple[JaxArray, ...]:
    """Return arguments as arrays of the shape of the draws."""
    import jax.numpy as jnp

    arrays = [jnp.asarray(arg, jnp.float64) for arg in args]
    shape = () if size is None else _as_shape(size)
    return tuple(jnp.broadcast_arrays(jnp.zeros(shape), *arrays)[1:])


def _fitted_weights(size: Any, weights: Any) -> JaxArray:
    import jax.numpy as jnp

    if isinstance(weights, (int, np.integer)):
        weights = np.ones(int(weights))
    if isinstance(weights, (list, tuple)):
        weights = jnp.stack(jnp.broadcast_arrays(*weights), axis=-1)
    array = jnp.asarray(weights, jnp.float64)
    return array if size is None else jnp.broadcast_to(array, (*_as_shape(size), array.shape[-1]))


def _as_shape(size: Any) -> tuple[int, ...]:
    return (int(size),) if isinstance(size, (int, np.integer)) else tuple(size)
