"""The same fit as run.yaml, in Python: ``python fit.py``."""

from pathlib import Path

import tumble as tb

HERE = Path(__file__).parent

sir = tb.ReactionNetwork.from_text("""
    S + I -> 2 I ; beta     # infection
    I -> R       ; gamma    # recovery, or isolation
""")

problem = tb.Problem(
    sir,
    experiments=[
        tb.Experiment(
            tb.read_data(HERE / "influenza.csv", time="day"),
            initial={"S": 762, "I": 1, "R": 0},
        )
    ],
    observables={"in_bed": tb.Observable("I", noise=tb.noise.NegativeBinomial("phi"))},
    parameters={
        "beta": tb.Parameter(1e-4, 0.1),
        "gamma": tb.Parameter(0.05, 5),
        "phi": tb.Parameter(1, 1000),
    },
    derived={"R0": "beta * 763 / gamma", "days_ill": "1 / gamma"},
)


def main() -> None:
    fit = tb.fit(problem, num_starts=8, seed=0)
    print(fit.summary())

    audit = tb.diagnostics.audit_fit(fit, seed=0)
    print(audit.summary())

    predictive = tb.posterior_predictive(fit, seed=0)
    print(predictive.summary())

    # What happens when the mean of many outbreaks is fitted to the one that was seen: runs that die
    # out early pull the mean down, and the estimate of R0 goes up to make good for it.
    wrong = tb.fit(problem, objective=tb.objectives.MomentMatching(order=1), seed=0)
    print(f"\nR0 by moments, which do not suit a single outbreak: {wrong.derived[0].value:.2f}")
    print(f"R0 by the likelihood of the path:                   {fit.derived[0].value:.2f}")

    page = fit.report("influenza.html", audit=audit, predictive=predictive)
    print(f"\nreport: {page}")


if __name__ == "__main__":
    main()
