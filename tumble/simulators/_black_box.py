"""Simulators that call a Python function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import CapabilityError, ParameterError
from tumble._relaxation import AbstractRelaxation
from tumble._typing import FloatArray
from tumble.models import BlackBox
from tumble.simulators._base import (
    AbstractSimulator,
    AlternativeSample,
    Batch,
    PairSample,
    RelaxedSample,
    Sample,
    ScoredSample,
    SupportsAlternative,
    SupportsCoupling,
    SupportsRelaxation,
    SupportsScore,
)
from tumble.simulators._calls import (
    call,
    call_relaxed,
    call_with_alternatives,
    call_with_score,
    paired,
    sampled,
    spread,
)


@dataclass(frozen=True)
class CallFunction(AbstractSimulator, SupportsCoupling):
    """Runs a `BlackBox` by calling its function.

    Definition: run i of a stream gets a NumPy generator, Philox under the key (stream, i), or the
    uniforms of that run where the model has choices. A pair is two calls with the same numbers at
    two parameters (common random numbers), which stay close only as long as both draw alike.

    Guarantee: what the function does. A run depends on its inputs, the seed and its number alone.

    It runs in the thread that asks, since threads of Python do not run side by side. For several
    processes, give an executor such as `concurrent.futures.ProcessPoolExecutor`, which needs a
    function that can be sent to them: one at the top level of a module.

    When: the draws of the function are not declared. Estimators that need pairs or samples apply.
    """

    exact: ClassVar[bool] = True
    discrete: ClassVar[bool] = False
    takes: ClassVar[type] = BlackBox
    shares_out: ClassVar[bool] = True

    def sample(self, model: BlackBox, batch: Batch, *, executor: Any = None) -> Sample:
        """See `AbstractSimulator.sample`."""
        return sampled(spread(call, model, batch, executor))

    def sample_pairs(self, model: BlackBox, batch: Batch, *, executor: Any = None) -> PairSample:
        """Run each side of the pairs with the same random numbers."""
        return paired(call, model, batch, executor)


@dataclass(frozen=True)
class CallWithChoices(AbstractSimulator, SupportsScore, SupportsAlternative, SupportsRelaxation):
    """Runs a `BlackBox` whose draws are declared, with exact derivatives of their probabilities.

    Definition: the score is Σ ∂ log p(outcome) over the draws, up to each time if the function
    yields its rows, else over all of them. An alternative is the run with one draw forced to
    another outcome: ∂E[f] = E Σ_draws Σ_outcomes ∂p(outcome) (f(forced) − f(run)), of whose terms M
    are chosen by their lengths |∂p|. The function is called again from the start with the same
    random numbers, so that everything before the forced draw is the same. A Poisson number is
    forced to one more, a waiting time to be followed by another one. A pair is two calls with the
    same uniforms. For pathwise derivatives draws return numbers that carry them, so that outputs
    have derivatives by whatever arithmetic the function does.

    Guarantee: scores and alternatives are unbiased, at any probability where the derivative exists;
    see `tumble.choices.Choices` for what the function has to keep to. The score is not defined at
    probabilities and rates of 0 (or 1), alternatives are, but for waiting times.

    Cost: a run with its score or slopes calls the function once, one with M alternatives 1 + M
    times; in all of them, numbers that depend on parameters carry their derivatives, which makes
    plain Python several times slower.

    References: Glynn, Commun. ACM 33 (1990), doi:10.1145/84537.84552; Heidergott, Vázquez-Abad,
    J. Optim. Theory Appl. 136 (2008), doi:10.1007/s10957-007-9318-6.
    """

    exact: ClassVar[bool] = True
    discrete: ClassVar[bool] = False
    takes: ClassVar[type] = BlackBox
    shares_out: ClassVar[bool] = True

    def sample(self, model: BlackBox, batch: Batch, *, executor: Any = None) -> Sample:
        """See `AbstractSimulator.sample`."""
        return sampled(spread(call, model, batch, executor))

    def sample_with_score(
        self, model: BlackBox, batch: Batch, *, executor: Any = None
    ) -> ScoredSample:
        """See `SupportsScore.sample_with_score`."""
        _require_choices(model)
        found = spread(call_with_score, model, batch, executor)
        events = np.zeros(len(found.codes), np.int64)
        return ScoredSample(
            found.outputs, found.codes, events, found.score, messages=found.messages
        )

    def sample_pairs(self, model: BlackBox, batch: Batch, *, executor: Any = None) -> PairSample:
        """Run each side of the pairs with the same uniforms."""
        return paired(call, model, batch, executor)

    def sample_with_alternatives(
        self,
        model: BlackBox,
        batch: Batch,
        scales: FloatArray,
        num_phantoms: int,
        *,
        executor: Any = None,
    ) -> AlternativeSample:
        """See `SupportsAlternative.sample_with_alternatives`."""
        _require_choices(model)
        scales = np.asarray(scales, dtype=float)
        if num_phantoms < 1 or scales.shape != (len(model.parameters),):
            raise ParameterError(
                f"`num_phantoms` is {num_phantoms} and `scales` has shape {scales.shape}, expected "
                f"at least 1 and one number for each of {len(model.parameters)} parameters."
            )
        found = spread(call_with_alternatives, model, batch, executor, scales, int(num_phantoms))
        pairs: Any = np.stack(
            [found.others, np.broadcast_to(found.outputs[:, None], found.others.shape)], axis=2
        )
        events = np.zeros(len(found.codes), np.int64)
        return AlternativeSample(
            found.outputs, found.codes, events, pairs, found.weights, messages=found.messages
        )

    def sample_relaxed(
        self,
        model: BlackBox,
        batch: Batch,
        relaxation: AbstractRelaxation,
        *,
        executor: Any = None,
    ) -> RelaxedSample:
        """See `SupportsRelaxation.sample_relaxed`."""
        _require_choices(model)
        found = spread(call_relaxed, model, batch, executor, relaxation)
        events = np.zeros(len(found.codes), np.int64)
        return RelaxedSample(
            found.outputs, found.codes, events, found.slopes, messages=found.messages
        )


def _require_choices(model: BlackBox) -> None:
    if not model.choices:
        raise CapabilityError(
            f"{model.name} draws from a random generator, which says nothing about probabilities; "
            "draw through a tumble.choices.Choices and declare it with choices=True, or leave out "
            "`simulator`."
        )
