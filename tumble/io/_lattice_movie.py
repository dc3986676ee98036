"""What a lattice looks like at the estimate, to be kept with a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import TumbleError
from tumble.models import AbstractLattice, Transitions

if TYPE_CHECKING:
    import xarray as xr

    from tumble._fit_result import FitResult

_MOST_FRAMES = 100


def lattice_movie(fit: FitResult) -> xr.Dataset | None:
    """Return frames of a lattice at the estimate, or None where there is nothing to see.

    Of `Transitions`: the frames that were seen, and, of each, one simulated step from the frame
    before it. Of other lattices: one run, from the start to the last observation of the first
    experiment. At most 100 frames. A variable for each array of the state, with dimensions
    (time, ...).
    """
    model = fit.problem.model
    if not isinstance(model, AbstractLattice) or not np.all(np.isfinite(fit.theta)):
        return None
    try:
        if isinstance(model, Transitions):
            return _of_transitions(fit, model)
        return _of_run(fit, model)
    except TumbleError:  # what cannot be shown is no reason to lose a result
        return None


def _of_transitions(fit: FitResult, model: Transitions) -> xr.Dataset | None:
    count = min(model.num_transitions, _MOST_FRAMES)
    times = np.arange(1.0, count + 1)
    simulated = _run(fit, model, times).lattices(0)
    seen = _named(model.after)
    found = {}
    for name, frames in simulated.items():
        short = name.removeprefix("state").removeprefix(".")
        if short in seen and np.shape(seen[short])[1:] == frames.shape[1:]:
            label = f" ({short})" if short else ""
            found[f"seen{label}"] = np.asarray(seen[short])[:count]
            found[f"simulated{label}"] = frames
    caption = (
        f"{count} transitions: the frame that was seen, and one step simulated at the estimate "
        "from the frame before."
    )
    return _dataset(found, times, caption)


def _of_run(fit: FitResult, model: AbstractLattice) -> xr.Dataset | None:
    experiment = fit.problem.experiments[0]
    first = experiment.start / model.step_time
    steps = round(float(experiment.data.times[-1]) / model.step_time - first)
    numbers = np.unique(np.rint(np.linspace(0, steps, min(steps + 1, _MOST_FRAMES))))
    times = experiment.start + model.step_time * numbers
    caption = "One run at the estimate."
    return _dataset(_run(fit, model, times).lattices(0), times, caption)


def _run(fit: FitResult, model: AbstractLattice, times: Any) -> Any:
    from tumble._simulate import simulate
    from tumble.outputs import Frames

    binding = fit.problem.bindings[0]
    values = np.asarray(binding.model_params(fit.theta), dtype=float)
    params = dict(zip(model.parameters, values.tolist(), strict=True))
    counts = np.rint(np.asarray(binding.initial_mean(fit.theta), dtype=float))
    initial = {name: int(n) for name, n in zip(model.initial_names, counts, strict=True)}
    start = binding.experiment.start
    return simulate(model, params, initial=initial or None, times=times, seed=0, start=start,
                    outputs=Frames())  # fmt: skip


def _named(states: Any) -> dict[str, Any]:
    """Return the arrays of states [frames, ...] by name."""
    return dict(states) if isinstance(states, dict) else {"": states}


def _dataset(frames: dict[str, Any], times: Any, caption: str) -> xr.Dataset | None:
    import xarray as xr

    if not frames:
        return None
    axes = {3: ("y", "x"), 4: ("z", "y", "x"), 2: ("x",)}
    data = {
        (name or "state"): (("time", *axes[values.ndim]), _compact(values))
        for name, values in frames.items()
    }
    return xr.Dataset(data, {"time": np.asarray(times, dtype=float)}, {"caption": caption})


def _compact(values: Any) -> np.ndarray:
    """Return whole numbers in the smallest type that holds them."""
    array = np.asarray(values)
    if array.size and (array == np.rint(array)).all() and 0 <= array.min() <= array.max() < 2**16:
        return array.astype(np.uint8 if array.max() < 2**8 else np.uint16)
    return array
