"""What to measure next: which further experiment would decide between networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tumble._errors import SimulationError
from tumble._experiment import Experiment, ObservedData
from tumble._observable import Observable
from tumble._problem import Problem
from tumble._random import Stream
from tumble._results import describe_codes
from tumble._typing import FloatArray
from tumble.priors import AbstractPrior
from tumble.structure._library import ReactionLibrary
from tumble.structure._posterior import NetworkPosterior
from tumble.structure._sight import Sight

_CLEAR = 3.0  # of a log Bayes factor: 20 to 1
_NAMED = 2  # rivals in a sentence
_ENDLESS = 1e6  # for the log Bayes factor against what makes an outcome impossible


@dataclass(frozen=True)
class NextExperiment:
    """An experiment that might be made.

    Arguments: ``words`` for it, such as ``"counting R as well"``; ``times`` [T]; ``initial``
    values; ``observables`` by name; ``once``, of those that are measured at some times only, at
    which; ``num_samples``, replicates, default 1 (cells, for snapshots: give tens); ``start``, the
    time of the initial values.
    """

    words: str
    times: tuple[float, ...]
    initial: Mapping[str, Any]
    observables: Mapping[str, Observable]
    once: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    num_samples: int = 1
    start: float = 0.0

    def experiment(self, values: FloatArray, kind: str) -> Experiment:
        """Return it with its data [N, T, O]."""
        data = np.array(values, dtype=float)
        for o, name in enumerate(self.observables):
            if name in self.once:
                data[:, ~np.isin(self.times, self.once[name]), o] = np.nan
        observed = ObservedData(data, np.array(self.times), tuple(self.observables))
        return Experiment(observed, self.initial, start=self.start, kind=kind)


@dataclass(frozen=True)
class DesignValue:
    """What an experiment is worth: logarithms of Bayes factors expected of it, and what follows.

    ``gains`` [K], of the most probable network against each rival, in addition to what is known
    already; ``probability`` of the most probable network expected afterwards, among these.
    """

    experiment: NextExperiment
    gains: tuple[float, ...]
    probability: float


@dataclass(frozen=True, repr=False)
class Advice:
    """Which further experiment would tell a network from its rivals.

    ``best``, the equations of the most probable network, and ``rivals``; ``now``, its probability
    among them; ``designs``, the most telling first; ``num_draws`` outcomes were simulated of each.
    """

    best: tuple[str, ...]
    rivals: tuple[tuple[str, ...], ...]
    now: float
    designs: tuple[DesignValue, ...]
    num_draws: int

    @property
    def words(self) -> str:
        """The advice in a sentence."""
        if not self.rivals:
            return "No other network is probable enough to be told from the most probable one."
        first = self.designs[0]
        clear = self._named(g >= _CLEAR for g in first.gains)
        blurred = self._named(g < _CLEAR for g in first.gains)
        if not clear:
            return (
                "None of these experiments is expected to decide: the most telling one, "
                f"{first.experiment.words.rstrip(',')}, takes the probability of the most probable "
                f"network from {self.now:.2f} to {first.probability:.2f}."
            )
        text = (
            f"{first.experiment.words[0].upper()}{first.experiment.words[1:]} would separate the "
            f"most probable network from the one {clear}"
        )
        if blurred:
            text += f", but not from the one {blurred}"
        change = f"{self.now:.2f} to {first.probability:.2f}"
        return f"{text}: its probability is expected to go from {change}."

    def summary(self) -> str:
        """Return all experiments with what they are worth."""
        lines = [self.words]
        if self.rivals:
            lines.append(f"  if {', '.join(self.best)} is right:")
            lines.append("  probability   log Bayes factors   experiment")
        for design in self.designs:
            gains = " ".join(f"{round(min(gain, 9999.0), 1) + 0.0:.1f}" for gain in design.gains)
            lines.append(f"  {design.probability:11.2f}   {gains:17}   {design.experiment.words}")
        lines += [
            f"  rival {k + 1}: {_difference(self.best, rival)}"
            for k, rival in enumerate(self.rivals)
        ]
        return "\n".join(lines)

    __repr__ = summary

    def _named(self, chosen: Any) -> str:
        parts = [_difference(self.best, r) for r, c in zip(self.rivals, chosen, strict=True) if c]
        more = f", and from {len(parts) - _NAMED} more" if len(parts) > _NAMED else ""
        return " or ".join(parts[:_NAMED]) + more


def possible_experiments(problem: Problem, library: ReactionLibrary) -> list[NextExperiment]:
    """Return experiments like the first of a problem, each with one thing changed.

    Once more; with a species counted as well, at all times or at the last; with twice as many
    times, or for twice as long; with half or twice of all that is there at first.
    """
    first = problem.experiments[0]
    names, times = first.data.names, tuple(first.data.times.tolist())
    given: Any = problem.observables
    observables = {name: given[name] for name in names}
    count = 1 if first.kind == "series" else first.data.num_replicates
    again = NextExperiment(
        "the same experiment once more", times, first.initial, observables, {}, count, first.start
    )
    found = [again]
    for species in Sight.of(problem, library.reactions).unseen(library.reactions):
        name = species if species not in given else f"{species}_counted"
        more = {**observables, name: Observable(species)}
        last = {name: times[-1:]}
        words = f"counting {species} once"
        found.append(
            replace(again, words=f"{words}, at time {times[-1]:.4g},", observables=more, once=last)
        )
        found.append(
            replace(again, words=f"counting {species} as well, at all times,", observables=more)
        )
    before = np.array([first.start, *times])
    middle = (before[1:] + before[:-1]) / 2
    finer = tuple(np.unique([*middle[middle > first.start], *times]).tolist())
    longer = tuple((before[-1] + np.array(times) - first.start).tolist())
    found.append(replace(again, words="an experiment with twice as many times", times=finer))
    found.append(replace(again, words="an experiment twice as long", times=(*times, *longer)))
    for factor, text in ((0.5, "half"), (2.0, "twice")):
        initial = {name: _scaled(value, factor) for name, value in first.initial.items()}
        if initial != dict(first.initial):
            words = f"a second experiment with {text} the population"
            found.append(replace(again, words=words, initial=initial))
    return found


def expected_gains(
    fitted: Problem,
    theta: FloatArray,
    posterior: NetworkPosterior,
    networks: Sequence[tuple[frozenset[int], dict[int, float], float]],
    designs: Sequence[NextExperiment],
    num_draws: int,
    stream: Stream,
) -> list[DesignValue]:
    """Return what each design is worth, best first.

    Definition: outcomes are simulated exactly from the ``fitted`` problem at θ [P]. With each, the
    networks (members, logarithms of rates, log posterior; the first is what was simulated) are
    weighed anew by all data, the old and the new, so that rates of rivals adapt as far as they can.
    """
    values = []
    now = np.array([log for _, _, log in networks])
    for d, design in enumerate(designs):
        logs = []
        for draw in range(num_draws):
            branch = stream.child("design", d, "draw", draw)
            problem = _extended(posterior.likelihood.problem, design, fitted, theta, branch)
            anew = posterior.with_problem(problem)
            logs.append(
                [anew.weigh(members, start).log_posterior for members, start, _ in networks]
            )
        after = np.array(logs)
        odds = after[:, :1] - after[:, 1:]
        shares = 1 / (1 + np.exp(np.minimum(-odds, 500.0)).sum(1))
        gains = (odds - (now[0] - now[1:])).mean(0)
        gains = np.nan_to_num(gains, posinf=_ENDLESS, neginf=-_ENDLESS)
        values.append(DesignValue(design, tuple(gains.tolist()), float(shares.mean())))
    return sorted(values, key=lambda v: (-round(v.probability, 3), -min(v.gains, default=0.0)))


def _extended(
    problem: Problem, design: NextExperiment, fitted: Problem, theta: FloatArray, stream: Stream
) -> Problem:
    """Return the problem with a simulated outcome of a design as one more experiment."""
    known: Any = problem.observables
    observables = {**known, **design.observables}
    kind = problem.kind
    shape = (design.num_samples, len(design.times), len(design.observables))
    empty = design.experiment(np.zeros(shape), kind)
    source = replace(fitted, experiments=[empty], observables=observables)
    sample = source.simulate_binding(0, theta, stream.child("states"), design.num_samples)
    if np.any(sample.codes != 0):
        failed = describe_codes(sample.codes, sample.culprits, source.model.reactions)
        raise SimulationError(f"an outcome of '{design.words}' could not be simulated: {failed}.")
    rng = stream.child("noise").numpy()
    values = source.bindings[0].sample_data(sample.states, theta, rng)
    experiments = [*problem.experiments, design.experiment(values, kind)]
    return replace(problem, experiments=experiments, observables=observables)


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, AbstractPrior):
        return value
    return max(round(float(value) * factor), 1 if value else 0)


def _difference(best: Sequence[str], rival: Sequence[str]) -> str:
    """Return in words how a rival differs."""
    more = [name for name in rival if name not in best]
    less = [name for name in best if name not in rival]
    if more and less:
        return f"with {', '.join(more)} in place of {', '.join(less)}"
    return f"with {', '.join(more)} besides" if more else f"without {', '.join(less)}"
