"""How the parameters of a problem reach one of its experiments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tumble._binding_checks import check_columns, check_data, check_observables
from tumble._errors import CapabilityError, ModelError, ParameterError, require_known
from tumble._experiment import Experiment, ObservedData, check_initial
from tumble._expressions import Expression, Name
from tumble._observable import Observable
from tumble._parameters import ParameterSpace, Ref
from tumble._random import Stream
from tumble._random_effect import RandomEffect
from tumble._sources import Sources
from tumble._typing import BoolArray, FloatArray, IdArray, IntArray, JaxArray
from tumble.models import AbstractModel
from tumble.noise import AbstractNoise, DatumLaw, Exact
from tumble.noise._base import ROUNDING
from tumble.priors import AbstractPrior

# A run from an initial mean between two whole numbers starts from one of them. The score of that
# draw is not defined at the whole numbers themselves: where it is used, the mean keeps away from
# them by this much.
_NUDGE = 0.02


@dataclass(frozen=True)
class Binding:
    """One experiment, seen from the vector θ [P] of the problem's parameters.

    The methods that take ``theta`` are written in `jax.numpy` and can be differentiated.
    """

    model: AbstractModel
    experiment: Experiment
    observables: Mapping[str, Observable]
    space: ParameterSpace
    fixed: Mapping[str, float]

    def __post_init__(self) -> None:
        self._check_conditions()
        self._check_initial()
        check_columns(self)
        varying = {_of_model(n): n for n in (self.model.parameters[e] for e in self.effects)}
        check_observables(self, self._formulas, varying)
        check_data(self)

    @property
    def observed(self) -> ObservedData:
        """The data."""
        return self.experiment.data

    @property
    def times(self) -> FloatArray:
        """Observation times [T]."""
        return self.observed.times

    @cached_property
    def used(self) -> frozenset[str]:
        """Names of the problem's parameters that this experiment depends on."""
        names = self._model_sources.names | self._initial_sources.names | self._measured_with
        return frozenset(names & set(self.space.parameters))

    # -- from θ to the model -----------------------------------------

    def model_params(self, theta: JaxArray) -> JaxArray:
        """Return the model's parameters [..., Q] at θ [..., P]. Raises `CapabilityError`.

        That is where some of them are no single numbers, but differ from run to run.
        """
        self.require_single()
        return self._model_sources.at(theta)

    @property
    def effects(self) -> IntArray:
        """Which of the model's parameters differ from run to run, [E]."""
        return self._model_sources.effects

    def sample_effects(self, stream: Stream, runs: IdArray) -> FloatArray:
        """Draw standard normal numbers [B, E], one a run and parameter that differs by runs."""
        from scipy.special import ndtri

        from tumble.kernels._philox import fill_uniforms

        uniforms = np.empty((len(runs), len(self.effects), 2))
        fill_uniforms(np.uint64(stream.child("effects").key), runs, np.uint64(0), uniforms)
        return np.asarray(ndtri(uniforms[..., 0]))

    def params_given(self, theta: JaxArray, effects: JaxArray) -> JaxArray:
        """Return the model's parameters [..., Q] at θ [..., P], ``effects`` [..., E] as drawn."""
        return self._model_sources.at(theta, effects)

    def slopes_given(self, theta: FloatArray, effects: FloatArray) -> FloatArray:
        """Return ∂ params_given / ∂θ at θ [P]: [B, Q, P], or [1, Q, P] where none is drawn."""
        return self._model_sources.slopes(theta, effects)

    @cached_property
    def moves(self) -> BoolArray:
        """Whether the law of the states depends on each entry of θ, [P]."""
        return self._model_sources.moves | self._initial_means.moves

    def initial_mean(self, theta: JaxArray) -> JaxArray:
        """Return the mean of the initial state [..., S] at θ [..., P]."""
        return self._initial_means.at(theta)

    @property
    def model_slopes(self) -> FloatArray:
        """The constant ∂ model_params / ∂θ, [Q, P]: each is one entry of θ, or known."""
        self.require_single()
        return self._model_sources.selection

    @property
    def initial_slopes(self) -> FloatArray:
        """The constant ∂ initial_mean / ∂θ, [S, P]."""
        return self._initial_means.selection

    @cached_property
    def initial_variance(self) -> FloatArray:
        """Variance of initial values that are drawn from a distribution [S]; 0 for the others."""
        return np.array(
            [v.variance if isinstance(v, AbstractPrior) else 0.0 for v in self._initial_sources.of]
        )

    def sample_initial(
        self, theta: FloatArray, stream: Stream, runs: IdArray, *, interior: bool = False
    ) -> tuple[IntArray, FloatArray]:
        """Draw initial counts [B, S], and their score [B, S] with respect to the initial mean.

        Arguments: ``theta`` [P], or [B, P] with a row a run; ``interior``, keep a mean that is a
        parameter 0.02 away from whole numbers, where its score is not defined (NaN). Default
        ``False``.

        A mean between whole numbers is rounded at random, with one uniform a run and species, so
        that runs with the same ids at nearby θ start from the same or neighboring counts.
        """
        from tumble.kernels._philox import fill_uniforms

        mean = np.asarray(self.initial_mean(theta), dtype=float)
        shape = (len(runs), mean.shape[-1])
        uniforms = np.empty((*shape, 2))
        fill_uniforms(np.uint64(stream.key), runs, np.uint64(0), uniforms)
        counts = np.empty(shape, np.int64)
        score = np.zeros(shape)
        for s, source in enumerate(self._initial_sources.of):
            u = uniforms[:, s, 0]
            if isinstance(source, AbstractPrior):
                counts[:, s] = np.maximum(np.rint(source.quantile(u)), 0).astype(np.int64)
            elif isinstance(source, Ref):
                floor = np.floor(mean[..., s])
                up = mean[..., s] - floor
                up = np.clip(up, _NUDGE, 1 - _NUDGE) if interior else up
                above = u < up
                counts[:, s] = floor.astype(np.int64) + above
                inside = np.where(up > 0, up, np.nan)
                score[:, s] = np.where(above, 1 / inside, -1 / (1 - inside))
            else:
                counts[:, s] = mean[..., s].astype(np.int64)
        return counts, score

    # -- from states to data -----------------------------------------

    def observe(self, states: Any, theta: JaxArray, xp: Any = np) -> JaxArray:
        """Return the observables [..., O] of states [..., S] at θ [P], or [B, P] of [B, T, S]."""
        values = self._named(theta)
        if self._measured_with & {_of_model(q) for q in self.model.parameters}:
            params = _beside_times(self.model_params(theta))
            values |= {_of_model(q): params[i] for i, q in enumerate(self.model.parameters)}
        for s, name in enumerate(self.model.species):
            values[name] = states[..., s]
        columns = [
            self._formulas[name](values, xp) + xp.zeros(states.shape[:-1])
            for name in self.observed.names
        ]
        return xp.stack(columns, axis=-1)

    def expected(self, x: JaxArray, theta: JaxArray, xp: Any = np) -> JaxArray:
        """Return E[y | observables x], [..., O]."""
        columns = [n.mean(x[..., o], args, xp) for o, (n, args) in enumerate(self._noises(theta))]
        return xp.stack(columns, axis=-1)

    def noise_variance(self, x: JaxArray, theta: JaxArray, xp: Any = np) -> JaxArray:
        """Return Var[y | observables x], [..., O]."""
        columns = [
            n.variance(x[..., o], args, xp) for o, (n, args) in enumerate(self._noises(theta))
        ]
        return xp.stack(columns, axis=-1)

    def law(self, x: JaxArray, theta: JaxArray, xp: Any = np) -> DatumLaw:
        """Return the law of data given observables x [..., O]."""
        return DatumLaw(self._noises(theta), x, xp)

    def log_prob(self, y: JaxArray, x: JaxArray, theta: JaxArray) -> JaxArray:
        """Return log p(y | observables x) of each observable, [..., O], in JAX."""
        import jax.numpy as jnp

        columns = [
            n.log_prob(y[..., o], x[..., o], args)
            for o, (n, args) in enumerate(self._noises(theta))
        ]
        return jnp.stack(columns, axis=-1)

    def sample_data(self, states: Any, theta: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Draw data [..., O] for states [..., S] at θ [P], or [B, P] for [B, T, S]."""
        x = np.asarray(self.observe(states, theta))
        columns = [
            n.sample(rng, x[..., o], args) for o, (n, args) in enumerate(self._noises(theta))
        ]
        return np.stack(columns, axis=-1)

    @cached_property
    def measurement_is_known(self) -> bool:
        """Whether neither observables nor noise depend on an unknown parameter."""
        return not self._measured_with & self._unknown_names

    @cached_property
    def exact_and_unknown(self) -> list[str]:
        """Observables without noise whose formula depends on an unknown parameter."""
        return [
            name
            for name in self.observed.names
            if isinstance(self.observables[name].noise, Exact)
            and set(self._formulas[name].names) & self._unknown_names
        ]

    @cached_property
    def is_exact(self) -> IntArray:
        """Whether each observable is measured without noise, [O]."""
        return np.array([isinstance(self.observables[n].noise, Exact) for n in self.observed.names])

    @cached_property
    def rounding(self) -> FloatArray:
        """Variance [O] that a Gaussian picture of each datum adds because data are whole numbers.

        See `AbstractNoise.counts`; 0 for laws of real numbers.
        """
        counted = [self.observables[name].noise.counts for name in self.observed.names]
        return np.array(counted) * ROUNDING

    # -- private -----------------------------------------------------

    @cached_property
    def _formulas(self) -> dict[str, Expression]:
        """The formulas of the observables that are in the data, with definitions written out.

        The names of definitions are those of the model, of which the conditions of an experiment
        may make something else than the parameter of the problem with that name.
        """
        own = {q: Expression(Name(_of_model(q))) for q in self.model.parameters}
        definitions = {k: v.substitute(own) for k, v in self.model.resolved_definitions.items()}
        declared = {*self.model.species, *self.space.parameters, *self.fixed}
        outside = {k: v for k, v in definitions.items() if k not in declared}
        return {
            name: self.observables[name]
            .expression.with_constants({*declared, *outside})
            .substitute(outside)
            for name in self.observed.names
        }

    @cached_property
    def _unknown_names(self) -> set[str]:
        """What stands for an unknown parameter in formulas."""
        own = {
            _of_model(name)
            for name, source in zip(self.model.parameters, self._model_sources.of, strict=True)
            if isinstance(source, Ref)
        }
        return own | set(self.space.parameters)

    @cached_property
    def _measured_with(self) -> set[str]:
        """Names that the observables in the data, or their noises, refer to."""
        names: set[str] = set()
        for name, formula in self._formulas.items():
            names |= {*formula.names, *self.observables[name].noise.names}
        return names

    @cached_property
    def _model_sources(self) -> Sources:
        return Sources(self.space, tuple(self._source(name) for name in self.model.parameters))

    @cached_property
    def _initial_sources(self) -> Sources:
        sources = (self.experiment.initial[s] for s in self.model.initial_names)
        resolved = (self._resolve(s) if isinstance(s, Ref) else s for s in sources)
        return Sources(self.space, tuple(resolved))

    @cached_property
    def _initial_means(self) -> Sources:
        return Sources(self.space, tuple(_mean(v) for v in self._initial_sources.of))

    @cached_property
    def _conditions(self) -> dict[str, Any]:
        """The conditions but for functions of time, which are part of the model."""
        inputs = self.experiment.inputs
        return {k: v for k, v in self.experiment.conditions.items() if k not in inputs}

    def _source(self, name: str) -> Any:
        value = self._conditions.get(name, name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, RandomEffect):
            return RandomEffect(*(self._named_source(part) for part in value.parts))
        if not isinstance(value, (str, Ref)):
            raise ParameterError(
                f"`conditions[{name!r}]` is {value!r}, expected a number, a Ref, a name, a "
                "RandomEffect or a function of time from tumble.inputs."
            )
        return self._named_source(value)

    def _named_source(self, value: Any) -> Ref | float:
        """Return a `Ref` to an unknown, or a number."""
        if not isinstance(value, (str, Ref)):
            return float(value)
        ref = Ref(value) if isinstance(value, str) else value
        if ref.name not in self.space.parameters and ref.name not in self.fixed:
            known = [*self.space.parameters, *self.fixed]
            require_known([ref.name], known, what="the model needs parameter",
                          owner="the problem", error=ParameterError)  # fmt: skip
        return self._resolve(ref)

    def _resolve(self, ref: Ref) -> Ref | float:
        """Return ``ref`` to an unknown, or the number it refers to. Raises `ParameterError`."""
        if ref.name in self.fixed:
            return self.fixed[ref.name]
        self.space.position(ref)
        return ref

    def require_single(self) -> None:
        """Raise `CapabilityError` where some of the model's parameters differ from run to run."""
        if len(self.effects):
            name = self.model.parameters[self.effects[0]]
            raise CapabilityError(
                f"{name!r} differs from run to run (a RandomEffect), which this method cannot "
                "integrate out; use SMCABC(), TSNPE(), MomentMatching() with simulated "
                "gradients, or, for one such parameter and snapshots of small networks, "
                "FiniteStateProjection()."
            )

    def _noises(self, theta: JaxArray) -> list[tuple[AbstractNoise, dict[str, Any]]]:
        """Return the noise of each observable with the values of its arguments."""
        values = self._named(theta)
        pairs = []
        for name in self.observed.names:
            noise = self.observables[name].noise
            arguments = noise.arguments.items()
            args = {k: values[v] if isinstance(v, str) else v for k, v in arguments}
            pairs.append((noise, args))
        return pairs

    def _named(self, theta: JaxArray) -> dict[str, Any]:
        """Return all parameters that are numbers, by name; beside times where θ is [B, P]."""
        entries = _beside_times(theta)
        numbers = (name for name, p in self.space.parameters.items() if not p.shape)
        free = {name: entries[self.space.position(Ref(name))] for name in numbers}
        return {**self.fixed, **free}

    def _check_conditions(self) -> None:
        require_known(self._conditions, self.model.parameters,
                      what="`conditions` has", owner="the model", error=ModelError)  # fmt: skip
        _ = self._model_sources

    def _check_initial(self) -> None:
        initial, species = self.experiment.initial, self.model.initial_names
        require_known(initial, species, what="`initial` has species", owner=self.model.noun,
                      error=ModelError)  # fmt: skip
        missing = [s for s in species if s not in initial]
        if missing:
            raise ModelError(
                f"`initial` has no value for species {missing[0]!r}; give 0 if absent."
            )
        for name, value in zip(species, self._initial_sources.of, strict=True):
            if isinstance(initial[name], Ref) and isinstance(value, float):
                check_initial(name, value, self.observed.num_replicates)


def _of_model(parameter: str) -> str:
    """Return what stands for a parameter of the model; no name in a formula looks like it."""
    return f"model.{parameter}"


def _beside_times(rows: JaxArray) -> JaxArray:
    """Return entries [P] of a vector, or [P, B, 1] of rows [B, P]."""
    return rows if rows.ndim == 1 else rows.T[..., None]


def _mean(value: Any) -> Any:
    return value.mean if isinstance(value, AbstractPrior) else value
