"""What the gradient by a field costs: seconds and memory, against the size of the lattice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from _report import Page, arguments, progress, settings

_ROOT = Path(__file__).resolve().parents[1]
# A process of its own, since a process never gives back the most memory it has had.
_PROCESS = """
import json, resource, sys, time
import numpy as np
import tumble as tb
from tumble.gradients import field_gradient
from tumble.models import FitzHughNagumoLatticeGas, Grid
from tumble.simulators import LatticeSteps

size, steps, backward = (int(word) for word in sys.argv[1:])
model = FitzHughNagumoLatticeGas(Grid((size, size)))
params = {"k1": 0.98, "k2": 0.1, "k3": 0.2, "D_A": 0.1, "D_B": 0.4}

def run(last):
    if not backward:
        return tb.simulate(model, params, times=[last], seed=1)
    field = {**params, "k1": np.full((size, size), params["k1"])}
    return field_gradient(model, field, [last], variance, seed=1)

def variance(outputs):
    return outputs[-1, 2]

began = time.perf_counter()
run(1)
first = time.perf_counter() - began
began = time.perf_counter()
run(steps)
again = time.perf_counter() - began
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([first, again, memory / 2**20]))
"""


def measured(size: int, steps: int, backward: bool) -> list[float]:
    """Return the seconds of one step and of all, compiled anew, and the GiB the process had."""
    command = [sys.executable, "-c", _PROCESS, str(size), str(steps), str(int(backward))]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{size}, {steps} failed:\n{done.stderr}")
    found = [float(x) for x in json.loads(done.stdout.splitlines()[-1])]
    progress(f"{size}² sites, {steps} steps, backward {backward}: {found}")
    return found


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 1000])
    options = parser.parse_args()
    page = Page("lattice_memory", "The gradient by a field: seconds and memory")
    rows = []
    for size in options.sizes:
        for steps in options.steps:
            _, plain, least = measured(size, steps, False)
            _, seconds, most = measured(size, steps, True)
            rows.append(
                [
                    f"{size}²", steps, f"{plain:.1f}", f"{seconds:.1f}", f"{least:.2f}",
                    f"{most:.2f}", f"{steps * size**2 * 8 * 2 / 2**30:.2f}",
                ]
            )  # fmt: skip
    page.text(
        f"""The lattice gas with a value of `k1` for every site, and four more numbers: the
        derivative of the variance of A at the end by all of them, of one run, straight through
        (`gradients.field_gradient`). States are kept at √N of N steps and computed again in
        between. Beside it the run alone. Seconds are those of a first call, with compilation.
        Memory is the most that the process ever had, with Python and JAX in it.
        {settings(options)}"""
    )
    page.table(
        ["sites", "steps", "run, s", "gradient, s", "run, GiB", "gradient, GiB", "all states, GiB"],
        rows,
    )  # fmt: skip
    page.finish(options.save)


if __name__ == "__main__":
    main()
