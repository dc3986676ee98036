"""Cellular Potts models in parallel, approximately."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tumble._errors import CapabilityError, ModelError, require_whole
from tumble._philox import halves, philox_words
from tumble._results import SampleCode
from tumble._typing import IntArray, JaxArray
from tumble._xla import jit
from tumble.models import AbstractWork, Adhesion, CellularPotts, Perimeter
from tumble.models.lattices import AbstractNeighborhood, Periodic
from tumble.simulators._base import AbstractSimulator, Batch, Sample, SupportsFrames
from tumble.simulators._tissue import CopyTables, copy_tables

_MOST_NUMBERS = 2**22  # of the states of runs that go side by side


@dataclass(frozen=True)
class Checkerboard(AbstractSimulator, SupportsFrames):
    """Copy attempts at many sites at once, in JAX, for accelerators: an approximation.

    Definition: sites are colored so that those of a color lie at least ``apart`` sites from each
    other along some axis, and none reads another. A Monte Carlo step is as many rounds as there are
    colors; a round draws a color, and all sites of it make an attempt at once, at the volumes and
    perimeters that cells had before. So in a step each site makes one attempt in the mean, as it
    does in the definition.

    Guarantee: none. It is another process: copies of a round do not see what the others do to the
    volumes of their cells. As in a step of Euler's method, the pull to the target acts too late,
    and the mean of (V − V*)² is too large by a share that grows with the sites of a cell in a
    round, V / ``apart``^axes. On cells of 130 sites in the plane, beside `Metropolis`, it was too
    large by 0.6 ± 0.4 % with the default (2 sites in a round), 3.7 ± 0.4 % with ``apart=4`` (8
    sites) and 19.3 ± 0.5 % with ``apart=2`` (32 sites), intervals of 95 %. Contacts, mean volumes
    and shapes agreed within 0.3 % with all three.

    Arguments: ``apart``, default 8; at least one more than the reach of the neighborhoods, which
    is taken where it is less.

    When: on a GPU, for large lattices, after a comparison on a small one. On a CPU `Metropolis` is
    several times as fast, and exact.
    """

    apart: int = 8
    exact: ClassVar[bool] = False
    discrete: ClassVar[bool] = False
    takes: ClassVar[type] = CellularPotts
    shares_out: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_whole("apart", self.apart)

    def sample(self, model: CellularPotts, batch: Batch, *, executor: Any = None) -> Sample:
        """See `AbstractSimulator.sample`."""
        frames, codes = self.record_frames(model, batch)
        states = np.array([model.observe(some) for some in frames])
        return Sample(states, codes, np.zeros(len(codes), np.int64))

    def record_frames(self, model: CellularPotts, batch: Batch) -> tuple[Any, IntArray]:
        """See `SupportsFrames.record_frames`: the cell of each site, [B, T, *shape]."""
        import jax

        work = next((t for t in model.energy if isinstance(t, AbstractWork)), None)
        if work is not None:
            raise CapabilityError(
                f"Checkerboard knows no work of copies, and the model has {type(work).__name__}; "
                "Metropolis() runs it."
            )
        board = _board(model, self.apart)
        rounds = _rounds(batch, len(board.colors))
        found = np.empty((len(batch.runs), len(rounds), *model.grid.shape), np.int32)
        per_call = max(1, _MOST_NUMBERS // model.grid.num_sites)
        with jax.enable_x64(True):
            for first in range(0, len(batch.runs), per_call):
                rows = slice(first, first + per_call)
                found[rows] = _frames(model, batch, rows, rounds, self.apart)
        return found, np.full(len(batch.runs), SampleCode.OK, np.int64)


class _Board(NamedTuple):
    """Indices: ``colors`` [colors, S] of sites, and neighbors [N, K] for copies and terms.

    Index N is the medium beyond an edge.
    """

    colors: IntArray
    copies: IntArray
    contacts: IntArray
    outlines: IntArray


def _rounds(batch: Batch, per_step: int) -> IntArray:
    """Return the rounds from one observation to the next [T]. Raises `ModelError`."""
    steps = np.asarray(batch.times) - batch.start
    if np.any(np.abs(steps - np.rint(steps)) > 1e-6):
        raise ModelError(
            "Checkerboard makes whole Monte Carlo steps, but `times` are not whole numbers; "
            "Metropolis stops after any attempt."
        )
    return np.diff(np.rint(steps) * per_step, prepend=0.0).astype(np.int64)


@functools.lru_cache(maxsize=16)
def _board(model: CellularPotts, apart: int) -> _Board:
    shape, num_axes = model.grid.shape, len(model.grid.shape)
    periodic = isinstance(model.grid.boundary, Periodic)
    sites = np.indices(shape).reshape(num_axes, -1)

    def neighbors(neighborhood: AbstractNeighborhood | None) -> IntArray:
        offsets = neighborhood.offsets(num_axes) if neighborhood else ()
        columns = np.empty((sites.shape[1], len(offsets)), np.int64)
        for k, offset in enumerate(offsets):
            there = sites + np.array(offset)[:, None]
            size = np.array(shape)[:, None]
            inside = np.all((there >= 0) & (there < size), axis=0) | periodic
            flat = np.ravel_multi_index(tuple(there % size), shape)
            columns[:, k] = np.where(inside, flat, sites.shape[1])
        return columns

    adhesion, perimeter = model.term(Adhesion), model.term(Perimeter)
    read = [
        model.grid.neighborhood,
        adhesion.neighborhood if adhesion else None,
        perimeter.neighborhood if perimeter else None,
    ]
    reach = max(abs(step) for n in read if n for o in n.offsets(num_axes) for step in o)
    classes = [_classes(n, max(apart, 1 + reach), periodic)[where]
               for n, where in zip(shape, sites, strict=True)]  # fmt: skip
    _, color = np.unique(np.stack(classes), axis=1, return_inverse=True)
    groups = [np.flatnonzero(color.ravel() == c) for c in range(color.max() + 1)]
    size = max(map(len, groups))
    # Colors that have fewer sites are filled up with the medium beyond, which makes no copies.
    colors = np.array([np.pad(g, (0, size - len(g)), constant_values=sites.shape[1])
                       for g in groups])  # fmt: skip
    return _Board(colors, *(neighbors(n) for n in read))


def _classes(size: int, apart: int, periodic: bool) -> IntArray:
    """Return classes [size] of the places along an axis: those of one are ``apart`` or further.

    On a torus what is left over of a multiple of ``apart`` is in classes of its own.
    """
    places = np.arange(size)
    whole = size // apart * apart if periodic else size
    return np.where(places < whole, places % apart, apart + places - whole)


def _frames(
    model: CellularPotts, batch: Batch, rows: slice, rounds: IntArray, apart: int
) -> IntArray:
    """Return the frames [b, T, *shape] of some rows."""
    import jax
    import jax.numpy as jnp

    tables = copy_tables(model)
    couplings = [tables.couplings(params) for params in batch.params[rows]]
    levels = jax.tree.map(lambda *some: jnp.stack(some), *map(tuple, couplings))
    advance = _program(model, apart)
    count = len(couplings)
    ids = np.append(model.start.ids.ravel(), 0).astype(np.int32)
    sizes = _sizes(tables, model)
    state = tuple(jnp.tile(part, (count, 1)) for part in (ids, *sizes))
    keys = [halves(batch.stream.child("checkerboard", name).key) for name in ("sites", "colors")]
    run = halves(batch.runs[rows])
    found, done = [], 0
    for more in rounds:
        state = advance(state, levels, keys, run, done, int(more))
        done += int(more)
        found.append(np.asarray(state[0])[:, :-1])
    return np.stack(found, axis=1).reshape(count, len(rounds), *model.grid.shape)


def _sizes(tables: CopyTables, model: CellularPotts) -> tuple[IntArray, IntArray]:
    """Return volumes and perimeters [C + 1] of the start."""
    from tumble.simulators._tissue import tissue_of

    tissue = tissue_of(tables, model.start.ids)
    return tissue.volumes, tissue.perimeters


@functools.lru_cache(maxsize=16)
def _program(model: CellularPotts, apart: int) -> Any:
    """Return the compiled program that makes some rounds of many runs."""
    import jax
    import jax.numpy as jnp

    board, types = _board(model, apart), model.start.types_of_ids
    num_colors, per_color = board.colors.shape

    def one_round(state: Any, levels: Any, keys: Any, run: Any, number: JaxArray) -> Any:
        ids, volumes, perimeters = state
        kinds = jnp.asarray(types)
        pick = philox_words(keys[1], run, _halved(number))[0].astype(jnp.uint64)
        sites = jnp.asarray(board.colors)[((pick * num_colors) >> 32).astype(jnp.int64)]
        draws = number * per_color + jnp.arange(per_color, dtype=jnp.uint64)
        words = [w.astype(jnp.uint64) for w in philox_words(keys[0], run, _halved(draws))]
        there = ((words[0] * board.copies.shape[1]) >> 32).astype(jnp.int64)
        inside = jnp.minimum(sites, len(board.copies) - 1)
        old, new = ids[sites], ids[jnp.asarray(board.copies)[inside, there]]
        change, grows, shrinks = _changes(board, inside, old, new, kinds, state, levels)
        uniform = (words[1].astype(float) + (words[2].astype(float) + 0.5) / 2**32) / 2**32
        tries = (sites < len(board.copies)) & (old != new)
        taken = tries & (uniform < jnp.exp(-jnp.maximum(change, 0.0)))
        one = taken.astype(volumes.dtype)
        return (
            ids.at[sites].set(jnp.where(taken, new, old)),
            volumes.at[new].add(one).at[old].add(-one),
            perimeters.at[new].add(one * grows).at[old].add(one * shrinks),
        )

    def advance(state: Any, levels: Any, keys: Any, run: Any, first: Any, count: Any) -> Any:
        def body(m: JaxArray, state: Any) -> Any:
            return one_round(state, levels, keys, run, (first + m).astype(jnp.uint64))

        return jax.lax.fori_loop(0, count, body, state)

    return jit(jax.vmap(advance, in_axes=(0, 0, None, 0, None, None)))


def _changes(
    board: _Board, sites: JaxArray, old: JaxArray, new: JaxArray, types: JaxArray, state: Any,
    levels: Any,
) -> tuple[JaxArray, JaxArray, JaxArray]:  # fmt: skip
    """Return ΔH, and the changes of both perimeters, of giving sites from ``old`` to ``new``."""
    import jax.numpy as jnp

    ids, volumes, perimeters = state
    adhesion, volume, perimeter, *_ = levels
    a, b = types[old], types[new]
    around = ids[jnp.asarray(board.contacts)[sites]]
    kinds = types[around]
    change = (adhesion[b[:, None], kinds] * (around != new[:, None])).sum(1)
    change -= (adhesion[a[:, None], kinds] * (around != old[:, None])).sum(1)
    change += volume[0, b] * (2.0 * (volumes[new] - volume[1, b]) + 1.0)
    change -= volume[0, a] * (2.0 * (volumes[old] - volume[1, a]) - 1.0)
    beside = ids[jnp.asarray(board.outlines)[sites]]
    num = board.outlines.shape[1]
    grows = num - 2 * (beside == new[:, None]).sum(1)
    shrinks = 2 * (beside == old[:, None]).sum(1) - num
    change += perimeter[0, b] * grows * (2.0 * (perimeters[new] - perimeter[1, b]) + grows)
    change += perimeter[0, a] * shrinks * (2.0 * (perimeters[old] - perimeter[1, a]) + shrinks)
    return change, grows, shrinks


def _halved(number: JaxArray) -> tuple[JaxArray, JaxArray]:
    """Return the low and the high 32 bits of 64-bit numbers."""
    import jax.numpy as jnp

    return number.astype(jnp.uint32), (number >> np.uint64(32)).astype(jnp.uint32)
