"""An outbreak among agents on a ring, written in NumPy and fitted by exact gradients."""

from pathlib import Path

import numpy as np

import tumble as tb

NUM_AGENTS = 100
NEIGHBORS = (-2, -1, 1, 2)  # whom an agent meets every day
DAYS = [4.0, 8.0, 12.0, 16.0, 20.0]
TRUTH = {"infect": 0.2, "recover": 0.3}


def outbreak(params, times, c):
    """Counts of the sick and of all who ever fell ill. The first dimension of arrays is the run."""
    num_runs = len(params["infect"])
    sick = np.zeros((num_runs, NUM_AGENTS), bool)
    sick[:, :3] = True
    ever = sick.copy()
    escape = 1 - params["infect"][:, None]  # one meeting with one who is sick
    today = 0
    for day in times.astype(int):
        for _ in range(day - today):
            meets = sum(np.roll(sick, shift, axis=1).astype(int) for shift in NEIGHBORS)
            falls_ill = c.flip(np.where(ever, 0.0, 1 - escape**meets))
            recovers = c.flip(np.where(sick, params["recover"][:, None], 0.0))
            sick = (sick & ~recovers) | falls_ill
            ever = ever | falls_ill
        today = day
        yield np.stack([sick.sum(1), ever.sum(1)], axis=1)


village = tb.BlackBox(
    outbreak,
    parameters=["infect", "recover"],
    outputs=["sick", "ever"],
    choices=True,  # `c` declares every random choice, which gives exact gradients
    batched=True,  # one call runs many outbreaks
)


def main() -> None:
    # Sixty villages, simulated, so that the answer is known.
    data = tb.simulate(village, TRUTH, times=DAYS, num_samples=60, seed=2)
    problem = tb.Problem(
        village,
        data=data,
        parameters={
            "infect": tb.Parameter(0.01, 0.9, scale="logit"),
            "recover": tb.Parameter(0.05, 0.9, scale="logit"),
        },
        derived={"days_sick": "1 / recover"},
    )
    fit = tb.fit(problem, seed=0, tolerance=0.01)
    print(fit.summary())
    for estimate in fit.estimates:
        low, high = estimate.interval
        print(
            f"{estimate.name}: {TRUTH[estimate.name]} was simulated, [{low:.3f}, {high:.3f}] found"
        )
    print(f"\nreport: {fit.report(Path('agents.html'), predictive=tb.posterior_predictive(fit))}")


if __name__ == "__main__":
    main()
