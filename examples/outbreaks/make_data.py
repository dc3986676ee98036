"""The data of this example: two outbreaks, of which only the sick are counted."""

from pathlib import Path

import numpy as np

import tumble as tb

epidemic = tb.ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
seen = tb.simulate(
    epidemic,
    {"beta": 0.004, "gamma": 1.0},
    initial={"S": 490, "I": 10, "R": 0},
    times=np.linspace(0, 10, 26)[1:],
    num_samples=2,
    seed=3,
)
lines = ["replicate,day,I"]
for village, run in enumerate(seen.data.values[..., 1], start=1):
    for day, sick in zip(seen.times, run, strict=True):
        lines.append(f"{village},{day:.2f},{sick:.0f}")
Path(__file__).with_name("outbreaks.csv").write_text("\n".join(lines) + "\n")
