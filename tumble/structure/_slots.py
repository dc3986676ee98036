"""Networks that are drawn by slots, or rounded to: what is known of them, and how they run."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tumble._errors import CapabilityError
from tumble._typing import FloatArray, IntArray
from tumble.models import AbstractBlackBox, BlackBox
from tumble.simulators import (
    AbstractSimulator,
    Batch,
    DirectMethod,
    Sample,
    ScoredSample,
    SupportsScore,
)
from tumble.structure._library import ReactionLibrary


@dataclass(frozen=True, eq=False)
class Complexes:
    """The complexes that a library's candidates lead from and to.

    ``before`` and ``after`` [R, S], copies of each species on either side.
    """

    before: FloatArray
    after: FloatArray

    @classmethod
    def of(cls, library: ReactionLibrary) -> Complexes:
        """Return those of a library."""
        sides = [(reaction.reactants, reaction.products) for reaction in library.reactions]
        tables = np.array(
            [[[side.get(s, 0) for s in library.species] for side in both] for both in sides], float
        )
        return cls(tables[:, 0], tables[:, 1])

    @property
    def order(self) -> float:
        """The largest number of copies on a side."""
        return float(max(self.before.sum(1).max(), self.after.sum(1).max()))

    def inside(self, sides: FloatArray) -> FloatArray:
        """Return coefficients [..., S] moved to ≥ 0, with a sum of the order at most."""
        kept = np.clip(sides, 0.0, self.order)
        return kept * np.minimum(1.0, self.order / np.maximum(kept.sum(-1, keepdims=True), 1e-300))

    def nearest(self, before: FloatArray, after: FloatArray) -> IntArray:
        """Return the candidates [...] nearest to coefficients [..., S]."""
        return np.asarray(np.argmin(self._distances(before, after), axis=-1))

    def by_distance(self, before: FloatArray, after: FloatArray) -> IntArray:
        """Return all candidates [..., R], those nearest to coefficients [..., S] first."""
        return np.argsort(self._distances(before, after), axis=-1, kind="stable")

    def _distances(self, before: FloatArray, after: FloatArray) -> FloatArray:
        away = ((before[..., None, :] - self.before) ** 2).sum(-1)
        return np.asarray(away + ((after[..., None, :] - self.after) ** 2).sum(-1))


def log_probabilities(weights: FloatArray) -> FloatArray:
    """Return log p [..., R] of what is drawn in proportion to exp(weights) [..., R]."""
    above = weights - weights.max(-1, keepdims=True)
    return np.asarray(above - np.log(np.exp(above).sum(-1, keepdims=True)))


def slot_model(library: ReactionLibrary, parameters: list[str]) -> BlackBox:
    """Return a model with a library's species, of which only its simulator knows the law."""
    return BlackBox(_run_by_its_simulator, parameters, library.species, library.species)


def _run_by_its_simulator(params: Any, times: Any, rng: Any) -> Any:
    raise CapabilityError(
        "a network of slots is run by its own simulator alone; give the problem no other one."
    )


@dataclass(frozen=True, eq=False)
class AbstractSlotSimulator(AbstractSimulator):
    """Runs a network of its own in each row, which the parameters of the row stand for.

    All are networks of one ``library``, whose other candidates have rate 0; ``slots`` of them.
    """

    library: ReactionLibrary
    slots: int
    exact: ClassVar[bool] = True
    takes: ClassVar[type] = AbstractBlackBox

    @property
    @abstractmethod
    def parameters(self) -> list[str]:
        """Names of what a row has, in order."""

    @abstractmethod
    def rates_of(self, batch: Batch) -> FloatArray:
        """Return the rates of all candidates [B, R] in each row."""

    def sample(self, model: Any, batch: Batch, *, executor: Any = None) -> Sample:
        """See `AbstractSimulator.sample`."""
        return DirectMethod().sample(self.library.network, self.inner(batch), executor=executor)

    def inner(self, batch: Batch) -> Batch:
        """Return the batch of networks."""
        rates = self.rates_of(batch)
        return replace(batch, params=rates[:, self.order], stream=batch.stream.child("events"))

    @cached_property
    def order(self) -> IntArray:
        """The candidate of each of the network's parameters [R]."""
        return np.argsort(self.library.network.rate_index)


@dataclass(frozen=True, eq=False)
class DrawnNetworks(AbstractSlotSimulator, SupportsScore):
    """Draws a network for each run: each slot a candidate, in proportion to exp(weight).

    Parameters: weights [K, R] and rates [R].
    """

    @property
    def parameters(self) -> list[str]:
        """Names of weights and rates, in order."""
        names = [f"w{k}_{r}" for k in range(self.slots) for r in range(len(self.library))]
        return names + [f"r{r}" for r in range(len(self.library))]

    def weights_of(self, params: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return weights [..., K, R] and rates [..., R]."""
        size = self.slots * len(self.library)
        shape = (*params.shape[:-1], self.slots, len(self.library))
        return params[..., :size].reshape(shape), params[..., size:]

    def picks_of(self, batch: Batch) -> tuple[IntArray, FloatArray]:
        """Return which candidates each slot draws [B, K], and the probabilities [B, K, R]."""
        from tumble.kernels._philox import fill_uniforms

        p = np.exp(log_probabilities(self.weights_of(batch.params)[0]))
        uniforms = np.empty((len(p), -(-self.slots // 2), 2))
        runs = np.require(batch.runs, np.uint64, ["C"])
        key = np.uint64(batch.stream.child("choices").key)
        fill_uniforms(key, runs, np.uint64(0), uniforms)
        u = uniforms.reshape(len(p), -1)[:, : self.slots]
        picks = (p.cumsum(-1) < u[..., None]).sum(-1)
        return np.minimum(picks, len(self.library) - 1), p

    def rates_of(self, batch: Batch) -> FloatArray:
        """See `AbstractSlotSimulator.rates_of`."""
        picks, _ = self.picks_of(batch)
        _, rates = self.weights_of(batch.params)
        there = np.zeros(rates.shape, bool)
        np.put_along_axis(there, picks, True, axis=1)
        there[:, list(self.library.required)] = True
        return np.where(there, rates, 0.0)

    def sample_with_score(self, model: Any, batch: Batch, *, executor: Any = None) -> ScoredSample:
        """See `SupportsScore.sample_with_score`; that of choices is the same at all times."""
        inner = self.inner(batch)
        sample = DirectMethod().sample_with_score(self.library.network, inner, executor=executor)
        picks, p = self.picks_of(batch)
        hot = picks[..., None] == np.arange(len(self.library))
        by_weight = (hot - p).reshape(len(p), 1, -1)
        by_weight = np.broadcast_to(by_weight, (*sample.score.shape[:2], by_weight.shape[-1]))
        # What is not there has no score: its rate does not matter.
        by_rate = np.zeros_like(sample.score)
        by_rate[..., self.order] = np.where(inner.params[:, None, :] > 0, sample.score, 0.0)
        return ScoredSample(
            sample.states, sample.codes, sample.events,
            np.concatenate([by_weight, by_rate], axis=2), culprits=None,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class RoundedNetworks(AbstractSlotSimulator):
    """Runs the network that free coefficients are rounded to.

    Parameters: reactant and product coefficients [K, 2, S], and how often each slot would fire [K].
    """

    firings: FloatArray
    """At rate 1, by each candidate [R]."""

    @cached_property
    def complexes(self) -> Complexes:
        """The complexes of the library."""
        return Complexes.of(self.library)

    @property
    def parameters(self) -> list[str]:
        """Names of coefficients and firings, in order."""
        names = [
            f"{side}{k}_{s}"
            for k in range(self.slots) for side in "cd" for s in range(len(self.library.species))
        ]  # fmt: skip
        return names + [f"n{k}" for k in range(self.slots)]

    def networks_of(self, params: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return candidates [..., K] and their rates [..., K]."""
        size = 2 * self.slots * len(self.library.species)
        shape = (*params.shape[:-1], self.slots, 2, len(self.library.species))
        sides = params[..., :size].reshape(shape)
        picks = self.complexes.nearest(sides[..., 0, :], sides[..., 1, :])
        return picks, params[..., size:] / self.firings[picks]

    def rates_of(self, batch: Batch) -> FloatArray:
        """See `AbstractSlotSimulator.rates_of`; those of slots that agree are added."""
        picks, rates = self.networks_of(batch.params)
        found = np.zeros((len(picks), len(self.library)))
        np.add.at(found, (np.arange(len(picks))[:, None], picks), rates)
        return found
