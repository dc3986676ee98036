"""Programs that run a lattice model, compiled by JAX once for each model and kind of run."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tumble._draw_laws import AbstractLaw
from tumble._errors import DerivativeError, ModelError
from tumble._relaxation import AbstractRelaxation
from tumble._site_draws import ForcedDraw, SeenDraw, SiteDraws
from tumble._typing import JaxArray
from tumble._xla import jit_lattice


class Setting(NamedTuple):
    """One run: ``params`` [Q], ``initial`` [S], halves of ``key`` and ``run``, ``counts`` [T].

    The last are the steps between one observation and the next. ``arrays`` of the model;
    ``forced``, an outcome to be had.
    """

    params: Any
    initial: Any
    key: tuple[Any, Any]
    run: tuple[Any, Any]
    counts: Any
    arrays: Any = ()
    forced: ForcedDraw | None = None


class Places(NamedTuple):
    """M alternatives, chosen among all that a run had: what to force, and their directions [M, Q].

    Each weighs ``total`` / M times its direction.
    """

    total: JaxArray
    direction: JaxArray
    forced: ForcedDraw


class Seen(NamedTuple):
    """The draws of a step, and the slopes [..., Q] of their arguments."""

    draws: list[SeenDraw]
    slopes: tuple[tuple[JaxArray, ...], ...]


@functools.lru_cache(maxsize=64)
def sampler(model: Any) -> Callable[[Setting], Any]:
    """Return a program for settings with a first dimension b: outputs [b, T, O] and valid [b]."""

    def one(setting: Setting) -> Any:
        found = _walk(model, setting, _plain_step)
        return found.outputs, found.valid

    return _compiled(one)


@functools.lru_cache(maxsize=64)
def recorder(model: Any) -> Callable[[Setting], Any]:
    """Return a program for states [b, T, ...], outputs [b, T, O] and valid [b]."""

    def one(setting: Setting) -> Any:
        found = _walk(model, setting, _plain_step, see=lambda m, s: (s, _observed(m, s)))
        return *found.outputs, found.valid

    return _compiled(one)


@functools.lru_cache(maxsize=64)
def scorer(model: Any) -> Callable[[Setting], Any]:
    """Return a program for outputs [b, T, O], the score [b, T, Q] and valid [b]."""

    def one(setting: Setting) -> Any:
        import jax.numpy as jnp

        def add(score: JaxArray, seen: Seen, step: JaxArray) -> JaxArray:
            if model.renews:
                score = jnp.zeros_like(score)
            for draw, slopes in zip(seen.draws, seen.slopes, strict=True):
                found = draw.law.score(draw.outcome, draw.args, slopes, jnp)
                score = score + found.reshape(-1, len(score)).sum(0)
            return score

        found = _walk(model, setting, _seen_step, add, jnp.zeros(setting.params.shape))
        return found.outputs, found.notes, found.valid

    return _compiled(one)


@functools.lru_cache(maxsize=64)
def relaxed_sampler(model: Any, relaxation: AbstractRelaxation) -> Callable[[Setting], Any]:
    """Return a program for outputs [b, T, O], their slopes [b, T, O, Q] and valid [b]."""

    def one(setting: Setting) -> Any:
        import jax

        def outputs_of(params: JaxArray) -> Any:
            advance = functools.partial(_plain_step, relaxation=relaxation)
            found = _walk(model, setting._replace(params=params), advance)
            return found.outputs, (found.outputs, found.valid)

        slopes, (outputs, valid) = jax.jacfwd(outputs_of, has_aux=True)(setting.params)
        return outputs, slopes, valid

    return _compiled(one)


@functools.lru_cache(maxsize=64)
def place_finder(model: Any, num_places: int) -> Callable[..., Any]:
    """Return a program of settings and scales [Q] for outputs [b, T, O], `Places` and valid."""

    def one(setting: Setting, scales: JaxArray) -> Any:
        import jax.numpy as jnp

        def look(places: Places, seen: Seen, step: JaxArray) -> Places:
            draws = SiteDraws(setting.key, setting.run, step)
            for draw, slopes in zip(seen.draws, seen.slopes, strict=True):
                shape = draw.outcome.shape
                count = int(np.prod(shape)) * draw.law.num_extra
                extra = draws.extra_uniforms(draw.call, (2 * num_places + count,))
                places = _reservoir(places, draw, slopes, scales, extra, step)
            return places

        whole = jnp.full(num_places, -1, jnp.int32)
        nowhere = ForcedDraw(whole, whole, whole, jnp.zeros(num_places))
        none = Places(jnp.zeros(()), jnp.zeros((num_places, *setting.params.shape)), nowhere)
        found = _walk(model, setting, _seen_step, look, none)
        return found.outputs, found.last, found.valid

    return _compiled(one, scales=True)


@functools.lru_cache(maxsize=8)
def backward(
    model: Any, rows: tuple[int, ...], loss: Callable[[Any], Any], relaxation: AbstractRelaxation
) -> Callable[[Setting], Any]:
    """Return a program for one setting: the loss of outputs [T, O], its slopes and validity.

    ``rows`` are the steps until each time. Params may be any arrays, one for each of the model's;
    the slopes are like them. States are kept every √N of N steps and computed again in between.
    """

    def value(params: Any, setting: Setting) -> Any:
        import jax
        import jax.numpy as jnp

        setting = setting._replace(params=params)
        state, _, valid = _plain_step(model, setting, None, jnp.uint32(0), relaxation, True)
        first = _observed(model, state)[None]

        @jax.checkpoint
        def advance(carry: Any, step: JaxArray) -> Any:
            state, valid = carry
            new, _, fine = _plain_step(model, setting, state, step, relaxation, True)
            new = _alike(model, state, new)
            return (new, valid & fine), _observed(model, new)

        @jax.checkpoint
        def through(carry: Any, some: JaxArray) -> Any:
            return jax.lax.scan(advance, carry, some)

        steps = jnp.arange(1, rows[-1] + 1, dtype=jnp.uint32)
        chunk = _chunk(len(steps))
        whole = len(steps) - len(steps) % chunk
        carry, seen = jax.lax.scan(through, (state, valid), steps[:whole].reshape(-1, chunk))
        parts = [first, seen.reshape(whole, -1)]
        if whole < len(steps):
            carry, rest = jax.lax.scan(advance, carry, steps[whole:])
            parts.append(rest)
        outputs = jnp.concatenate(parts)
        return loss(outputs[np.asarray(rows)]), carry[1]

    def one(setting: Setting) -> Any:
        import jax

        (found, valid), slopes = jax.value_and_grad(value, has_aux=True)(setting.params, setting)
        return found, slopes, valid

    import jax

    return jax.jit(one)


# -- private ---------------------------------------------------------------------------------------


def _chunk(num_steps: int) -> int:
    """Return about √N, and if possible a divisor of N: what is left over is compiled apart."""
    root = max(math.isqrt(num_steps), 1)
    return next((n for n in range(root, root // 2, -1) if num_steps % n == 0), root)


class _Walked(NamedTuple):
    """``outputs`` [T, O]; ``notes`` at each time, and at the end, ``last``; and ``valid``."""

    outputs: JaxArray
    notes: Any
    last: Any
    valid: JaxArray


def _walk(
    model: Any,
    setting: Setting,
    advance: Callable[..., Any],
    note: Callable[..., Any] = lambda notes, info, step: notes,
    notes: Any = (),
    see: Callable[[Any, Any], Any] | None = None,
) -> _Walked:
    """Run a model from its start.

    ``advance(model, setting, state, step) -> (state, info, valid)`` makes a step, the start where
    the state is None; ``note(notes, info, step) -> notes`` keeps what is wanted of it;
    ``see(model, state)``, what is seen at each time, default the outputs.
    """
    import jax
    import jax.numpy as jnp

    look = _observed if see is None else see
    state, info, valid = advance(model, setting, None, jnp.uint32(0))
    notes = note(notes, info, jnp.uint32(0))

    def body(_: Any, carry: Any) -> Any:
        state, notes, valid, step = carry
        new, info, fine = advance(model, setting, state, step)
        new = _alike(model, state, new)
        return new, note(notes, info, step), valid & fine, step + jnp.uint32(1)

    def until_seen(carry: Any, count: JaxArray) -> Any:
        carry = jax.lax.fori_loop(0, count, body, carry)
        return carry, (look(model, carry[0]), carry[1])

    begin = (state, notes, valid, jnp.uint32(1))
    (_, last, valid, _), (outputs, along) = jax.lax.scan(until_seen, begin, setting.counts)
    return _Walked(outputs, along, last, valid)


def _plain_step(
    model: Any,
    setting: Setting,
    state: Any,
    step: JaxArray,
    relaxation: AbstractRelaxation | None = None,
    backward: bool = False,
) -> Any:
    draw = SiteDraws(setting.key, setting.run, step, setting.forced, relaxation, backward)
    state = _next(model, setting, setting.params, state, draw)
    if relaxation is not None:
        _require_real(model, state)
    return state, None, draw.valid


def _seen_step(model: Any, setting: Setting, state: Any, step: JaxArray) -> Any:
    import jax

    drawn: list[tuple[int, AbstractLaw]] = []

    def arguments(params: JaxArray) -> Any:
        draw = SiteDraws(setting.key, setting.run, step, setting.forced)
        new = _next(model, setting, params, state, draw)
        drawn[:] = [(seen.call, seen.law) for seen in draw.seen]
        args = tuple(seen.args for seen in draw.seen)
        return args, (new, args, [seen.outcome for seen in draw.seen], draw.valid)

    slopes, (new, args, outcomes, valid) = jax.jacfwd(arguments, has_aux=True)(setting.params)
    draws = [SeenDraw(*d, x, a) for d, x, a in zip(drawn, outcomes, args, strict=True)]
    return new, Seen(draws, slopes), valid


def _next(model: Any, setting: Setting, params: JaxArray, state: Any, draw: SiteDraws) -> Any:
    """Return the state after a step; the first one where there is none."""
    import jax
    import jax.numpy as jnp

    model = model.having(setting.arrays)
    named = {name: params[q] for q, name in enumerate(model.parameters)}
    if state is not None:
        return model.step(state, named, draw)
    named |= {name: setting.initial[s] for s, name in enumerate(model.initial)}
    return jax.tree.map(jnp.asarray, model.start(named, draw))


def _reservoir(
    places: Places,
    draw: SeenDraw,
    slopes: tuple[JaxArray, ...],
    scales: JaxArray,
    extra: JaxArray,
    step: JaxArray,
) -> Places:
    """Let the alternatives of one draw take the places of those kept so far, by their lengths.

    As `tumble.simulators._watches.PlaceWatch` does for the draws of a black box.
    """
    import jax.numpy as jnp

    num_places, num_params = places.direction.shape
    more = extra[2 * num_places :].reshape(*draw.outcome.shape, draw.law.num_extra)
    weights, outcomes = draw.law.alternatives(draw.outcome, draw.args, slopes, more, jnp)
    per_draw = weights.shape[-2]
    weights, outcomes = weights.reshape(-1, num_params), outcomes.ravel()
    lengths = jnp.sqrt(((weights * scales) ** 2).sum(-1))
    edges = jnp.cumsum(lengths)
    new = edges[-1]
    total = places.total + new
    taken = extra[:num_places] * total < new
    found = jnp.searchsorted(edges, extra[num_places : 2 * num_places] * new, side="right")
    found = jnp.minimum(found, len(lengths) - 1)
    length = jnp.where(taken, lengths[found], 1.0)
    forced = ForcedDraw(
        jnp.where(taken, step.astype(jnp.int32), places.forced.step),
        jnp.where(taken, draw.call, places.forced.call),
        jnp.where(taken, found // per_draw, places.forced.site).astype(jnp.int32),
        jnp.where(taken, outcomes[found], places.forced.outcome),
    )
    direction = jnp.where(taken[:, None], weights[found] / length[:, None], places.direction)
    return Places(total, direction, forced)


def _observed(model: Any, state: Any) -> JaxArray:
    """Return the outputs [O]."""
    import jax.numpy as jnp

    seen = model.observe(state)
    missing = [name for name in model.outputs if name not in seen]
    if missing:
        raise ModelError(
            f"{type(model).__name__}.observe returns {', '.join(seen)}, without the output "
            f"{missing[0]!r}."
        )
    row = [jnp.asarray(seen[name], jnp.float64) for name in model.outputs]
    for name, value in zip(model.outputs, row, strict=True):
        if value.shape:
            raise ModelError(
                f"{type(model).__name__}.observe returns an array of shape {value.shape} for "
                f"{name!r}, expected one number."
            )
    return jnp.stack(row)


def _alike(model: Any, before: Any, after: Any) -> Any:
    """Return ``after`` in the types of ``before``. Raises `ModelError` where they do not agree."""
    import jax
    import jax.numpy as jnp

    name = type(model).__name__
    one, other = (str(jax.tree.structure(state)) for state in (before, after))
    if one != other:
        raise ModelError(
            f"{name}.step returns a state of another structure than {name}.start: {other} instead "
            f"of {one}."
        )

    def fitted(old: Any, new: Any) -> Any:
        new = jnp.asarray(new)
        loses = jnp.issubdtype(new.dtype, jnp.floating) and not jnp.issubdtype(
            old.dtype, jnp.floating
        )
        if new.shape != old.shape or loses:
            raise ModelError(
                f"{name}.step returns an array of shape {new.shape} and type {new.dtype} where "
                f"{name}.start has one of shape {old.shape} and type {old.dtype}."
            )
        return new.astype(old.dtype)

    return jax.tree.map(fitted, before, after)


def _require_real(model: Any, state: Any) -> None:
    import jax
    import jax.numpy as jnp

    for leaf in jax.tree.leaves(state):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise DerivativeError(
                f"the state of {type(model).__name__} has an array of type {leaf.dtype}, which "
                "carries no pathwise derivative; let `start` make it one of real numbers, or take "
                "another gradient: ScoreFunction and AlternativePath allow any state."
            )


def _compiled(one: Callable[..., Any], scales: bool = False) -> Callable[..., Any]:
    import jax

    row, shared = 0, None
    axes: Any = Setting(row, row, shared, row, shared, shared, row)  # type: ignore[arg-type]
    mapped = jax.vmap(one, in_axes=(axes, None) if scales else (axes,))
    return jit_lattice(mapped)
