"""How often each candidate is selected from half of the data."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tumble._errors import (
    CapabilityError,
    DataError,
    ParameterError,
    is_number,
    require_member,
    require_whole,
    shown,
)
from tumble._experiment import Experiment, ObservedData
from tumble._problem import Problem
from tumble._random import Stream
from tumble.structure._conserved import observed_laws
from tumble.structure._found import AbstractSearch
from tumble.structure._frequencies import SelectionFrequencies
from tumble.structure._library import ReactionLibrary
from tumble.structure._likelihood import NetworkLikelihood
from tumble.structure._posterior import NetworkPosterior, NetworkPrior
from tumble.structure._screening import IncrementScreening

_FEWEST_REPLICATES = 8
_BLOCKS = 20  # in all, where replicates are fewer
_SHORTEST = 2  # intervals of a block

Unit = tuple[Experiment, int]
"""An experiment, and the replicate of it."""


def stability_selection(
    problem: Problem,
    *,
    library: ReactionLibrary | None = None,
    method: AbstractSearch | None = None,
    prior: NetworkPrior | None = None,
    num_subsets: int = 100,
    threshold: float = 0.9,
    seed: int = 0,
) -> SelectionFrequencies:
    """Return how often each candidate is in the best network of half of the data.

    These are **not** probabilities that the reactions exist. They say how often a selection would
    be repeated; a wrong candidate that always stands in for the right one has a frequency of 1. For
    probabilities take `learn_structure`.

    Definition: the data are divided into units, of which half are drawn without replacement, and
    the other half with them, ``num_subsets`` halves in all; in each, ``method`` finds the best
    network. Units are replicates; where these are fewer than eight and all species are seen
    exactly, blocks of successive intervals, each beginning at an observed state, about twenty in
    all. Sums that all data conserve are read off first, as by `learn_structure`.

    Guarantee: with q candidates selected from a half on average and p there, the expected number of
    wrong ones whose frequency reaches a threshold π > ½ is at most q² / ((2π − 1) p)
    (`SelectionFrequencies.bound`), if units are independent and alike; if the wrong candidates are
    exchangeable, so that each is selected as often as the others; and if the selection is no worse
    than drawing lots. The second rarely holds among reactions: those that resemble a true one are
    selected more often than others, and the bound is then too small. Blocks of one series are
    independent given the states at which they begin, but are not alike.

    Arguments, most used first:

    - ``problem``, ``library``, ``prior``: as for `learn_structure`.
    - ``method``: what selects, default `IncrementScreening`, which is fast but needs all species
      seen; else such as ``WindowSearch(most=100)``.
    - ``num_subsets``: even, default 100.
    - ``threshold``: π, of what is called stable, default 0.9.
    - ``seed``: of the halves.

    Raises `DataError`, `CapabilityError`, `ModelError`, `ParameterError`.

    References: Meinshausen, Bühlmann, J. R. Stat. Soc. B 72 (2010),
    doi:10.1111/j.1467-9868.2010.00740.x (theorem 1); Shah, Samworth, J. R. Stat. Soc. B 75 (2013),
    doi:10.1111/j.1467-9868.2011.01034.x (pairs of halves).
    """
    require_member("problem", problem, Problem, "a Problem")
    if library is None:
        library = ReactionLibrary(problem.model.reactions, problem.model.species)
    method = IncrementScreening() if method is None else method
    prior = NetworkPrior() if prior is None else prior
    require_member("library", library, ReactionLibrary, "such as structure.mass_action(['S', 'I'])")
    require_member("method", method, AbstractSearch, "such as structure.IncrementScreening()")
    require_member("prior", prior, NetworkPrior, "a NetworkPrior")
    require_whole("num_subsets", num_subsets, 2)
    if num_subsets % 2:
        raise ParameterError(f"`num_subsets` is {num_subsets}, expected an even number.")
    if not (is_number(threshold) and 0.5 < threshold <= 1):
        raise ParameterError(
            f"`threshold` is {shown(threshold)}, expected more than 0.5 and at most 1."
        )
    likelihood = NetworkLikelihood(problem, library)
    kept = library.within(law.weights for law in observed_laws(likelihood))
    among = library.size(range(len(library)))
    units, noun = _units(problem, likelihood)
    halves = _halves(len(units), num_subsets, seed)
    counts, sizes = np.zeros(len(kept)), []
    for half in halves:
        part = replace(problem, experiments=_joined([units[i] for i in half]))
        found = method.run(NetworkPosterior(NetworkLikelihood(part, kept), prior, among))
        network = sorted(found.best.network)
        counts[network] += 1
        sizes.append(len(network))
    shares = dict(zip(kept.equations, (counts / num_subsets).tolist(), strict=True))
    return SelectionFrequencies(
        {equation: shares.get(equation, 0.0) for equation in library.equations},
        num_subsets, f"{len(units)} {noun}", len(kept) - len(kept.required),
        float(np.mean(sizes)) - len(kept.required), threshold,
        tuple(kept.equations[r] for r in kept.required),
    )  # fmt: skip


def _halves(size: int, num_subsets: int, seed: int) -> list[list[int]]:
    """Return halves of ``size`` units, each followed by what it left (one more may be left out)."""
    rng = Stream.from_seed(seed).child("stability_selection").numpy()
    found = []
    for _ in range(num_subsets // 2):
        order = rng.permutation(size)
        half = size // 2
        found += [sorted(order[:half].tolist()), sorted(order[half : 2 * half].tolist())]
    return found


def _units(problem: Problem, likelihood: NetworkLikelihood) -> tuple[list[Unit], str]:
    """Return what halves are made of, and what it is called."""
    replicates = [(e, n) for e in problem.experiments for n in range(e.data.num_replicates)]
    if len(replicates) >= _FEWEST_REPLICATES:
        return replicates, "replicates"
    if likelihood.steps is None:
        raise CapabilityError(
            f"{len(replicates)} replicates are too few to be divided in halves, expected "
            f"{_FEWEST_REPLICATES} or more; series are cut into blocks only where all species are "
            "seen exactly. Give more replicates, or take learn_structure."
        )
    wanted = -(-_BLOCKS // len(replicates))
    blocks = [
        block for e in range(len(problem.experiments))
        for n in range(problem.experiments[e].data.num_replicates)
        for block in _blocks(problem, likelihood, e, n, wanted)
    ]  # fmt: skip
    if len(blocks) < 4:
        raise DataError(
            f"the data make {len(blocks)} blocks of {_SHORTEST} intervals, expected 4 or more; "
            "give more times or more replicates."
        )
    return blocks, "blocks of intervals"


def _blocks(
    problem: Problem, likelihood: NetworkLikelihood, e: int, n: int, wanted: int
) -> list[Unit]:
    """Return a series in pieces, each an experiment that begins at an observed state."""
    experiment, seen = problem.experiments[e], likelihood.seen
    assert seen is not None  # as ``steps`` are there
    states, data = seen[e].states[n], experiment.data
    complete = np.flatnonzero(np.isfinite(states).all(1))
    number = max(min(wanted, (len(complete) - 1) // _SHORTEST), 1)
    cuts = complete[np.linspace(0, len(complete) - 1, number + 1).round().astype(int)]
    cuts[-1] = len(states) - 1
    found = []
    for first, last in itertools.pairwise(cuts.tolist()):
        piece = ObservedData(data.values[n : n + 1, first:last], data.times[first:last], data.names)
        block = replace(experiment, data=piece)
        if first > 0:
            names = problem.model.species
            start = {s: float(np.rint(x)) for s, x in zip(names, states[first], strict=True)}
            block = replace(block, initial=start, start=float(data.times[first - 1]))
        found.append((block, 0))
    return found


def _joined(units: Sequence[Unit]) -> list[Experiment]:
    """Return the experiments that units make, replicates of one experiment together."""
    rows: dict[int, tuple[Experiment, list[int]]] = {}
    for experiment, n in units:
        rows.setdefault(id(experiment), (experiment, []))[1].append(n)
    return [
        replace(e, data=ObservedData(e.data.values[chosen], e.data.times, e.data.names))
        for e, chosen in rows.values()
    ]
