"""Problems for sbi, and its draws back."""

from __future__ import annotations

from typing import Any

import numpy as np

from tumble._budget import Spending
from tumble._errors import CapabilityError, require_member
from tumble._problem import Problem
from tumble._random import Stream
from tumble._sample_posterior import sample_posterior
from tumble.posteriors import AbstractSummary, GivenDraws, Posterior, PosteriorTask
from tumble.posteriors._abc import Simulated


class SbiProblem:
    """A problem as the package sbi takes one: what `to_sbi` returns. Final.

    Its parameters are coordinates in which the prior is standard normal, so that networks see all
    of one size and no density is lost beyond bounds.

    Attributes:

    - ``prior``: a `torch.distributions.MultivariateNormal` of P numbers.
    - ``observed``: what was seen, a tensor [K].
    - ``num_simulated``: data sets so far.
    """

    def __init__(self, problem: Problem, summary: AbstractSummary | None, seed: int) -> None:
        torch = _torch()
        stream = Stream.from_seed(seed).child("sbi")
        self._task = PosteriorTask(problem, stream, Spending(None))
        self._simulated = Simulated(self._task, summary)
        size = problem.space.size
        self.prior = torch.distributions.MultivariateNormal(torch.zeros(size), torch.eye(size))
        self.observed = _tensor(self._simulated.comparison.observed)
        self.num_simulated = 0

    def simulate(self, parameters: Any) -> Any:
        """Return summaries [B, K] of data sets at ``parameters`` [B, P], both tensors.

        Rows of data sets that failed are NaN, which sbi leaves out. Every call simulates others.
        """
        w = np.atleast_2d(parameters.detach().cpu().numpy().astype(float))
        z = self._task.prior.from_normal(w)
        found = self._simulated.summaries(z, self.num_simulated)
        self.num_simulated += len(w)
        return _tensor(found)

    def posterior(self, draws: Any, source: str = "sbi") -> Posterior:
        """Return draws [N, P] of sbi, a tensor, as a `Posterior` in the natural scale."""
        problem = self._task.problem
        w = draws.detach().cpu().numpy().astype(float)
        theta = np.asarray(problem.space.from_fit(self._task.prior.from_normal(w)))
        return sample_posterior(problem, method=GivenDraws(theta, source=source), progress=False)


def to_sbi(
    problem: Problem, *, summary: AbstractSummary | None = None, seed: int = 0
) -> SbiProblem:
    """Return a problem for the package sbi: a prior, a simulator and what was seen, in tensors.

    Arguments: ``problem``; ``summary`` of a data set, default by the data, see
    `tumble.posteriors.default_summary`; ``seed`` of the simulations.

    With sbi (doi:10.21105/joss.02505) installed beside tumble:

        given = tb.formats.to_sbi(problem)
        parameters = given.prior.sample((1000,))
        inference = sbi.inference.NPE(prior=given.prior)
        inference.append_simulations(parameters, given.simulate(parameters)).train()
        draws = inference.build_posterior().sample((1000,), x=given.observed)
        posterior = given.posterior(draws)

    Raises `CapabilityError` where torch is not installed, `DataError` for data without a summary.
    """
    require_member("problem", problem, Problem, "a Problem")
    return SbiProblem(problem, summary, seed)


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise CapabilityError(
            "problems for sbi are tensors of the package torch, which is not installed; run: "
            "pip install sbi"
        ) from None
    return torch


def _tensor(values: Any) -> Any:
    return _torch().as_tensor(np.asarray(values, np.float32))
