"""Are the probabilities of reactions calibrated? Networks are drawn from the prior and learnt."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _report import Page, arguments, progress, settings
from _rows import Rows

import tumble as tb
from tumble._errors import SimulationError

_PRIOR = tb.structure.NetworkPrior(count=400.0, duration=1.0)
_STARTS = ({"A": 400, "B": 150}, {"A": 100, "B": 300})
_TIMES = np.linspace(0, 1, 41)[1:]
_MOST_EVENTS, _MOST_COPIES = 300_000, 20_000
_SLIGHT = 0.01


class Trial(NamedTuple):
    """Probabilities and truth [R] of one network's candidates, and how it was found."""

    probabilities: list[float]
    truth: list[bool]
    exact: bool
    seconds: float
    passed_over: float
    complete: bool


def drawn(
    library: tb.structure.ReactionLibrary, rng: np.random.Generator, fewest: float
) -> tuple[tb.ReactionNetwork, list[tb.Experiment]] | None:
    """Return a network from the prior and what is seen of it; None where data are not used.

    They are not where nothing happens, where a run explodes, or where there are fewer copies of a
    species. That is a property of the data alone, so it changes nothing about what should be
    believed given the others.
    """
    network = _PRIOR.sample(library, _PRIOR.count or 1.0, _PRIOR.duration or 1.0, rng)
    experiments, moved = [], False
    for start in _STARTS:
        try:
            seen = tb.simulate(
                network, {}, initial=start, times=_TIMES, seed=int(rng.integers(2**31)),
                simulator=tb.simulators.DirectMethod(max_events=_MOST_EVENTS),
            )  # fmt: skip
        except SimulationError:
            return None
        values = seen.data.values
        fine = np.isfinite(values).all() and values.max() <= _MOST_COPIES
        if not fine or values.min() < fewest:
            return None
        moved |= bool(np.any(values != np.array(list(start.values()))))
        experiments.append(tb.Experiment(seen, start))
    return (network, experiments) if moved else None


def trial(library: tb.structure.ReactionLibrary, seed: int, fewest: float) -> dict[str, Any]:
    """Draw a network, and learn it."""
    rng = np.random.default_rng(seed)
    found = None
    while found is None:
        found = drawn(library, rng, fewest)
    network, experiments = found
    problem = tb.Problem(
        library.network, experiments=experiments, parameters=library.parameters(1e-12, 1e9)
    )
    began = time.process_time()
    result = tb.learn_structure(problem, library=library, prior=_PRIOR)
    seconds = time.process_time() - began
    true = {tb.structure.equation(r) for r in network.reactions}
    given = np.array([result.inclusion.get(e, 0.0) for e in library.equations])
    right = np.array([e in true for e in library.equations])
    told = ", ".join(
        f"{e} {p:.3f}{'' if there else ' (not there)'}"
        for e, p, there in zip(library.equations, given, right, strict=True)
        if there or p > 0.9
    )
    progress(f"{seed}: {told}; {seconds:.1f} s")
    return Trial(
        given.round(6).tolist(), right.tolist(), set(result.networks[0].equations) == true, seconds,
        result.passed_over, result.result.ok,
    )._asdict()  # fmt: skip


def _table(page: Page, trials: list[Trial]) -> None:
    """Write what was given, and what was so."""
    given = np.concatenate([t.probabilities for t in trials])
    right = np.concatenate([t.truth for t in trials])
    of_network = np.repeat(np.arange(len(trials)), [len(t.truth) for t in trials])
    rows, gap, sharp_gap = [], 0.0, 0.0
    sharp = (given > _SLIGHT) & (given < 1 - _SLIGHT)
    edges = np.array([0, _SLIGHT, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1 - _SLIGHT, 1.0])
    for low, high in pairwise(edges):
        inside = (given >= low) & ((given < high) | (high == 1.0))
        if not inside.any():
            continue
        mean, share, size = given[inside].mean(), right[inside].mean(), int(inside.sum())
        sd = np.sqrt(np.sum(given[inside] * (1 - given[inside]))) / size
        away = (share - mean) / max(sd, 1e-300)
        sums = np.bincount(of_network[inside], (right - given)[inside])
        whole = sums.sum() / max(np.sqrt(np.sum(sums**2)), 1e-300)
        surprises = min(given[inside].sum(), (1 - given[inside]).sum())
        by_networks = f"{whole:+.1f}" if surprises >= 1 else "–"
        gap += size * abs(share - mean) / len(given)
        if sharp[inside].all():
            sharp_gap += size * abs(share - mean) / max(sharp.sum(), 1)
        rows.append([
            f"{low:.2f} – {high:.2f}", size, f"{mean:.4f}", f"{share:.4f}",
            *((f"{away:+.1f}", by_networks) if size >= 30 else ("(few)", "(few)")),
        ])  # fmt: skip
    page.table(
        ["probability given", "candidates", "mean", "share in the network", "sd off the diagonal",
         "by networks"],
        rows,
    )  # fmt: skip
    seconds = [t.seconds for t in trials]
    page.text(
        f"""*sd off the diagonal* takes candidates for independent, as binomial numbers are; *by
        networks* lets those of a network depend on each other, as they do: a network of nine
        reactions that data tell three of is improbable, and where it is true it brings six
        surprises at once; where less than one surprise is expected it says nothing. Expected
        calibration error {gap:.4f} over all {len(given):,} candidates; {sharp_gap:.3f} over the
        {int(sharp.sum())} whose probability is neither below {_SLIGHT} nor above {1 - _SLIGHT}. The
        most probable network was the true one in {sum(t.exact for t in trials)} of {len(trials)}.
        Of the probability, {np.mean([t.passed_over for t in trials]):.3f} was of networks that were
        estimated and not weighed (mean). The search was complete in
        {sum(t.complete for t in trials)}. Processor seconds a network: median
        {np.median(seconds):.1f}, most {max(seconds):.1f}."""
    )


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--fewest", type=float, default=10, help="copies in data that are used")
    parser.add_argument("--rows", type=Path, help="a file, from which a stopped run goes on")
    options = parser.parse_args()
    page = Page("structure_calibration", "Are probabilities of reactions calibrated?")
    library = tb.structure.mass_action(list(_STARTS[0]))
    kept, trials = Rows(options.rows), []
    for k in range(options.first, options.first + options.networks):
        row = kept.get(("network", k), lambda k=k: trial(library, k, options.fewest))
        trials.append(Trial(*(row[name] for name in Trial._fields)))
    page.text(
        f"""Networks are drawn from the prior ({_PRIOR}) over all {len(library)} reactions between A
        and B with complexes of up to two; simulated exactly from {_STARTS[0]} and {_STARTS[1]},
        seen at {len(_TIMES)} times; and learnt with that prior and else default settings. Data
        where nothing happens, more than {_MOST_EVENTS:,} reactions fire, or there are ever fewer
        than {options.fewest:g} copies of a species, where the linear noise approximation does not
        hold, are not used, which depends on the data alone. If probabilities mean what they say,
        then of all candidates that were given a probability of about p, a share of about p is in
        the network. {settings(options)}"""
    )
    _table(page, trials)
    page.finish(options.save)


if __name__ == "__main__":
    main()
