"""The networks of `ssa_speed.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from peers import Network

from tumble.models import ReactionNetwork

NUM_TIMES = 101


@dataclass(frozen=True)
class Model:
    """A network with its rates, its start and the time at which runs end. Final.

    ``most_events`` is more than any run fires; the reference fails if one does.
    """

    title: str
    text: str
    params: dict[str, float]
    initial: dict[str, int]  # 0 where a species is not named
    end: float
    most_events: int
    listed: bool = True  # whether the page shows the reactions

    def network(self, num_times: int = NUM_TIMES) -> Network:
        """Return what the engines are given."""
        model = ReactionNetwork.from_text(self.text)
        rates = model.rates(model.params_vector(self.params))
        return Network(
            model.species,
            tuple(self.initial.get(name, 0) for name in model.species),
            tuple(
                (dict(r.reactants), dict(r.products), float(rate))
                for r, rate in zip(model.reactions, rates, strict=True)
            ),
            self.end,
            num_times,
            self.most_events,
        )


def _sir() -> Model:
    return Model(
        "SIR of 2,000",
        "S + I -> 2 I ; beta\nI -> R ; gamma",
        {"beta": 0.02, "gamma": 5.0},
        {"S": 1980, "I": 20},
        end=1.0,
        most_events=3980,
    )


def _small_sir() -> Model:
    return Model(
        "SIR of 1,000, R0 = 3",
        "S + I -> 2 I ; beta\nI -> R ; gamma",
        {"beta": 0.003, "gamma": 1.0},
        {"S": 990, "I": 10},
        end=10.0,
        most_events=1990,
    )


def _lotka_volterra() -> Model:
    return Model(
        "Lotka–Volterra of Gillespie (1977), doi:10.1021/j100540a008",
        "X -> 2 X ; birth\nX + Y -> 2 Y ; meal\nY -> 0 ; death",
        {"birth": 10.0, "meal": 0.01, "death": 10.0},
        {"X": 1000, "Y": 1000},
        end=10.0,
        most_events=330_000,
    )


def _gene_expression() -> Model:
    return Model(
        "Gene expression: a telegraph gene, messengers M, proteins P and their dimers D",
        """
        G -> A ; on
        A -> G ; off
        A -> A + M ; transcription
        M -> 0 ; decay_M
        M -> M + P ; translation
        P -> 0 ; decay_P
        2 P -> D ; bind
        D -> 2 P ; part
        """,
        {
            "on": 0.1,
            "off": 0.1,
            "transcription": 2.0,
            "decay_M": 0.1,
            "translation": 2.0,
            "decay_P": 0.05,
            "bind": 0.001,
            "part": 0.1,
        },
        {"G": 1},
        end=50.0,
        most_events=8000,
    )


def _cascade(steps: int = 50) -> Model:
    lines = ["0 -> X1 ; inflow", *(f"X{i} -> X{i + 1} ; step" for i in range(1, steps))]
    return Model(
        f"Linear cascade of {steps} steps: 0 → X1 → … → X{steps} → 0",
        "\n".join([*lines, f"X{steps} -> 0 ; step"]),
        {"inflow": 10.0, "step": 1.0},
        {},
        end=100.0,
        most_events=46_000,
        listed=False,
    )


def _vilar() -> Model:
    return Model(
        "Oscillator of Vilar et al. (2002), doi:10.1073/pnas.092133899, one period",
        """
        A + DA -> DA_A ; gamma_A
        DA_A -> A + DA ; theta_A
        A + DR -> DR_A ; gamma_R
        DR_A -> A + DR ; theta_R
        DA -> DA + MA ; alpha_A
        DA_A -> DA_A + MA ; alpha_A_bound
        DR -> DR + MR ; alpha_R
        DR_A -> DR_A + MR ; alpha_R_bound
        MA -> 0 ; delta_MA
        MR -> 0 ; delta_MR
        MA -> MA + A ; beta_A
        MR -> MR + R ; beta_R
        A + R -> C ; gamma_C
        C -> R ; delta_A
        A -> 0 ; delta_A
        R -> 0 ; delta_R
        """,
        {
            "gamma_A": 1.0,
            "theta_A": 50.0,
            "gamma_R": 1.0,
            "theta_R": 100.0,
            "alpha_A": 50.0,
            "alpha_A_bound": 500.0,
            "alpha_R": 0.01,
            "alpha_R_bound": 50.0,
            "delta_MA": 10.0,
            "delta_MR": 0.5,
            "beta_A": 50.0,
            "beta_R": 5.0,
            "gamma_C": 2.0,
            "delta_A": 1.0,
            "delta_R": 0.2,
        },
        {"DA": 1, "DR": 1},
        end=25.0,
        most_events=1_100_000,
    )


def _large(genes: int = 300, seed: int = 1) -> Model:
    """Every gene has a basal birth, a death, one random activator and one random protease."""
    rng = np.random.default_rng(seed)
    lines, params = [], {}
    for i in range(genes):
        death = rng.uniform(0.5, 2.0)
        others = [g for g in range(genes) if g != i]
        activator, protease = rng.choice(others, 2, replace=False)
        params |= {
            f"birth_{i}": float(death * rng.uniform(2.0, 20.0)),
            f"death_{i}": float(death),
            f"activate_{i}": float(death * rng.uniform(0.1, 0.5)),
            f"degrade_{i}": float(death * rng.uniform(0.005, 0.02)),
        }
        lines += [
            f"0 -> X{i} ; birth_{i}",
            f"X{i} -> 0 ; death_{i}",
            f"X{activator} -> X{activator} + X{i} ; activate_{i}",
            f"X{i} + X{protease} -> X{protease} ; degrade_{i}",
        ]
    return Model(
        f"Random network of {genes} genes and {4 * genes:,} reactions",
        "\n".join(lines),
        params,
        {f"X{i}": 10 for i in range(genes)},
        end=1.0,
        most_events=12_000,
        listed=False,
    )


MODELS: dict[str, Callable[[], Model]] = {
    "sir": _sir,
    "sir-1000": _small_sir,
    "lotka-volterra": _lotka_volterra,
    "gene-expression": _gene_expression,
    "cascade": _cascade,
    "vilar": _vilar,
    "random-genes": _large,
}
