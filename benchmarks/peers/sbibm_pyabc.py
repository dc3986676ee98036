"""ABC-SMC of pyABC, doi:10.1093/bioinformatics/bty361, on tasks of sbibm.

Default distance with adaptive scales, thresholds and transitions, until the simulations are spent.
The answer are even draws of the last generation that was completed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peers._worker import serve


def sample(question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Sample the posterior of a task; yield a line when prepared, then the draws."""
    import numpy as np
    import pyabc
    from _sbibm import TASKS

    task, count = TASKS[question["name"]], question["count"]
    np.random.seed(question["seed"])  # noqa: NPY002 - what pyABC draws from
    rng = np.random.default_rng(question["seed"])
    laws = {}
    for name, (law, first, second) in task.prior.items():
        # Log-normal ones as the normal law of the logarithm.
        given = (first, second - first) if law == "uniform" else (first, second)
        laws[name] = pyabc.RV("uniform" if law == "uniform" else "norm", *given)

    def theta_of(values: Any) -> Any:
        return np.array(
            [v if law == "uniform" else np.exp(v)
             for v, (law, _, _) in zip(values, task.prior.values(), strict=True)]
        )  # fmt: skip

    def simulate(p: Any) -> dict[str, Any]:
        data = task.flat(task.run(theta_of([p[name] for name in task.prior]), rng))
        return {"data": np.nan_to_num(data, nan=1e12)}

    simulate(dict.fromkeys(task.prior, 0.5))  # compiles
    smc = pyabc.ABCSMC(
        simulate, pyabc.Distribution(**laws), pyabc.AdaptivePNormDistance(p=2),
        population_size=min(1000, count // 10), sampler=pyabc.SingleCoreSampler(),
    )  # fmt: skip
    smc.new("sqlite://", {"data": np.array(question["observed"])})
    yield {"stage": "prepared"}
    history = smc.run(max_total_nr_simulations=count)
    # The budget is looked at between generations: the last one may have spent more.
    spent = np.cumsum(history.get_all_populations().set_index("t").loc[-1:].samples.to_numpy())
    last = max(int(np.searchsorted(spent, count, side="right")) - 2, 0)
    points, weights = history.get_distribution(t=last)
    values = points[list(task.prior)].to_numpy()
    chosen = rng.choice(len(values), question["draws"], p=weights / weights.sum())
    yield {"theta": [theta_of(v).tolist() for v in values[chosen]]}


if __name__ == "__main__":
    serve({"sample": sample})
