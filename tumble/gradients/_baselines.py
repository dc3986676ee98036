"""What is subtracted from a feature before it is multiplied with a score."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tumble._errors import require_whole
from tumble._execution import split
from tumble._typing import FloatArray, IntArray

# Below this many runs there are too few to fit anything to, and the mean of the others is better.
_WORTH_FITTING = 64
# Runs for each fitted coefficient, and the most increments that are kept at a time (256 MB).
_RUNS_PER_CONTROL, _MOST_NUMBERS = 8, 2**25
# Of a reaction that fired less often in a window, what is seen is the compensator alone, or, where
# the window is but a rounding error long, nothing but rounding. Its mean is zero thanks to events
# that nobody saw, so that an estimate would be off by far more than its runs tell.
_FIRINGS_PER_CONTROL = 8
# Products of matrices with fewer terms than this stay in one thread.
_BLOCK = 2**17
# Keeps normal equations regular; any coefficients are unbiased.
_RIDGE = 1e-8


@dataclass(frozen=True)
class ScoredRuns:
    """Runs of one experiment with their scores.

    ``features`` [n, T, K] and ``score`` [n, T, P] at the observation times; ``explicit`` slopes
    [n, T, K, P] of the features, or None; ``times`` [G], the start and all that was recorded, of
    which numbers ``observed`` [T] are the observation times. Of the M reactions of mass action:
    ``martingales`` [n, G, M], firings less ∫ a ds; ``fired`` [n, G, M]; and ``slopes`` [M, P],
    ∂ log a / ∂z.
    """

    features: FloatArray
    score: FloatArray
    explicit: FloatArray | None
    times: FloatArray
    observed: IntArray
    martingales: FloatArray
    fired: FloatArray
    slopes: FloatArray


class AbstractBaseline(abc.ABC):
    """Makes f S, the derivative of E[f], vary less, and leaves its mean as it is.

    Since E[S] = 0, any number that does not depend on the run itself may be subtracted from f.
    """

    any_size: ClassVar[bool]
    """Whether it does as well, for each run, in a batch of a few as in a large one."""

    def cost_of_run(self, num_features: int, num_params: int) -> float:
        """Return what its arithmetic on a run is worth in events, as found on one core."""
        return 0.0

    @abc.abstractmethod
    def num_windows(self, num_runs: int, num_reactions: int) -> int:
        """Return into how many windows the time of runs is to be cut; 0 if none are needed."""

    @abc.abstractmethod
    def parts(self, num_runs: int) -> list[slice]:
        """Return the batches that runs are divided into; gradients of batches are averaged."""

    @abc.abstractmethod
    def apply(self, runs: ScoredRuns, part: slice) -> tuple[FloatArray, FloatArray]:
        """Return features [m, T, K] and Jacobians [m, T, K, P] of the runs of one batch."""


@dataclass(frozen=True)
class LeaveOneOut(AbstractBaseline):
    """The mean of the feature over the other runs, for all parameters alike.

    Guarantee: unbiased at every batch size, for losses of both kinds.
    """

    any_size: ClassVar[bool] = True

    def num_windows(self, num_runs: int, num_reactions: int) -> int:
        """See `AbstractBaseline.num_windows`."""
        return 0

    def parts(self, num_runs: int) -> list[slice]:
        """See `AbstractBaseline.parts`."""
        return [slice(0, num_runs)]

    def apply(self, runs: ScoredRuns, part: slice) -> tuple[FloatArray, FloatArray]:
        """See `AbstractBaseline.apply`."""
        return runs.features, _with_explicit(leave_one_out(runs.features, runs.score), runs)


@dataclass(frozen=True)
class CrossFitted(AbstractBaseline):
    """The best constant for each feature and parameter, E[f S_p²] / E[S_p²], from the other runs.

    Definition: both expectations are sums over all runs but the one that is corrected (as many
    folds as runs), so that the baseline is independent of its run.

    Guarantee: unbiased at every batch size, for losses of both kinds.

    When: hundreds of runs a step, and `LinearResponse` is out of question; a tenth of the variance
    is gained. Below a hundred runs it is noisier than `LeaveOneOut`.

    Reference: Greensmith, Bartlett, Baxter, J. Mach. Learn. Res. 5 (2004), 1471-1530.
    """

    any_size: ClassVar[bool] = True

    def num_windows(self, num_runs: int, num_reactions: int) -> int:
        """See `AbstractBaseline.num_windows`."""
        return 0

    def parts(self, num_runs: int) -> list[slice]:
        """See `AbstractBaseline.parts`."""
        return [slice(0, num_runs)]

    def apply(self, runs: ScoredRuns, part: slice) -> tuple[FloatArray, FloatArray]:
        """See `AbstractBaseline.apply`."""
        features, score = runs.features[..., None], runs.score[:, :, None, :]
        square = score**2
        weighted = features * square
        weights, sums = square.sum(0) - square, weighted.sum(0) - weighted
        baseline = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 0)
        return runs.features, _with_explicit((features - baseline) * score, runs)


@dataclass(frozen=True)
class LinearResponse(AbstractBaseline):
    """What a run is expected to yield, given how often each reaction fired more than expected.

    Definition: for a reaction r of mass action let M_r(t) = N_r(t) − ∫₀ᵗ a_r ds, firings less their
    compensator, a martingale, and ΔM_rw its increments over windows w before the time of the
    feature. f is regressed on them, f ≈ b + Σ β_rw ΔM_rw. Their products with the score have a
    known martingale, too: E[ΔM_rw S_p] = ∂_p log a_r E[ΔN_rw]. So

        J = (f − b − Σ β_rw ΔM_rw) S_p + Σ β_rw ∂_p log a_r ΔN_rw

    has the mean of f S_p, without the part of f S_p that the regression explains, which is most of
    it where f responds to single events in a nearly linear way. J and f themselves are then freed
    from their own regressions on ΔM, whose mean is zero. All coefficients come from the other half
    of the runs, and the halves are two batches, whose gradients are averaged. A reaction is left
    out of windows in which it fired fewer than eight times in all of the other half.

    Guarantee: unbiased whatever the coefficients, for losses of both kinds, since those of a batch
    do not depend on its runs. With fewer than 64 runs it is `LeaveOneOut`.

    Arguments: ``windows``, between the start and the last time, default 16. There are fewer where
    runs are less than eight for each coefficient.

    When: many runs, few reactions; long times, large populations, losses of expectations near their
    minimum, where all the noise is that of f. Not for networks of more reactions than an eighth of
    the runs, or all of whose reactions have rate laws: there it is a mean over the other half.

    Reference: Henderson, Glynn, Math. Oper. Res. 27 (2002), doi:10.1287/moor.27.2.253.329
    (martingales as controls).
    """

    windows: int = 16
    any_size: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_whole("windows", self.windows)

    def cost_of_run(self, num_features: int, num_params: int) -> float:
        """See `AbstractBaseline.cost_of_run`."""
        return 250.0 + num_features * (50.0 + 0.28 * num_params**2)

    def num_windows(self, num_runs: int, num_reactions: int) -> int:
        """See `AbstractBaseline.num_windows`."""
        if num_runs < _WORTH_FITTING or num_reactions == 0:
            return 0
        controls = min(num_runs // 2 // _RUNS_PER_CONTROL, _MOST_NUMBERS // num_runs)
        return min(self.windows, controls // num_reactions)

    def parts(self, num_runs: int) -> list[slice]:
        """See `AbstractBaseline.parts`."""
        return split(num_runs, 2 if num_runs >= _WORTH_FITTING else 1)

    def apply(self, runs: ScoredRuns, part: slice) -> tuple[FloatArray, FloatArray]:
        """See `AbstractBaseline.apply`."""
        n = len(runs.features)
        if n < _WORTH_FITTING:
            return LeaveOneOut().apply(runs, part)
        other = slice(part.stop, n) if part.start == 0 else slice(0, part.start)
        features, jacobians = [], []
        for k in range(len(runs.observed)):
            f, j = self._at_time(runs, k, part, other)
            features.append(f)
            jacobians.append(j)
        return np.stack(features, axis=1), np.stack(jacobians, axis=1)

    def _at_time(
        self, runs: ScoredRuns, k: int, here: slice, other: slice
    ) -> tuple[FloatArray, FloatArray]:
        """Return features [m, K] and Jacobians [m, K, P] at observation time k of runs ``here``."""
        edges = self._edges(runs, k)
        controls = np.diff(runs.martingales[:, edges], axis=1)
        fired = np.diff(runs.fired[:, edges], axis=1)
        controls[:, fired[other].sum(0) < _FIRINGS_PER_CONTROL] = 0.0
        shape = controls.shape[1:]
        controls = controls.reshape(len(controls), shape[0] * shape[1])
        features = runs.features[:, k]
        regression = _Regression(controls[other])
        level, response = regression.fit(features[other])
        rest = features - level - controls @ response
        # Σ β ∂ log a ΔN, the part that is expected of the regression
        size = (features.shape[1], runs.score.shape[2])
        known = np.einsum("lrk,rp->lrkp", response.reshape(*shape, size[0]), runs.slopes)
        known = known.reshape(controls.shape[1], size[0] * size[1])
        expected = fired.reshape(controls.shape) @ known
        jacobians = rest[:, :, None] * runs.score[:, k, None, :]
        jacobians += expected.reshape(-1, *size)
        if runs.explicit is not None:
            jacobians += runs.explicit[:, k]
        flat = jacobians.reshape(len(jacobians), size[0] * size[1])
        _, own = regression.fit(flat[other])
        corrected = flat[here] - controls[here] @ own
        return features[here] - controls[here] @ response, corrected.reshape(-1, *size)

    def _edges(self, runs: ScoredRuns, k: int) -> IntArray:
        """Return the numbers of the times that bound the windows before observation time k."""
        times = runs.times[: int(runs.observed[k]) + 1]
        count = self.num_windows(len(runs.features), runs.martingales.shape[2])
        if count == 0:
            return np.zeros(0, dtype=np.int64)
        wanted = np.linspace(times[0], times[-1], count + 1)
        return np.unique(np.abs(times - wanted[:, None]).argmin(axis=1))


def leave_one_out(features: FloatArray, score: FloatArray) -> FloatArray:
    """Return (f − mean of f over the other runs) S [n, T, K, P]."""
    n = len(features)
    centered = (features - features.mean(0)) * (n / (n - 1))
    return centered[..., None] * score[:, :, None, :]


def _with_explicit(jacobians: FloatArray, runs: ScoredRuns) -> FloatArray:
    return jacobians if runs.explicit is None else jacobians + runs.explicit


class _Regression:
    """Least squares on ``controls`` [n, C]. Final."""

    def __init__(self, controls: FloatArray) -> None:
        self._middle = controls.mean(0)
        self._spread = controls - self._middle
        self._gram = _product(self._spread, self._spread)
        scale = np.diag(self._gram).copy()
        self._gram[np.diag_indices_from(self._gram)] += _RIDGE * scale + (scale == 0)

    def fit(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return b [V] and β [C, V], the fit of b + controls @ β to ``values`` [n, V]."""
        center = values.mean(0)
        products = _product(self._spread, values - center)
        slopes = np.asarray(np.linalg.solve(self._gram, products), dtype=float)
        return center - self._middle @ slopes, slopes


def _product(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return leftᵀ right of tall arrays [n, A] and [n, B], summed over blocks of rows.

    In one piece such products are shared out among threads that mostly wait for each other.
    """
    terms = left.shape[1] * right.shape[1]
    block = max(16, _BLOCK // terms) if terms else len(left)
    count = len(left) // block
    whole = count * block
    a = left[:whole].reshape(count, block, left.shape[1])
    b = right[:whole].reshape(count, block, right.shape[1])
    return (np.swapaxes(a, 1, 2) @ b).sum(0) + left[whole:].T @ right[whole:]
