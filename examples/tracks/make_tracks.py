"""Make the tracks of this example: 200 cells that walk, rest and turn, in 16 frames."""

from pathlib import Path

import numpy as np

import tumble as tb
from tumble.models import PersistentWalk

TRUTH = {"p_start": 0.3, "p_stop": 0.3, "p_turn": 0.1}
FRAMES = 16


def main() -> None:
    """Write tracks.csv, positions in pixels and times in frames."""
    kept = tb.simulate(
        PersistentWalk(), TRUTH, times=range(FRAMES), num_samples=200, seed=1,
        outputs=tb.outputs.Frames(),
    )  # fmt: skip
    places = np.asarray(kept.states["x"]) + 100
    with open(Path(__file__).parent / "tracks.csv", "w", encoding="utf-8") as file:
        file.write("track,frame,x,y\n")
        for track, path in enumerate(places):
            for frame, (x, y) in enumerate(path):
                file.write(f"{track},{frame},{x:.0f},{y:.0f}\n")


if __name__ == "__main__":
    main()
