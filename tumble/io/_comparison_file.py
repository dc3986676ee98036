"""Run files that name several models of the same data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tumble._errors import TumbleError
from tumble._parameters import Ref
from tumble._random_effect import RandomEffect
from tumble.io._algorithms import make
from tumble.io._read_run_config import build_config
from tumble.io._run_config import ExperimentEntry, RunConfig
from tumble.io._run_section import Section, number, shorten
from tumble.io._yaml import RunFileError, read_yaml

if TYPE_CHECKING:
    from tumble._problem import Problem

_TOP = ("title", "models", "experiments", "observables", "parameters", "compare")
_OF_A_MODEL = ("model", "observables", "parameters", "initial", "conditions")
_OF_EXPERIMENTS = ("initial", "conditions")


@dataclass(frozen=True)
class ComparisonConfig:
    """A run file with several models, checked, as `load_comparison` reads it.

    Attributes: ``path``; ``title``; ``models``, name → `RunConfig`; ``by``, a criterion or None;
    ``prior``, name → weight, or None; ``seed``.
    """

    path: Path
    title: str
    models: Mapping[str, RunConfig]
    by: Any
    prior: Mapping[str, float] | None
    seed: int

    def problems(self, *, say: Callable[[str], None] | None = None) -> dict[str, Problem]:
        """Read the data and return the `Problem` of each model.

        ``say`` takes what `read_data` guesses, once. Raises a `TumbleError` that names the model.
        """
        found: dict[str, Problem] = {}
        for name, config in self.models.items():
            try:
                found[name] = config.problem(say=(lambda line: None) if found else say)
            except TumbleError as error:
                text = str(error).removeprefix(f"{self.path.name}: ")
                raise type(error)(f"{self.path.name}: model {name!r}: {text}") from None
        return found


def load_comparison(path: str | Path) -> ComparisonConfig:
    """Read a run file with ``models``: name → reactions, or a mapping with ``model``.

    What stands beside ``models`` is common to all. A common parameter, initial value or condition
    is left out of the models that do not have it, and has to serve one of them; a mapping may have
    ``parameters``, ``observables``, ``initial`` and ``conditions`` of its own, which come first.

    Raises a `TumbleError` of one line that names the entry at fault.
    """
    path = Path(path)
    content, text = read_yaml(path)
    try:
        return _read(path, text, content)
    except TumbleError as error:
        if str(error).startswith(f"'{path.name}'"):
            raise
        raise type(error)(f"{path.name}: {error}") from None


def _read(path: Path, text: str, content: Any) -> ComparisonConfig:
    if "models" not in content:
        raise RunFileError("the run file has no `models`; name two or more, or use `tumble fit`.")
    top = Section.read(content, "", _TOP)
    models = top.mapping("models")
    if len(models) < 2:
        raise RunFileError(f"`models` is {shorten(models)}, expected two or more, by name.")
    configs = {}
    for name, given in models.items():
        own = {"model": given} if isinstance(given, str) else given
        entry = Section.read(own, f"models.{name}", _OF_A_MODEL)
        merged = _merged(top, entry)
        try:
            configs[name] = _pruned(build_config(path, text, merged, None))
        except TumbleError as error:
            raise type(error)(f"model {name!r}: {error}") from None
    used = set().union(*(c.parameters for c in configs.values()))
    for name in top.mapping("parameters"):
        if name not in used:
            raise RunFileError(f"`parameters` has {name!r}, which no model uses; remove it.")
    options = Section.read(top.raw("compare", None), "compare", ("by", "prior", "seed"))
    by = options.raw("by", None)
    prior = {k: number(v, f"compare.prior.{k}") for k, v in options.mapping("prior").items()}
    return ComparisonConfig(
        path,
        top.text("title", path.stem),
        configs,
        None if by is None else make("criterion", by, "compare.by"),
        prior or None,
        options.whole("seed", 0),
    )


def _merged(top: Section, entry: Section) -> dict[str, Any]:
    """Return the run file of one model."""
    merged = {k: v for k, v in top.content.items() if k not in ("models", "compare")}
    merged["model"] = entry.raw("model")
    for key in ("parameters", "observables"):
        if top.has(key) or entry.has(key):
            merged[key] = {**top.mapping(key), **entry.mapping(key)}
    experiments = top.raw("experiments")
    experiments = [experiments] if isinstance(experiments, Mapping) else experiments
    if isinstance(experiments, list):
        merged["experiments"] = [_with_own(e, entry) for e in experiments]
    return merged


def _with_own(experiment: Any, entry: Section) -> Any:
    if not isinstance(experiment, Mapping):
        return experiment  # the reader of experiments says what is wrong
    changed = dict(experiment)
    for key in _OF_EXPERIMENTS:
        given = changed.get(key)
        if entry.has(key) and (given is None or isinstance(given, Mapping)):
            changed[key] = {**(given or {}), **entry.mapping(key)}
    return changed


def _pruned(config: RunConfig) -> RunConfig:
    """Return the run file without common entries that the model has no use for."""
    model = config.model
    experiments = tuple(
        replace(
            e,
            initial={k: v for k, v in e.initial.items() if k in model.initial_names},
            conditions={k: v for k, v in e.conditions.items() if k in model.parameters},
        )
        for e in config.experiments
    )
    used = {*model.parameters, *_names_of_measurement(config), *_references(experiments)}
    parameters = {k: v for k, v in config.parameters.items() if k in used}
    return replace(config, experiments=experiments, parameters=parameters)


def _names_of_measurement(config: RunConfig) -> set[str]:
    names: set[str] = set()
    for observable in (config.observables or {}).values():
        names |= {*observable.expression.names, *observable.noise.names}
    return names


def _references(experiments: tuple[ExperimentEntry, ...]) -> set[str]:
    given = [v for e in experiments for v in (*e.initial.values(), *e.conditions.values())]
    values = [x for v in given for x in (v.parts if isinstance(v, RandomEffect) else (v,))]
    return {v.name for v in values if isinstance(v, Ref)} | {v for v in values if type(v) is str}
