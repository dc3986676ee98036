"""Neural posterior estimation of sbi, doi:10.21105/joss.02505, on tasks of sbibm.

One round with default settings. Log-normal priors are the normal law of the logarithm, so that all
networks see parameters on the scale on which they vary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peers._worker import serve


def sample(question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Sample the posterior of a task; yield a line when prepared, then the draws."""
    import numpy as np
    import torch
    from _sbibm import TASKS
    from sbi.inference import NPE
    from sbi.utils import BoxUniform
    from torch.distributions import Independent, Normal

    torch.manual_seed(question["seed"])
    torch.set_num_threads(1)
    rng = np.random.default_rng(question["seed"])
    task = TASKS[question["name"]]
    law = next(iter(task.prior.values()))[0]
    first, second = (
        torch.tensor([entry[k] for entry in task.prior.values()], dtype=torch.float32)
        for k in (1, 2)
    )
    is_uniform = law == "uniform"
    prior = BoxUniform(first, second) if is_uniform else Independent(Normal(first, second), 1)

    def theta_of(z: Any) -> Any:
        values = z.numpy().astype(float)
        return values if is_uniform else np.exp(values)

    task.run(theta_of(prior.sample((1,)))[0], rng)  # compiles
    yield {"stage": "prepared"}
    z = prior.sample((question["count"],))
    data = np.stack([task.flat(task.run(theta, rng)) for theta in theta_of(z)])
    inference = NPE(prior=prior, show_progress_bars=False)
    inference.append_simulations(z, torch.tensor(data, dtype=torch.float32)).train()
    posterior = inference.build_posterior()
    seen = torch.tensor(question["observed"], dtype=torch.float32)
    draws = posterior.sample((question["draws"],), x=seen, show_progress_bars=False)
    yield {"theta": theta_of(draws).tolist()}


if __name__ == "__main__":
    serve({"sample": sample})
