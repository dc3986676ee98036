"""The simulator of lattice models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tumble._errors import DataError, DerivativeError, ParameterError
from tumble._philox import halves
from tumble._relaxation import AbstractRelaxation
from tumble._results import SampleCode
from tumble._site_draws import ForcedDraw
from tumble._typing import FloatArray, IntArray
from tumble.models.lattices import AbstractLattice
from tumble.simulators._base import (
    AbstractSimulator,
    AlternativeSample,
    Batch,
    PairSample,
    RelaxedSample,
    Sample,
    ScoredSample,
    SupportsAlternative,
    SupportsFrames,
    SupportsRelaxation,
    SupportsScore,
)
from tumble.simulators._lattice_runs import (
    Setting,
    backward,
    place_finder,
    recorder,
    relaxed_sampler,
    sampler,
    scorer,
)

# Runs go side by side in one call, as many as fit into a cache, and at most so many; more of runs
# of a few steps, which take no longer than to begin a call.
_MOST_NUMBERS, _MOST_ROWS, _FEW_STEPS = 2**18, 1024, 16
_PER_SITE, _RATIO = 8, 8
_TIME_SLACK = 1e-6  # of a step
_INVALID = (
    "a draw got a probability outside 0 to 1, negative weights, or a rate or sd that makes no sense"
)


@dataclass(frozen=True)
class LatticeSteps(
    AbstractSimulator, SupportsScore, SupportsAlternative, SupportsRelaxation, SupportsFrames
):
    """Runs a lattice model step by step, many runs side by side, compiled by JAX.

    Definition: the score is Σ ∂ log p(outcome) over all draws so far. An alternative is the run
    with the draw of one site in one step forced to another outcome, all other draws sharing their
    uniforms with the run: ∂E[f] = E Σ_draws Σ_outcomes ∂p(outcome) (f(forced) − f(run)), of whose
    terms M are chosen by their lengths |∂p|. A pair is two runs with the same uniforms. Pathwise
    derivatives go forward with the run, a tangent for each parameter.

    Guarantee: scores and alternatives are unbiased; see `tumble.models.AbstractLattice` for what
    the model has to keep to. The score is not defined where a probability that depends on a
    parameter is 0 or 1, alternatives are.

    Cost: a score takes the derivatives of all probabilities in each step, M alternatives 1 + M runs
    and those derivatives. The same program runs on a GPU that JAX can see.

    References: Glynn, Commun. ACM 33 (1990), doi:10.1145/84537.84552; Heidergott, Vázquez-Abad,
    J. Optim. Theory Appl. 136 (2008), doi:10.1007/s10957-007-9318-6.
    """

    exact: ClassVar[bool] = True
    discrete: ClassVar[bool] = False
    takes: ClassVar[type] = AbstractLattice
    shares_out: ClassVar[bool] = True

    def work_of_run(self, model: AbstractLattice, batch: Batch) -> float:
        """See `AbstractSimulator.work_of_run`: numbers of the state, times steps."""
        return float(_state_size(model, batch) * step_counts(model, batch).sum())

    def sample(self, model: AbstractLattice, batch: Batch, *, executor: Any = None) -> Sample:
        """See `AbstractSimulator.sample`."""
        outputs, valid = _rows(model, batch, lambda s: sampler(model)(s))
        states, codes, events = _judged(outputs, valid)
        return Sample(states, codes, events, messages=_messages(codes))

    def sample_with_score(
        self, model: AbstractLattice, batch: Batch, *, executor: Any = None
    ) -> ScoredSample:
        """See `SupportsScore.sample_with_score`."""
        outputs, score, valid = _rows(model, batch, lambda s: scorer(model)(s), True)
        sample = _judged(outputs, valid)
        return ScoredSample(*sample, score, messages=_messages(sample[1]))

    def sample_pairs(
        self, model: AbstractLattice, batch: Batch, *, executor: Any = None
    ) -> PairSample:
        """Run both sides of the pairs with the same uniforms."""
        sides = [
            self.sample(
                model, replace(batch, params=batch.params[:, k], initial=batch.initial[:, k])
            )
            for k in range(2)
        ]
        codes = np.where(sides[0].codes != 0, sides[0].codes, sides[1].codes)
        states: Any = np.stack([side.states for side in sides], axis=1)
        messages = {**sides[1].messages, **sides[0].messages}
        return PairSample(states, codes, np.zeros(len(codes), np.int64), messages=messages)

    def sample_with_alternatives(
        self,
        model: AbstractLattice,
        batch: Batch,
        scales: FloatArray,
        num_phantoms: int,
        *,
        executor: Any = None,
    ) -> AlternativeSample:
        """See `SupportsAlternative.sample_with_alternatives`."""
        scales = np.asarray(scales, dtype=float)
        if num_phantoms < 1 or scales.shape != (len(model.parameters),):
            raise ParameterError(
                f"`num_phantoms` is {num_phantoms} and `scales` has shape {scales.shape}, expected "
                f"at least 1 and one number for each of {len(model.parameters)} parameters."
            )
        m = int(num_phantoms)
        seen = (scales > 0).astype(float)
        outputs, places, valid = _rows(
            model, batch, lambda s: place_finder(model, m)(s, scales), True
        )
        again = replace(
            batch,
            params=np.repeat(batch.params, m, axis=0),
            initial=np.repeat(batch.initial, m, axis=0),
            runs=np.repeat(batch.runs, m),
        )
        forced = ForcedDraw(*(np.reshape(part, -1) for part in places.forced))
        others, also = _rows(model, again, lambda s: sampler(model)(s), forced=forced)
        shape = (len(batch.runs), m, *outputs.shape[1:])
        others, also = others.reshape(shape), also.reshape(len(batch.runs), m).all(1)
        sample = _judged(outputs, valid & also & np.isfinite(others).all((1, 2, 3)))
        pairs: Any = np.stack([others, np.broadcast_to(outputs[:, None], shape)], axis=2)
        weights = places.direction * seen * (places.total / m)[:, None, None]
        return AlternativeSample(*sample, pairs, weights, messages=_messages(sample[1]))

    def record_frames(self, model: AbstractLattice, batch: Batch) -> tuple[Any, IntArray]:
        """See `SupportsFrames.record_frames`."""
        states, outputs, valid = _rows(model, batch, lambda s: recorder(model)(s))
        return states, _judged(outputs, valid)[1]

    def sample_relaxed(
        self,
        model: AbstractLattice,
        batch: Batch,
        relaxation: AbstractRelaxation,
        *,
        executor: Any = None,
    ) -> RelaxedSample:
        """See `SupportsRelaxation.sample_relaxed`."""
        program = relaxed_sampler(model, relaxation)
        outputs, slopes, valid = _rows(model, batch, lambda s: program(s), True)
        states, codes, events = _judged(outputs, valid)
        if not np.isfinite(slopes[codes == 0]).all():
            raise DerivativeError(
                f"{type(relaxation).__name__} has no derivative here: a draw has a probability of "
                "0 or 1, or a rate of 0, that depends on a parameter, as that of a site does whose "
                "neighbors might have been otherwise. StraightThrough() takes them."
            )
        return RelaxedSample(
            states, codes, events, np.where((codes == 0)[:, None, None, None], slopes, 0.0),
            messages=_messages(codes),
        )  # fmt: skip

    def backward(
        self,
        model: AbstractLattice,
        params: tuple[FloatArray, ...],
        batch: Batch,
        loss: Callable[[Any], Any],
        relaxation: AbstractRelaxation,
    ) -> BackwardSample:
        """Return the loss of one run and its slopes, from its end to its beginning.

        Arguments: ``params``, in the order of the model's, each a number or an array that its steps
        take in the place of one; ``batch`` of one run, whose parameters are not looked at; ``loss``
        of the outputs [T, O], in `jax.numpy`. Its time and memory do not depend on how many
        parameters there are; states are kept at √N of N steps. A derivative that is not defined is
        NaN.
        """
        import jax

        rows = tuple(int(n) for n in steps_until(model, batch.times, batch.start))
        setting = Setting(
            params, np.asarray(batch.initial[0], dtype=float), halves(batch.stream.key),
            halves(batch.runs[0]), None, model.arrays,
        )  # fmt: skip
        with jax.enable_x64(True):
            value, slopes, valid = backward(model, rows, loss, relaxation)(setting)
            return BackwardSample(
                float(value), tuple(np.asarray(slope) for slope in slopes), bool(valid)
            )


class BackwardSample(NamedTuple):
    """The ``loss`` of a run, its ``slopes`` by parameter, and whether its draws were ``valid``."""

    loss: float
    slopes: tuple[FloatArray, ...]
    valid: bool


def _rows(
    model: Any,
    batch: Batch,
    program: Callable[[Setting], Any],
    slopes: bool = False,
    forced: ForcedDraw | None = None,
) -> Any:
    """Call a program for all rows of a batch, some at a time, and put what it returns together."""
    import jax

    counts = step_counts(model, batch)
    per_call = _rows_per_call(model, batch, slopes)
    found = []
    with jax.enable_x64(True):
        arrays = _on_device(model.arrays)
        for first, count, size in _pieces(len(batch.runs), per_call):
            # The last rows may repeat others, which are cut off again.
            rows = first + np.minimum(np.arange(size), count - 1)
            setting = Setting(
                np.asarray(batch.params[rows], dtype=float),
                np.asarray(batch.initial[rows], dtype=float),
                halves(batch.stream.key),
                halves(batch.runs[rows]),
                counts,
                arrays,
                None if forced is None else ForcedDraw(*(part[rows] for part in forced)),
            )
            some = jax.tree.map(lambda part, n=count: np.asarray(part)[:n], program(setting))
            found.append(some)
    return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


def _on_device(arrays: Any) -> Any:
    """Return arrays of a model on the device; those that cannot change are put there once."""
    import jax

    leaves = jax.tree.leaves(arrays)
    fixed = all(isinstance(leaf, np.ndarray) and not leaf.flags.writeable for leaf in leaves)
    return _put(_Same(arrays)) if leaves and fixed else jax.device_put(arrays)


class _Same:
    """Arrays that are the same as others if they are the same objects. Final.

    Models that are equal run by the same program, with arrays of their own.
    """

    def __init__(self, arrays: Any) -> None:
        import jax

        self.arrays = arrays
        leaves, tree = jax.tree.flatten(arrays)
        self._key = str(tree), tuple(map(id, leaves))  # of objects that are kept, so of no others

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@lru_cache(maxsize=1)  # a fit calls hundreds of times with the same movies
def _put(same: _Same) -> Any:
    import jax

    return jax.device_put(same.arrays)


def _pieces(num_rows: int, largest: int) -> Iterator[tuple[int, int, int]]:
    """Yield the first row, the rows and the size of each call: of two sizes, as each is compiled.

    A fit calls for 4 runs and for thousands. To compile a program takes as long as many runs, so
    that some rows too many in a call of a few cost less than a size of their own.
    """
    few, first = max(largest // _RATIO, 1), 0
    while first < num_rows:
        left = num_rows - first
        size = few if left <= largest // 2 else largest
        yield first, min(left, size), size
        first += size


def steps_until(model: Any, times: FloatArray, start: float) -> IntArray:
    """Return the steps from the start to each time [T]. Raises `DataError`."""
    steps = (np.asarray(times) - start) / model.step_time
    whole = np.rint(steps)
    odd = np.abs(steps - whole) > _TIME_SLACK * np.maximum(whole, 1)
    if np.any(odd):
        raise DataError(
            f"the time {times[np.argmax(odd)]:g} is not a whole number of steps of "
            f"{model.step_time:g} after the start at {start:g}; {type(model).__name__} goes "
            "in steps."
        )
    return whole.astype(np.int64)


def step_counts(model: Any, batch: Batch) -> IntArray:
    """Return the steps from one observation to the next [T]. Raises `DataError`."""
    return np.diff(steps_until(model, batch.times, batch.start), prepend=0)


def _rows_per_call(model: Any, batch: Batch, slopes: bool) -> int:
    """Return how many runs go side by side; a power of two."""
    size = _state_size(model, batch)
    per_run = max(size, 1) * _PER_SITE * (1 + (len(model.parameters) if slopes else 0))
    num_steps = max(int(step_counts(model, batch).sum()), 1)
    numbers = _MOST_NUMBERS * max(_FEW_STEPS // num_steps, 1)
    fitting = int(np.clip(numbers // per_run, 1, _MOST_ROWS))
    return 1 << (fitting.bit_length() - 1)


def _state_size(model: Any, batch: Batch) -> int:
    """Return how many numbers the state of a run has."""
    return _size_of(model, len(batch.params[0]), len(batch.initial[0]))


@lru_cache(maxsize=64)
def _size_of(model: Any, num_params: int, num_initial: int) -> int:
    import jax
    import jax.numpy as jnp

    from tumble._site_draws import SiteDraws

    def state(params: Any, initial: Any) -> Any:
        named = dict(zip(model.parameters, params, strict=True))
        named |= dict(zip(model.initial, initial, strict=True))
        zero = jnp.uint32(0)
        return model.start(named, SiteDraws((zero, zero), (zero, zero), zero))

    with jax.enable_x64(True):
        found = jax.eval_shape(state, np.zeros(num_params), np.zeros(num_initial))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(found))


def _messages(codes: IntArray) -> dict[int, str]:
    return {int(SampleCode.INVALID_RATE): _INVALID} if SampleCode.INVALID_RATE in codes else {}


def _judged(outputs: FloatArray, valid: Any) -> tuple[FloatArray, IntArray, IntArray]:
    """Return outputs, codes and events."""
    finite = np.isfinite(outputs).all((1, 2))
    codes = np.where(valid, np.where(finite, SampleCode.OK, SampleCode.NOT_FINITE),
                     SampleCode.INVALID_RATE).astype(np.int64)  # fmt: skip
    states = np.where((codes == 0)[:, None, None], outputs, np.nan)
    return states, codes, np.zeros(len(codes), np.int64)
