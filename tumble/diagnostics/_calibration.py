"""Whether intervals hold the truth as often as they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from scipy import stats

from tumble._errors import (
    ParameterError,
    SimulationError,
    TumbleError,
    require_member,
    require_whole,
)
from tumble._fit_result import FitResult
from tumble._late import call_late
from tumble._parameters import ParameterSpace
from tumble._problem import Problem
from tumble._progress import showing
from tumble._random import Stream
from tumble._sample_posterior import sample_posterior
from tumble._typing import FloatArray
from tumble.posteriors import AbstractPosteriorMethod, DataSets, JointPrior, Posterior

LEVELS = (0.5, 0.8, 0.95)
_FAR = 1e-3  # p-value below which ranks are called uneven, divided by the number of tests
_DRAWS = 1000  # from a fit
_MOST_TRIES = 10  # times the data sets asked for, where runs at the prior's parameters fail


@dataclass(frozen=True, repr=False)
class Calibration:
    """Truths among the posteriors of their data, in repeats.

    ``names`` of the P parameters; ``ranks`` [R, P], the share of each posterior below the truth:
    uniform on [0, 1] if it is calibrated; ``joint_ranks`` [R], the share nearer to a random point
    than the truth (TARP), uniform as well, which sees how parameters depend on each other;
    ``thetas`` [R, P], the truths; ``failed``, repeats in which there was no answer, and what was
    said in the first of them; ``what``, the method in words.
    """

    names: tuple[str, ...]
    ranks: FloatArray
    joint_ranks: FloatArray
    thetas: FloatArray
    failed: tuple[str, ...]
    what: str

    @property
    def num_repeats(self) -> int:
        """R, the repeats with an answer."""
        return len(self.ranks)

    def coverage(self, level: float = 0.95) -> dict[str, float]:
        """Return how often the central interval of this level held the truth."""
        inside = np.abs(self.ranks - 0.5) <= level / 2
        return dict(zip(self.names, inside.mean(0).tolist(), strict=True))

    @property
    def p_values(self) -> dict[str, float]:
        """p-values of the ranks being uniform, by Kolmogorov and Smirnov; ``"jointly"`` by TARP."""
        columns = [*self.ranks.T, self.joint_ranks]
        values = [float(stats.kstest(column, "uniform").pvalue) for column in columns]
        return dict(zip([*self.names, "jointly"], values, strict=True))

    @property
    def is_calibrated(self) -> bool:
        """Whether no p-value is below 0.001 divided by how many there are."""
        return min(self.p_values.values()) >= _FAR / (len(self.names) + 1)

    @property
    def verdicts(self) -> dict[str, str]:
        """What is wrong with each parameter, in words: too narrow, too wide, too high, too low."""
        return {
            n: _verdict(c, len(self.names)) for n, c in zip(self.names, self.ranks.T, strict=True)
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        covered = {level: self.coverage(level) for level in LEVELS}
        p_values, verdicts = self.p_values, self.verdicts
        return {
            "what": self.what,
            "repeats": self.num_repeats,
            "failed": list(self.failed),
            "calibrated": self.is_calibrated,
            "p_value_jointly": p_values["jointly"],
            "parameters": [
                {
                    "name": name,
                    "verdict": verdicts[name],
                    "p_value": p_values[name],
                    "coverage": {f"{level:g}": covered[level][name] for level in LEVELS},
                    "ranks": column.tolist(),
                }
                for name, column in zip(self.names, self.ranks.T, strict=True)
            ],
        }

    def plot(self, *, ax: Any = None) -> Any:
        """Draw the ranks; see `tumble.plot.ranks`."""
        return call_late("tumble.plot", "ranks", self, ax=ax)

    def summary(self) -> str:
        """Return coverage and verdicts, a line a parameter."""
        count = self.num_repeats
        word = (
            "calibrated, as far as these repeats tell" if self.is_calibrated else "NOT CALIBRATED"
        )
        lines = [f"Calibration of {self.what}: {word} ({count} repeats)"]
        width = max(len(name) for name in self.names)
        covered = [self.coverage(level) for level in LEVELS]
        p_values = self.p_values
        for name in self.names:
            shares = ", ".join(
                f"{100 * level:.0f} % holds {round(count * c[name])} of {count}"
                for level, c in zip(LEVELS, covered, strict=True)
            )
            lines.append(
                f"  {name:<{width}}  {self.verdicts[name]} (p = {p_values[name]:.2g}); {shares}"
            )
        lines.append(f"  jointly: p = {p_values['jointly']:.2g}")
        if self.failed:
            lines.append(f"  {len(self.failed)} repeats had no answer, the first: {self.failed[0]}")
        return "\n".join(lines)

    __repr__ = summary

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self.summary())}</pre>"


def check_calibration(
    problem: Problem,
    *,
    method: AbstractPosteriorMethod | Callable[[Problem], Posterior | FitResult] | None = None,
    num_repeats: int = 200,
    seed: int = 0,
    executor: Any = None,
    progress: Any = None,
) -> Calibration:
    """Return where the truth lies in posteriors of simulated data: simulation-based calibration.

    Parameters are drawn from the prior, a data set like the observed one is simulated at them, and
    the posterior given it is compared with them. If it is right, their rank is uniform, whatever
    the prior. Of a fit the normal law of its estimate on the fit scale is taken; then the prior is
    over what the truth might be, and a fit that does not know it need not be calibrated at every
    single truth.

    Arguments: ``problem``, of which the shape of the data and the prior count; ``method``, one of
    `tumble.posteriors`, or a function of a problem that returns a `Posterior` or a `FitResult`,
    such as ``lambda p: tb.fit(p)``, default `SMCABC`; ``num_repeats``, default 200; ``seed``,
    ``executor``, ``progress``.

    Guarantee: a method that is right is called NOT CALIBRATED in one case of a thousand. One that
    is wrong by little needs many repeats to be seen; and an answer that ignores the data and is the
    prior itself is calibrated too.

    Raises `SimulationError` where fewer than ten repeats have an answer.

    References: Talts, Betancourt, Simpson, Vehtari, Gelman (2018), arXiv:1804.06788; Lemos, Coogan,
    Hezaveh, Perreault-Levasseur, ICML (2023), arXiv:2302.03026 (TARP).
    """
    require_member("problem", problem, Problem, "a Problem")
    require_whole("num_repeats", num_repeats)
    known = method is None or isinstance(method, AbstractPosteriorMethod)
    if not known and (not callable(method) or isinstance(method, type)):
        raise ParameterError(
            f"`method` is {method!r}, expected one such as posteriors.SMCABC(), or a function of a "
            "problem."
        )
    stream = Stream.from_seed(seed).child("calibration")
    thetas, problems = _drawn(problem, num_repeats, stream, executor)
    ranks, joint, kept, failed = [], [], [], []
    with showing(progress, "check_calibration") as bar:
        for i, (theta, other) in enumerate(zip(thetas, problems, strict=True)):
            bar.update(i / num_repeats, f"repeat {i + 1} of {num_repeats}")
            rng = stream.child("ranks", i).numpy()
            try:
                answer = _answer(other, method, seed + i, executor)
            except TumbleError as error:
                failed.append(str(error))
                continue
            draws, weights = _draws(answer, rng)
            own, together = ranks_among(problem.space, draws, weights, theta, rng)
            ranks.append(own)
            joint.append(together)
            kept.append(theta)
    if len(ranks) < 10:
        reason = f", the first: {failed[0]}" if failed else "; ask for more"
        raise SimulationError(f"only {len(ranks)} repeats had an answer{reason}")
    what = "the function" if callable(method) else type(method).__name__
    return Calibration(
        problem.space.names, np.array(ranks), np.array(joint), np.array(kept), tuple(failed),
        "SMCABC" if method is None else what,
    )  # fmt: skip


def ranks_among(
    space: ParameterSpace,
    draws: FloatArray,
    weights: FloatArray,
    truth: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, float]:
    """Return the ranks [P] of a truth θ [P] among draws [N, P] with weights, and its joint rank."""
    z, own = space.to_fit(draws), space.to_fit(truth)
    joint = _joint_rank(z, weights, own, space.lower, space.upper, rng)
    return _ranks(z, weights, own, rng), joint


def _drawn(
    problem: Problem, count: int, stream: Stream, executor: Any
) -> tuple[FloatArray, Sequence[Problem]]:
    """Return truths [count, P] from the prior, and problems with data simulated at them."""
    prior, sets = JointPrior(problem.space), DataSets(problem, stream.child("data"), executor)
    thetas: list[FloatArray] = []
    problems: list[Problem] = []
    for batch in range(_MOST_TRIES):
        z = prior.sample(count, stream.child("prior", batch).numpy())
        data, well = sets.simulate(z, batch * count)
        for b in np.flatnonzero(well)[: count - len(problems)].tolist():
            thetas.append(np.asarray(problem.space.from_fit(z[b])))
            problems.append(problem.with_data([part[b] for part in data]))
        if len(problems) == count:
            return np.array(thetas), problems
    raise SimulationError(
        f"of {_MOST_TRIES * count} data sets at parameters from the prior only {len(problems)} "
        "could be simulated; check bounds and priors."
    )


def _answer(problem: Problem, method: Any, seed: int, executor: Any) -> Any:
    """Return what the method says. Raises `TumbleError` where that is nothing."""
    if method is None or isinstance(method, AbstractPosteriorMethod):
        return sample_posterior(
            problem, method=method, seed=seed, executor=executor, progress=False
        )
    found = method(problem)
    if isinstance(found, FitResult) and not np.isfinite(np.diag(found.covariance)).all():
        raise SimulationError("the fit has no standard errors")
    return found


def _draws(found: Any, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return draws [N, P] in the natural scale, and weights [N]."""
    if isinstance(found, Posterior):
        return found.theta, found.weights
    if isinstance(found, FitResult):
        return found.sample_params(_DRAWS, rng), np.full(_DRAWS, 1 / _DRAWS)
    raise ParameterError(
        f"`method` returned {type(found).__name__}, expected a Posterior or a FitResult."
    )


def _ranks(
    z: FloatArray, weights: FloatArray, truth: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Return the share of draws below the truth [P], ties divided at random."""
    below = weights @ (z < truth)
    ties = weights @ (z == truth)
    # As many draws as there are effective ones cannot tell ranks closer than that.
    grain = 1 / (1 / float((weights**2).sum()) + 1)
    low = below * (1 - grain)
    return np.asarray(low + rng.random(len(truth)) * (ties * (1 - grain) + grain))


def _joint_rank(
    z: FloatArray, weights: FloatArray, truth: FloatArray, lower: FloatArray, upper: FloatArray,
    rng: np.random.Generator,
) -> float:  # fmt: skip
    """Return the share of draws nearer to a random point than the truth is."""
    scale = np.maximum(z.std(0), 1e-12 * (upper - lower))
    point = rng.uniform(lower, upper)
    away = (((z - point) / scale) ** 2).sum(1)
    own = (((truth - point) / scale) ** 2).sum()
    grain = 1 / (1 / float((weights**2).sum()) + 1)
    return float(weights @ (away < own) * (1 - grain) + rng.random() * grain)


def _verdict(ranks: FloatArray, tests: int) -> str:
    """Return what the ranks of one parameter look like, in words."""
    if stats.kstest(ranks, "uniform").pvalue >= _FAR / (tests + 1):
        return "calibrated"
    count = len(ranks)
    lean = (ranks.mean() - 0.5) * sqrt(12 * count)
    # The mean distance from the middle is 1/4 of uniform ranks, with variance 1/48.
    wide = (np.abs(ranks - 0.5).mean() - 0.25) * sqrt(48 * count)
    if abs(lean) >= abs(wide):
        return "too low" if lean > 0 else "too high"
    return "too narrow" if wide > 0 else "too wide"
