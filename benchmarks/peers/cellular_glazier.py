"""Run glazier's serial engine: a JSON request on standard input, its last frames in a file."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from glazier import _native


def main() -> None:
    """Answer one request with the processor seconds that its runs took."""
    ask = json.loads(sys.stdin.read())
    size = ask["size"]
    frames, seconds = [], 0.0
    for run in range(ask["runs"]):
        steps = ask["times"][run % len(ask["times"])]
        text = json.dumps({
            "name": "cells", "width": size, "height": size,
            "types": [{"name": "Cell", "target_volume": ask["target"],
                       "lambda_volume": ask["lambda"]}],
            "contact": [0.0, ask["J01"], ask["J01"], ask["J11"]],
            "temperature": 1.0, "neighbour_order": 2, "seed": ask["seed"] + run,
            "steps": steps, "dump_every": steps,
            "initial": {"side": ask["width"], "nx": ask["cells"], "ny": ask["cells"]},
            "units": {"micron_per_site": 1.0, "minute_per_step": 1.0},
        })  # fmt: skip
        began = time.process_time()
        labels = _native.run(text, steps)
        seconds += time.process_time() - began
        labels = labels[0] if isinstance(labels, tuple) else labels
        frames.append(np.asarray(labels, np.int32).reshape(size, size))
    np.save(ask["out"], np.array(frames))
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
