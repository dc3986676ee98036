"""The verb `learn_structure`: which reactions there are."""

from __future__ import annotations

import time

import numpy as np

from tumble._errors import require_member
from tumble._problem import Problem
from tumble._results import ResultCode
from tumble.structure import (
    AbstractSearch,
    NetworkChoice,
    NetworkLikelihood,
    NetworkPosterior,
    NetworkPrior,
    ReactionLibrary,
    StructureResult,
    WindowSearch,
    observed_laws,
)


def learn_structure(
    problem: Problem,
    *,
    library: ReactionLibrary | None = None,
    prior: NetworkPrior | None = None,
    method: AbstractSearch | None = None,
) -> StructureResult:
    """Return which of many candidate reactions explain the data, with probabilities.

    Definition: the posterior over networks, p(network | data) ∝ p(network) ∫ p(data | rates)
    p(rates | network), with the linear-noise likelihood of whole series, or of snapshots, and
    Laplace's method for the rates. Where all species are counted without noise at all times, the
    networks that matter are then weighed by the numbers of firings of reactions that fire but a few
    times in a step, and by linear noise for the others. Sums of species that the data conserve are
    read off first, and candidates that would break them are left out.

    Guarantee: that of `LinearNoise` and of ``method``: probabilities are those of the stated prior
    as far as populations are large enough for the noise to be about normal, and no network far from
    all others was missed.

    Arguments, most used first:

    - ``problem``: data, initial states and observables. Of its model, the species count. Several
      experiments from different initial states tell apart what one cannot.
    - ``library``: the candidates, see `tumble.structure.mass_action`. Default: the reactions of the
      problem's model.
    - ``prior``: `NetworkPrior`, of sizes and rates.
    - ``method``: how networks are searched, default `WindowSearch()`.

    Ctrl-C ends the search with what it has weighed (`ResultCode.INTERRUPTED`).

    Raises `DataError`, `CapabilityError`, `ModelError`.

    When: counts of tens or more. Where few copies matter and not all is seen, compare the networks
    it finds by exact likelihoods.

    References: Komorowski et al., BMC Bioinformatics 10 (2009), doi:10.1186/1471-2105-10-343
    (likelihood); Madigan, Raftery, J. Am. Stat. Assoc. 89 (1994),
    doi:10.1080/01621459.1994.10476894 (networks that matter).
    """
    require_member("problem", problem, Problem, "a Problem")
    began = time.perf_counter()
    if library is None:
        model = problem.model
        library = ReactionLibrary(model.reactions, model.species)
    prior = NetworkPrior() if prior is None else prior
    method = WindowSearch() if method is None else method
    require_member("library", library, ReactionLibrary, "such as structure.mass_action(['S', 'I'])")
    require_member("prior", prior, NetworkPrior, "a NetworkPrior")
    require_member("method", method, AbstractSearch, "such as structure.WindowSearch()")
    likelihood = NetworkLikelihood(problem, library)
    laws = observed_laws(likelihood)
    kept = library.within(law.weights for law in laws)
    if len(kept) < len(library):
        likelihood = NetworkLikelihood(problem, kept)
    among = library.size(range(len(library)))  # the prior did not know the laws
    found = method.run(NetworkPosterior(likelihood, prior, among))
    if likelihood.known_steps is not None and not found.interrupted:
        found = method.look_closely(found)
    method.look_beyond(found)
    ranked = found.ranked()
    choices = tuple(
        NetworkChoice(
            tuple(kept.equations[r] for r in weighed.members),
            tuple(np.exp(weighed.log_rates).tolist()),
            share,
            weighed.log_evidence,
        )
        for weighed, share in ranked
    )
    code = ResultCode.SUCCESS if found.complete else ResultCode.MAX_STEPS
    return StructureResult(
        choices, kept, laws, prior, ResultCode.INTERRUPTED if found.interrupted else code,
        time.perf_counter() - began, len(choices), ranked[0][0],
        dict(zip(kept.equations, found.inclusion().tolist(), strict=True)), found.share_passed_over,
        found.posterior,
        tuple(found.descents),
    )  # fmt: skip
