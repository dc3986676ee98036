"""SMC-ABC by tumble on one series of an SIR epidemic, asked as the other packages are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peers._worker import peak_mebibytes, serve


def sample(question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Sample the posterior, with adaptive tolerances; yield a line a generation, then the end."""
    import numpy as np

    import tumble as tb

    model = tb.ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
    bounds = dict(zip(("beta", "gamma"), question["bounds"], strict=True))
    problem = tb.Problem(
        model, data={"time": question["times"], "I": question["observed"]},
        initial=dict(zip(model.species, question["initial"], strict=True)),
        parameters={name: tb.Parameter(*pair) for name, pair in bounds.items()},
    )  # fmt: skip
    method = tb.posteriors.SMCABC(
        num_particles=question["num_particles"], adapts_distance=False, adjustment=None,
        kernel=tb.posteriors.GlobalNormal() if question["kernel"] == "global" else
        tb.posteriors.LocalNormal(),
    )  # fmt: skip
    yield {"stage": "prepared"}
    memory: list[float] = []
    found = tb.sample_posterior(
        problem, method=method, seed=question["seed"], progress=False,
        callback=lambda generation: memory.append(peak_mebibytes()),
    )  # fmt: skip
    logs = np.log(found.theta)
    mean = found.weights @ logs
    yield {
        "mean": mean.tolist(),
        "sd": np.sqrt(found.weights @ (logs - mean) ** 2).tolist(),
        "data_sets": int(found.stats["data_sets"]),
        "seconds": found.stats["seconds"],
        "tolerances": [g.tolerance for g in found.rounds],
        "each": [g.num_simulated for g in found.rounds],
        "memory": memory,
        "mebibytes": peak_mebibytes(),
    }


if __name__ == "__main__":
    serve({"sample": sample})
