"""The verb `compare`: several answers to one question, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._errors import ParameterError, require_whole
from tumble._fit_result import FitResult
from tumble._late import call_late
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.posteriors import Comparison, DataSets, Posterior, default_summary

_DRAWS = 4000  # for quantiles


@dataclass(frozen=True)
class ComparedAnswer:
    """One answer among others.

    ``name``; ``median`` and ``interval`` (95 %, central) of each parameter; ``score`` of data
    simulated from it, less is better, with its standard ``error``; ``result``, how it ended;
    ``runs`` and ``seconds`` that it took.
    """

    name: str
    median: dict[str, float]
    interval: dict[str, tuple[float, float]]
    score: float
    error: float
    result: str
    runs: float
    seconds: float


@dataclass(frozen=True, repr=False)
class AnswerComparison:
    """Answers to the same problem: ``rows``, and the ``answers`` by name as they were given."""

    rows: tuple[ComparedAnswer, ...]
    answers: dict[str, Any]

    @property
    def best(self) -> ComparedAnswer:
        """The one whose simulated data are nearest to the observed ones; see `compare`."""
        return min(self.rows, key=lambda row: row.score)

    def plot(self, *, seed: int = 0) -> Any:
        """Draw them over each other; see `tumble.plot.posteriors`."""
        return call_late("tumble.plot", "posteriors", self.answers, seed=seed)

    def summary(self) -> str:
        """Return the comparison on one screen."""
        width = max(len(row.name) for row in self.rows)
        lines = [f"{len(self.rows)} answers to the same data"]
        for name in self.rows[0].median:
            lines.append(f"  {name}")
            for row in self.rows:
                low, high = row.interval[name]
                lines.append(
                    f"    {row.name:<{width}}  {row.median[name]:.4g}  [{low:.4g}, {high:.4g}]"
                )
        lines.append("  how far simulated data are from the observed ones (energy score)")
        for row in self.rows:
            lines.append(
                f"    {row.name:<{width}}  {row.score:.3f} ± {row.error:.3f} · {row.result} · "
                f"{row.runs:.3g} runs · {row.seconds:.2g} s"
            )
        lines.append("  medians, with intervals that hold 95 % of the draws")
        return "\n".join(lines)

    __repr__ = summary

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self.summary())}</pre>"


def compare(*answers: Any, num_samples: int = 400, seed: int = 0, **named: Any) -> AnswerComparison:
    """Return answers to the same data side by side: what they say, what they predict, their cost.

    Definition: of each answer ``num_samples`` parameters are drawn and a data set is simulated at
    each, with the same random numbers for all. The score is the energy score of these against the
    observed data set, E‖s − s_obs‖ − E‖s − s'‖ / 2 of its default summary, each number divided by
    its spread over all answers: proper, so that too wide an answer is punished as too narrow a one
    is. The data are those that the answers have seen; it tells answers that do not fit from those
    that do, and says little on which of two good ones is better.

    Arguments: ``answers``, each a `FitResult` or `Posterior` of the same problem, or by keyword
    with a name; ``num_samples``, default 400; ``seed``. Of a fit the normal law of its estimate on
    the fit scale is taken.

    Raises `ParameterError` where answers are of other parameters or observables.

    Reference: Gneiting, Raftery, J. Am. Stat. Assoc. 102 (2007), doi:10.1198/016214506000001437.

    >>> import tumble as tb
    >>> decay = tb.ReactionNetwork.from_text("X -> 0 ; gamma")
    >>> problem = tb.Problem(
    ...     decay, data={"time": [1, 2, 3], "X": [61, 38, 20]}, initial={"X": 100},
    ...     parameters={"gamma": tb.Parameter(0.01, 10)},
    ... )
    >>> found = tb.compare(fit=tb.fit(problem), ABC=tb.sample_posterior(problem))
    >>> [row.name for row in found.rows]
    ['fit', 'ABC']
    """
    require_whole("num_samples", num_samples)
    given = {**_names(answers), **named}
    _check(given)
    stream = Stream.from_seed(seed).child("compare")
    problem = next(iter(given.values())).problem
    thetas = {name: _draws(a, _DRAWS, stream.child("quantiles")) for name, a in given.items()}
    sets = DataSets(problem, stream.child("data"))
    observed = [binding.observed.values for binding in problem.bindings]
    comparison = Comparison.of(default_summary(problem), observed)
    summaries = {}
    for name, answer in given.items():
        theta = _draws(answer, num_samples, stream.child("parameters"))
        data, well = sets.simulate(np.asarray(problem.space.to_fit(theta)), 0)
        found = comparison.summaries(data)
        summaries[name] = found[well & np.isfinite(found).all(1)]
    scale = comparison.scale(np.concatenate(list(summaries.values())))
    rows = tuple(
        _row(name, answer, thetas[name], *_score(summaries[name], comparison.observed, scale))
        for name, answer in given.items()
    )
    return AnswerComparison(rows, given)


# -- private ---------------------------------------------------------


def _names(answers: tuple[Any, ...]) -> dict[str, Any]:
    """Return answers by the names of their methods, numbered where these are the same."""
    named: dict[str, Any] = {}
    for answer in answers:
        stem = type(answer.method).__name__ if isinstance(answer, Posterior) else "fit"
        name, number = stem, 2
        while name in named:
            name, number = f"{stem} {number}", number + 1
        named[name] = answer
    return named


def _check(given: dict[str, Any]) -> None:
    wrong = [a for a in given.values() if not isinstance(a, (Posterior, FitResult))]
    if wrong or len(given) < 2:
        what = f"{wrong[0]!r}" if wrong else f"{len(given)} of them"
        raise ParameterError(f"`answers` hold {what}, expected two or more of fit or posterior.")
    shapes = [
        (a.problem.space.names, [b.observed.values.shape for b in a.problem.bindings])
        for a in given.values()
    ]
    if any(shape != shapes[0] for shape in shapes):
        raise ParameterError(
            "`answers` are of different parameters or data; compare those of one problem."
        )


def _draws(answer: Any, count: int, stream: Stream) -> FloatArray:
    """Return even draws θ [count, P]."""
    rng = stream.numpy()
    if isinstance(answer, FitResult):
        return answer.sample_params(count, rng)
    return np.asarray(answer.sample(count, seed=int(rng.integers(2**31))))


def _score(summaries: FloatArray, observed: FloatArray, scale: FloatArray) -> tuple[float, float]:
    """Return the energy score of data sets [N, K], and its standard error; ∞ where all failed."""
    count = len(summaries)
    if count < 2:
        return np.inf, np.nan
    used = np.isfinite(scale)
    x, y = summaries[:, used] / scale[used], observed[used] / scale[used]
    root = np.sqrt(max(int(used.sum()), 1))
    away = np.sqrt(((x - y) ** 2).sum(1)) / root
    squares = (x**2).sum(1)
    apart = np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0.0)
    among = (np.sqrt(apart) / root).sum(1) / (count - 1)
    each = away - among  # twice the half: each pair has two members
    score = float(away.mean() - among.mean() / 2)
    return score, float(each.std(ddof=1) / np.sqrt(count))


def _row(name: str, answer: Any, theta: FloatArray, score: float, error: float) -> ComparedAnswer:
    names = answer.problem.space.names
    low, middle, high = np.quantile(theta, [0.025, 0.5, 0.975], axis=0)
    return ComparedAnswer(
        name, dict(zip(names, middle.tolist(), strict=True)),
        {n: (float(a), float(b)) for n, a, b in zip(names, low, high, strict=True)},
        score, error, answer.result.value, float(answer.stats.get("runs", 0.0)),
        float(answer.stats.get("seconds", 0.0)),
    )  # fmt: skip
