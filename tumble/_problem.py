"""Everything that is known before inference."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from numbers import Real
from typing import Any

import numpy as np

from tumble._binding import Binding
from tumble._errors import (
    DataError,
    ModelError,
    ParameterError,
    elided,
    require_known,
    require_mapping,
)
from tumble._experiment import Experiment, ObservedData
from tumble._expressions import Expression, parse
from tumble._observable import Observable
from tumble._parameters import Parameter, ParameterSpace
from tumble._random import Stream, run_ids
from tumble._typing import FloatArray, JaxArray, Params
from tumble.models import ReactionNetwork
from tumble.simulators import AbstractSimulator, Batch, Sample, default_simulator

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # in the repr of a function, of this process alone


@dataclass(frozen=True, repr=False)
class Problem:
    """A model, its data, and what is unknown.

    Arguments, most used first:

    - ``model``: a `ReactionNetwork`, a `BlackBox` or an `ExternalProgram`.
    - ``experiments``: `Experiment` objects; or, for a single one, ``data=`` and ``initial=``.
    - ``parameters``: name → `Parameter` (unknown) or a number (known). Every parameter of the
      model, of an observable and of a noise must be here or in an experiment's conditions.
    - ``observables``: name of a data column → `Observable`, or a formula such as ``"S + I"``
      (measured exactly). Default: each data column is the species or output of that name.
    - ``derived``: name → formula of parameters, such as ``{"R0": "beta * 763 / gamma"}``; results
      report them with intervals.
    - ``simulator``: what runs the model where runs are needed. Default `DirectMethod`, exact, for
      networks, and what calls them for black boxes and programs.

    Raises `ModelError`, `ParameterError`, `DataError` or `CapabilityError`.

    >>> import tumble as tb
    >>> decay = tb.ReactionNetwork.from_text("X -> 0 ; gamma")
    >>> problem = tb.Problem(decay, data={"time": [1.0, 2.0], "X": [35, 12]}, initial={"X": 100},
    ...                      parameters={"gamma": tb.Parameter(0.1, 10)})
    >>> problem.space.names
    ('gamma',)
    """

    model: Any
    experiments: Sequence[Experiment] = ()
    parameters: Mapping[str, Parameter | float] = field(default_factory=dict)
    observables: Mapping[str, Observable | str] | None = None
    derived: Mapping[str, str] = field(default_factory=dict)
    simulator: AbstractSimulator = None  # type: ignore[assignment]  # the model's own
    data: Any = None
    initial: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.simulator is None:
            self._set("simulator", default_simulator(self.model))
        self.simulator.require_model(self.model)
        self._set("experiments", self._collect_experiments())
        self._set("data", None)
        self._set("initial", None)
        self._set("observables", self._collect_observables())
        for name, value in self.parameters.items():
            known = isinstance(value, Real) and abs(float(value)) < 1e300
            if not (isinstance(value, Parameter) or known):
                raise ParameterError(
                    f"`parameters[{name!r}]` is {value!r}, expected a Parameter or a finite number."
                )
            if name in self.model.species:
                raise ParameterError(f"{name!r} names both a species and a parameter; rename one.")
        numbers = [*self.parameters]
        for name, formula in self.derived.items():
            if not isinstance(formula, str):
                raise ModelError(f"`derived[{name!r}]` is {formula!r}, expected a formula as text.")
            read = parse(formula).with_constants(numbers)
            require_known(read.names, numbers, what=f"derived {name!r} uses parameter",
                          owner="the problem", error=ModelError)  # fmt: skip
        self._check_used()

    # -- parts -------------------------------------------------------

    @cached_property
    def space(self) -> ParameterSpace:
        """The unknowns, as a vector."""
        free = {k: v for k, v in self.parameters.items() if isinstance(v, Parameter)}
        return ParameterSpace(free)

    @cached_property
    def fixed(self) -> dict[str, float]:
        """The known parameters."""
        return {k: float(v) for k, v in self.parameters.items() if not isinstance(v, Parameter)}

    @cached_property
    def bindings(self) -> tuple[Binding, ...]:
        """The experiments, each bound to the vector of unknowns."""
        observables: Any = self.observables
        return tuple(
            Binding(_with_inputs(self.model, experiment), experiment, observables, self.space,
                    self.fixed)
            for experiment in self.experiments
        )  # fmt: skip

    @property
    def kind(self) -> str:
        """The kind of the data, ``"series"``, ``"mean"`` or ``"snapshots"``."""
        return self.experiments[0].kind

    @cached_property
    def num_observations(self) -> int:
        """Numbers in the data, missing ones apart."""
        return int(sum(np.isfinite(b.observed.values).sum() for b in self.bindings))

    @cached_property
    def structure(self) -> tuple[Any, ...]:
        """Everything but the data values and starting points, as something hashable."""
        experiments = tuple(
            (
                repr(sorted(e.initial.items(), key=lambda item: item[0])),
                repr(sorted(e.conditions.items(), key=lambda item: item[0])),
                e.start,
                e.kind,
                e.data.names,
                e.data.values.shape,
                e.data.times.tobytes(),
            )
            for e in self.experiments
        )
        unknowns = tuple(
            (name, p.lower, p.upper, p.scale, p.shape, repr(p.prior))
            for name, p in self.space.parameters.items()
        )
        names = (self.model.species, self.model.parameters)
        fixed = tuple(self.fixed.items())
        return (self.model.to_text(), names, experiments, repr(self.observables), unknowns, fixed)

    def fingerprint(self, *options: Any, data: bool = True) -> str:
        """Return a short text that another problem, other data or ``options`` would not have.

        Functions and objects are known by their name and what they show of themselves. Without
        ``data`` their shape counts, but not their values.
        """
        digest = blake2b(digest_size=16)
        for part in (self.structure, self.simulator, *options):
            digest.update(_ADDRESS.sub("", repr(part)).encode())
        for experiment in self.experiments:
            values = experiment.data.values
            digest.update((values if data else np.isfinite(values)).tobytes())
        return digest.hexdigest()

    def derived_values(self, theta: JaxArray, xp: Any = np) -> dict[str, Any]:
        """Return the derived quantities at θ [P]."""
        values = {**self.fixed, **self.space.unpack(theta)}
        return {name: expression(values, xp) for name, expression in self._derived.items()}

    # -- simulation --------------------------------------------------

    def work_of_run(self) -> float:
        """Return the work of one run of every experiment, as far as the simulator knows it."""
        middle = np.asarray(self.space.from_fit((self.space.lower + self.space.upper) / 2))
        return sum(
            self.simulator.work_of_run(b.model, self._batch(e, middle, Stream.from_seed(0), 1))
            for e, b in enumerate(self.bindings)
        )

    def simulate_binding(
        self, index: int, theta: FloatArray, stream: Stream, num_runs: int, executor: Any = None
    ) -> Sample:
        """Run experiment ``index`` at θ [P], ``num_runs`` times, at its observation times."""
        batch = self._batch(index, theta, stream, num_runs)
        return self.simulator.sample(self.bindings[index].model, batch, executor=executor)

    def part(self, index: int, num_times: int) -> Problem:
        """Return the first ``num_times`` times of experiment ``index`` alone, with all unknowns."""
        binding = self.bindings[index]
        if num_times < len(binding.times):
            binding = replace(binding, experiment=binding.experiment.until(num_times))
        # Not made anew: of the unknowns, it need not use all.
        part = copy(self)
        for name in ("num_observations", "structure"):
            part.__dict__.pop(name, None)
        part._set("experiments", (binding.experiment,))
        part._set("bindings", (binding,))
        return part

    def with_data(self, values: Sequence[FloatArray]) -> Problem:
        """Return the same problem with other data, one array [N, T, O] an experiment."""
        experiments = [
            replace(e, data=ObservedData(v, e.data.times, e.data.names))
            for e, v in zip(self.experiments, values, strict=True)
        ]
        return replace(self, experiments=experiments)

    # -- display -----------------------------------------------------

    def __repr__(self) -> str:
        shapes = ", ".join(
            f"{e.data.num_replicates} x {len(e.data.times)} times x {', '.join(e.data.names)}"
            for e in self.experiments
        )
        lines = [f"Problem: {len(self.experiments)} experiment(s) of kind {self.kind} ({shapes})"]
        unknown = []
        for name, p in self.space.parameters.items():
            prior = f", prior {p.prior}" if p.prior else ""
            size = f" x {p.shape}" if p.shape else ""
            unknown.append(f"{name}{size} in [{p.lower:g}, {p.upper:g}], {p.scale}{prior}")
        known = [f"{name} = {value:g}" for name, value in self.fixed.items()]
        lines += [f"  {line}" for line in [*elided(unknown), *elided(known)]]
        return "\n".join([*lines, *("  " + x for x in repr(self.model).splitlines())])

    # -- private -----------------------------------------------------

    def _batch(self, index: int, theta: FloatArray, stream: Stream, num_runs: int) -> Batch:
        binding = self.bindings[index]
        runs = run_ids(num_runs)
        initial, _ = binding.sample_initial(theta, stream.child("initial"), runs)
        effects = binding.sample_effects(stream, runs)
        params = np.asarray(binding.params_given(theta, effects), dtype=float)
        return Batch(
            params,
            initial,
            binding.times,
            stream.child("events"),
            runs,
            binding.experiment.start,
        )

    @cached_property
    def _derived(self) -> dict[str, Expression]:
        return {
            name: parse(formula).with_constants(self.parameters)
            for name, formula in self.derived.items()
        }

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _collect_experiments(self) -> tuple[Experiment, ...]:
        experiments = list(self.experiments)
        if self.data is not None:
            if experiments:
                raise DataError("give `experiments`, or `data` and `initial`, not both.")
            experiments = [Experiment(self.data, self.initial or {})]
        if not experiments:
            raise DataError("`experiments` is empty; give an Experiment, or data= and initial=.")
        kinds = sorted({e.kind for e in experiments})
        if len(kinds) > 1:
            raise DataError(
                f"`experiments` mix data of kinds {', '.join(kinds)}; fit one kind at a time."
            )
        return tuple(piece for e in experiments for piece in e.split_initial())

    def _collect_observables(self) -> dict[str, Observable]:
        names = dict.fromkeys(n for e in self.experiments for n in e.data.names)
        if self.observables is None:
            require_known(names, [*self.model.species, *self.model.definitions],
                          what="`data` has column", owner=self.model.noun,
                          error=DataError)  # fmt: skip
            return {name: Observable(name) for name in names}
        return {
            name: value if isinstance(value, Observable) else Observable(value)
            for name, value in self.observables.items()
        }

    def _check_used(self) -> None:
        used = set().union(*(b.used for b in self.bindings))
        idle = [name for name in self.space.parameters if name not in used]
        if idle:
            raise ParameterError(
                f"`parameters` has {idle[0]!r}, which neither the model, an initial value, a "
                "condition, an observable nor a noise uses; remove it or correct its name."
            )


def _with_inputs(model: Any, experiment: Experiment) -> Any:
    """Return the model of one experiment: conditions may make parameters functions of time."""
    inputs = experiment.inputs
    if inputs and not isinstance(model, ReactionNetwork):
        raise ModelError(
            f"`conditions[{next(iter(inputs))!r}]` is a function of time, which {model.noun} does "
            "not take; let it read the times and compute the function itself."
        )
    return model.with_inputs(inputs) if inputs else model


def as_params(problem: Problem, params: Params) -> FloatArray:
    """Return θ [P] of named values, checked against the problem."""
    require_mapping("params", params)
    return problem.space.pack({k: v for k, v in params.items() if k not in problem.fixed})
