"""Gradients and fits of tumble, for the pages that put it beside others.

Tasks: ``gradient`` of the summed means of the observed species at the end, by one estimator;
``fit`` of all rates to means at several times, by `tumble.fit` with its defaults.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from peers._engine import Network, text_of
from peers._worker import peak_mebibytes, serve

_FEWEST = 64


def gradient(question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Estimate with more and more runs, until two calls in a row take the seconds asked for.

    The gradient is that in the logarithms of the rates, and so is its covariance.
    """
    network = Network.from_dict(question["network"])
    began = time.perf_counter()
    import numpy as np
    from _estimators import ESTIMATORS
    from gradient_accuracy import Expectation

    import tumble as tb
    from tumble._random import Stream

    imported = time.perf_counter() - began
    observed = question["observed"]
    rates = [rate for _, _, rate in network.reactions]
    problem = tb.Problem(
        _model(tb, network),
        data={"time": [network.end], **{name: [1] for name in observed}},
        initial=network.start,
        parameters={f"rate_{r}": tb.Parameter(v / 10, v * 10) for r, v in enumerate(rates)},
    )
    bound, z = Expectation().bind(problem), np.log(rates)
    estimator = ESTIMATORS[question["estimator"]]
    stream = Stream.from_seed(question["seed"])
    found = estimator.estimate(bound, z, _FEWEST, stream.child("first"))
    first = time.perf_counter() - began - imported
    before = peak_mebibytes()
    runs, previous, calls, confirmed = found.num_runs, 0, 0, False
    while not confirmed and time.perf_counter() - began < question["patience"]:
        _settle(problem.model)
        started, used = time.perf_counter(), time.process_time()
        found = estimator.estimate(bound, z, runs, stream.child("call", calls))
        wall, spent = time.perf_counter() - started, time.process_time() - used
        long_enough = spent > question["seconds"] / 3
        # A call that was long because it compiled something is made again.
        confirmed = long_enough and runs == previous
        previous, calls = runs, calls + 1
        if not long_enough:
            growth = min(20.0, 1.1 * question["seconds"] / max(spent, 1e-4))
            runs = int(runs * growth) + 1
    if not calls:
        raise TimeoutError(f"{_FEWEST} joint samples took {first:.0f} s")
    yield {
        "import": imported,
        "first": first,
        "gradient": found.gradient.tolist(),
        "variances": np.diag(found.covariance).tolist(),
        "runs": found.num_runs,
        "work": found.work,
        "wall": wall,
        "seconds": spent,
        "memory_before": before,
        "memory": peak_mebibytes(),
    }


def fit(question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Fit all rates; the data are [time, observed], means of many runs."""
    network = Network.from_dict(question["network"])
    import tumble as tb

    yield {"stage": "imported"}
    half = question["half_width"]
    result = tb.fit(
        tb.Problem(
            _model(tb, network),
            experiments=[_experiment(tb, network, question)],
            parameters={
                f"rate_{r}": tb.Parameter(rate / half, rate * half)
                for r, (_, _, rate) in enumerate(network.reactions)
            },
        ),
        start={f"rate_{r}": value for r, value in enumerate(question["start"])},
        seed=question["seed"],
        progress=False,
    )
    yield {
        "rates": [result.params[f"rate_{r}"] for r in range(len(network.reactions))],
        "runs": result.stats["runs"],
        "result": result.result.value,
        "ok": result.result.ok,
    }


def _model(tb: Any, network: Network) -> Any:
    lines = [
        f"{text_of(left)} -> {text_of(right)} ; rate_{r}"
        for r, (left, right, _) in enumerate(network.reactions)
    ]
    return tb.ReactionNetwork.from_text("\n".join(lines), species=network.species)


def _experiment(tb: Any, network: Network, question: dict[str, Any]) -> Any:
    import numpy as np
    import xarray as xr

    data = xr.DataArray(
        np.array(question["means"]),
        dims=("time", "observable"),
        coords={"time": np.array(question["times"]), "observable": question["observed"]},
    )
    return tb.Experiment(data, network.start, kind="mean", num_averaged=question["num_averaged"])


def _settle(model: Any) -> None:
    """Wait until no kernel is being compiled in the background, which would share the core."""
    from tumble.kernels._generated import GeneratedKernel

    kernel = GeneratedKernel(model)
    while kernel.is_compiling:
        time.sleep(0.05)


if __name__ == "__main__":
    serve({"gradient": gradient, "fit": fit})
