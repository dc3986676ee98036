"""Make the movie of this example: an infection that spreads on 40 x 40 sites, in 20 frames."""

from pathlib import Path

import numpy as np

import tumble as tb
from tumble.models import Grid, SusceptibleInfected

TRUTH = 0.2


def main() -> None:
    """Write infection.tif, with 0 for susceptible and 255 for infected sites."""
    import tifffile

    kept = tb.simulate(
        SusceptibleInfected(Grid((40, 40))), {"beta": TRUTH}, times=range(20), seed=1,
        outputs=tb.outputs.Frames(),
    )  # fmt: skip
    frames = (255 * kept.states[0]).astype(np.uint8)
    path = Path(__file__).parent / "infection.tif"
    tifffile.imwrite(path, frames, imagej=True, metadata={"axes": "TYX"})


if __name__ == "__main__":
    main()
