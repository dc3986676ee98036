"""Movies of a spreading infection, as published: β is drawn anew in every step."""

from __future__ import annotations

import numpy as np


def varying_movies(
    num: int, size: int, steps: int, seed: int, mean: float = 0.5, sd: float = 0.1
) -> list[np.ndarray]:
    """Return movies with β ~ Normal(mean, sd), cut to [0, 1]; each ends when all are infected."""
    rng = np.random.default_rng(seed)
    frames = np.zeros((steps + 1, num, size, size), np.uint8)
    frames[0, :, size // 2, size // 2] = 1
    for t in range(steps):
        frame = frames[t]
        rows = np.roll(frame, 1, 1) + frame + np.roll(frame, -1, 1)
        around = np.roll(rows, 1, 2) + rows + np.roll(rows, -1, 2) - frame
        beta = np.clip(rng.normal(mean, sd, num), 0, 1)
        chances = 1 - (1 - beta[:, None]) ** np.arange(9)
        chance = np.take_along_axis(chances, around.reshape(num, -1).astype(int), 1)
        frames[t + 1] = frame | (rng.random(frame.shape) < chance.reshape(frame.shape))
    full = frames.all((2, 3))
    ends = [int(np.argmax(column)) if column.any() else steps + 1 for column in full.T]
    return [frames[: max(end, 2), i] for i, end in enumerate(ends)]
