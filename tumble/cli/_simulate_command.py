"""``tumble simulate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import ParameterError, require_known

if TYPE_CHECKING:
    from tumble.io import RunConfig
    from tumble.outputs import AbstractOutput


def choose_outputs(
    moments: bool, histogram: bool, species: Sequence[str] | None
) -> AbstractOutput[Any]:
    """Return what the options ask to keep. Raises `ParameterError` where they ask for two."""
    from tumble.outputs import Counts, Histogram, Moments

    if moments and histogram:
        raise ParameterError("`--moments` and `--histogram` exclude each other; give one of them.")
    if moments:
        return Moments(species=species or None)
    return Histogram(species=species or None) if histogram else Counts(species or None)


def run_simulate(
    run: Path,
    num_samples: int | None,
    output: Path | None,
    outputs: AbstractOutput[Any],
    param: Sequence[str],
    seed: int | None,
    quiet: bool,
) -> None:
    """Simulate, write, print."""
    from tumble.cli._params import parse_params
    from tumble.cli._setup import prepare_process

    prepare_process()
    _check_output(output)
    config, estimate = _read(run)
    given = parse_params(param)
    require_known(given, config.parameters, what="`--param` names parameter",
                  owner="the run file", error=ParameterError)  # fmt: skip
    values = _values(config, estimate | given)
    count = num_samples or config.simulate.num_samples
    kept = _simulate(
        config, values, count, config.fit.seed if seed is None else seed, outputs, quiet
    )
    if output is not None:
        _write(kept, output)
    if not quiet:
        print(kept.summary())
        print("use --output to keep this" if output is None else f"written to {output}")
    if kept.result.name == "INTERRUPTED":
        raise KeyboardInterrupt


def _check_output(output: Path | None) -> None:
    if output is not None and output.suffix not in (".nc", ".csv"):
        raise ParameterError(f"`--output` is '{output}', expected a file that ends in .nc or .csv.")


def _read(run: Path) -> tuple[RunConfig, dict[str, float]]:
    """Return the run file, and the estimate where ``run`` is the folder of a run."""
    from tumble.io import RunFolder, load_fit, load_run_config

    if not run.is_dir():
        return load_run_config(run), {}
    folder = RunFolder.open(run)
    fit: Any = load_fit(folder.require_result())["fit"]
    names = [str(n) for n in fit["parameter"].values]
    config = folder.config()
    # Of candidates, those that the network does not have.
    absent = {} if config.structure is None else dict.fromkeys(config.model.parameters, 0.0)
    return config, absent | dict(zip(names, fit["estimate"].values.tolist(), strict=True))


def _values(config: RunConfig, given: Mapping[str, float]) -> dict[str, float]:
    """A value for each parameter that has one: given, of ``simulate.params``, known, or a start."""
    from tumble._parameters import Parameter

    values: dict[str, float] = {}
    for name, parameter in config.parameters.items():
        if not isinstance(parameter, Parameter):
            values[name] = float(parameter)
        elif parameter.start is not None:
            values[name] = float(parameter.start)
    return values | dict(config.fit.start or {}) | dict(config.simulate.params) | dict(given)


def _simulate(
    config: RunConfig,
    values: Mapping[str, float],
    num_samples: int,
    seed: int,
    outputs: AbstractOutput[Any],
    quiet: bool,
) -> Any:
    from tumble import simulate
    from tumble.io._algorithms import make

    entry = config.experiments[0]
    sources = {name: entry.conditions.get(name, name) for name in config.model.parameters}
    simulator = config.simulator and make("simulator", config.simulator, "simulator")
    model, times = config.model, config.simulate.times
    if config.lattice is not None and config.lattice.movies:
        model, frames = config.lattice.like_first(config.movie_files[0])
        times = frames if times is None else _times(config)
    else:
        times = _times(config)
    return simulate(
        model,
        {name: _number(source, values) for name, source in sources.items()},
        initial={name: _count(value, values) for name, value in entry.initial.items()},
        times=times,
        num_samples=num_samples,
        seed=seed,
        outputs=outputs,
        simulator=simulator,
        start=entry.start,
        progress=None if not quiet else False,
    )


def _number(source: Any, values: Mapping[str, float]) -> float:
    from tumble._errors import CapabilityError, shown
    from tumble._parameters import Ref
    from tumble._random_effect import RandomEffect
    from tumble.cli._params import require_all

    if isinstance(source, RandomEffect):
        raise CapabilityError(
            f"a condition is another number in every run (median {shown(source.median)}), which "
            "`tumble simulate` does not draw; replace it by a number, or simulate the problem in "
            "Python by tumble.posterior_predictive."
        )
    name = source.name if isinstance(source, Ref) else source
    if not isinstance(name, str):
        return float(name)
    require_all(values, [name])
    return values[name]


def _count(value: Any, values: Mapping[str, float]) -> int:
    """An initial count; means between whole numbers, and those of priors, are rounded."""
    from tumble._parameters import Ref
    from tumble.priors import AbstractPrior

    if isinstance(value, Ref):
        value = _number(value, values)
    elif isinstance(value, AbstractPrior):
        value = value.mean
    elif isinstance(value, list):
        value = value[0]
    return round(float(value))


def _times(config: RunConfig) -> Any:
    times = config.simulate.times
    if isinstance(times, tuple):
        return np.linspace(*times)
    if times is not None:
        return np.asarray(times, dtype=float)
    entry, file = config.experiments[0], config.data_files[0]
    if entry.data is None and entry.tracks is None:
        raise ParameterError("the run file has no data to take times from; add `simulate.times`.")
    if entry.tracks is not None and file is not None:
        return entry.tracks.displacements(file, lambda line: None)["time"].values
    if file is None:
        last = max(entry.data.get("time", [1.0]))
    else:
        from tumble.io import read_data

        data = read_data(file, time=entry.time, columns=entry.columns, replicate=entry.replicate,
                         say=lambda line: None)  # fmt: skip
        last = float(data["time"].values[-1])
    return np.linspace(entry.start, last, 101)


def _write(kept: Any, output: Path) -> None:
    from tumble import Trajectory
    from tumble.io import replacing

    with replacing(output) as temporary:
        if output.suffix == ".nc":
            kept.save(temporary)
        elif isinstance(kept, Trajectory):
            # One line a sample and time, as `read_data` reads it; failed runs hold no numbers.
            table = kept.valid.to_series().unstack("species")[list(kept.species)]
            if kept.variables is not None:
                valid = kept.variables.isel(sample=np.flatnonzero(kept.codes == 0))
                names = [str(name) for name in valid["variable"].values]
                table = table.join(valid.to_series().unstack("variable")[names])
            table.index = table.index.set_levels(np.flatnonzero(kept.codes == 0), level="sample")
            table.to_csv(temporary)
        else:
            kept.data.to_dataframe().to_csv(temporary)
