"""Whole states of lattices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from tumble._errors import CapabilityError, DataError
from tumble._late import call_late
from tumble._typing import FloatArray, IntArray
from tumble.outputs._base import AbstractOutput, check_size
from tumble.outputs._counts import whole_block
from tumble.outputs._plan import Piece
from tumble.outputs._run_stream import Reduced, RunStream
from tumble.simulators import SupportsFrames


@dataclass(frozen=True, repr=False)
class Movies:
    """What `Frames` has kept.

    Attributes: ``states``, the states of the model, arrays [sample, time, ...] in the structure
    that the model gives them (with rows of parameters, [params, sample, time, ...]); ``times`` [T];
    ``codes`` [sample], 0 where a run succeeded; ``params``; ``stats``; ``interrupted``, whether it
    was stopped before the last run. In a notebook the first run plays (`plot.play`).
    """

    states: Any
    times: FloatArray
    codes: IntArray
    params: Mapping[str, Any]
    stats: Mapping[str, float]
    interrupted: bool = False

    def lattices(self, sample: int) -> dict[str, Any]:
        """Return the arrays of a run that have sites, [time, ...], by name.

        Numbers and positions, which change over time as well, have none. The name of a state that
        is one array is empty.
        """
        import jax

        found = {}
        for path, leaf in jax.tree_util.tree_flatten_with_path(self.states)[0]:
            name = ".".join(str(getattr(at, "key", getattr(at, "idx", at))) for at in path)
            if np.ndim(leaf) in (4, 5):
                found[name] = np.asarray(leaf)[sample]
        return found

    def _repr_html_(self) -> str:
        """Return a player of the first run, or the text where there is no lattice to be seen."""
        try:
            return str(call_late("tumble.plot", "play", self)._repr_html_())
        except DataError:
            return f"<pre>{escape(repr(self))}</pre>"

    def __repr__(self) -> str:
        import jax

        shapes = ", ".join(str(leaf.shape) for leaf in jax.tree.leaves(self.states))
        failed = int(np.count_nonzero(self.codes))
        ended = f", {failed} of {self.codes.size} runs failed" if failed else ""
        return f"Movies: arrays of shape {shapes}{ended}"


@dataclass(frozen=True)
class Frames(AbstractOutput[Movies]):
    """Keep the whole state of each run of a lattice at each time.

    Guarantee: the runs are those of `Counts` at the same seed and times.

    Returns `Movies`. Raises `CapabilityError` for models that are no lattices, and `ParameterError`
    where the frames would take more than 8 GiB.

    When: to look at runs, and to make movies for a fit. To compare numbers of many runs ask for
    `Counts` or `Moments` of the outputs.

    >>> from tumble import models, outputs, simulate
    >>> forest = models.ForestFire(models.Grid((8, 8), models.VonNeumann()))
    >>> kept = simulate(forest, {"p_growth": 0.1, "p_lightning": 0.01}, times=[0, 1, 5],
    ...                 num_samples=2, outputs=outputs.Frames())
    >>> kept.states["trees"].shape
    (2, 3, 8, 8)
    """

    def collect(self, runs: RunStream) -> Movies:
        """See `AbstractOutput.collect`."""
        import jax

        plan = runs.plan
        if not plan.simulator.offers(SupportsFrames, plan.model):
            raise CapabilityError(
                f"{type(plan.simulator).__name__} has no frames of a {type(plan.model).__name__} "
                "to keep (SupportsFrames), as only lattices have; ask for Counts at many times."
            )
        pieces, codes = [], []
        size = 0
        for piece, (states, ended) in runs.each(_frames_of, lambda piece: ()):
            size += sum(leaf.size for leaf in jax.tree.leaves(states))
            share = piece.stop / plan.num_runs
            check_size("frames", (int(size / share),), "fewer samples or fewer times")
            pieces.append(states)
            codes.append(ended)
        rows, samples = whole_block(plan, runs.done)

        def shaped(*parts: Any) -> Any:
            whole = np.concatenate(parts)[: rows * samples]
            return plan.shaped(whole.reshape(rows, samples, *whole.shape[1:]))

        return Movies(
            jax.tree.map(shaped, *pieces),
            np.asarray(plan.times),
            shaped(*codes),
            plan.given,
            runs.stats,
            runs.interrupted,
        )


def _frames_of(piece: Piece) -> Reduced:
    simulator: Any = piece.simulator
    states, codes = simulator.record_frames(piece.model, piece.batch())
    return Reduced((states, codes), codes, None, np.zeros(len(codes), np.int64))
