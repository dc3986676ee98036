"""PySINDy on mean trajectories: what `structure_baselines.py` asks for.

``sindy.py IN OUT`` reads trajectories [T, S] and their times, and writes the models that it finds
with every setting of a grid, as lists of terms, and the seconds of processor time a model.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
import warnings

import numpy as np

THRESHOLDS = np.geomspace(0.2, 20, 12)  # of coefficients, where the whole population is 1
RIDGES = (1e-6, 0.05)


def models(states: np.ndarray, times: np.ndarray, names: list[str]) -> list[dict]:
    """Return the terms (species, term, coefficient) of every setting of the grid."""
    import pysindy as ps

    derivatives = [ps.FiniteDifference(order=2)]
    if len(times) > 11:
        derivatives.append(ps.SmoothedFiniteDifference())
    found = []
    for derivative, ridge, threshold in itertools.product(derivatives, RIDGES, THRESHOLDS):
        model = ps.SINDy(
            optimizer=ps.STLSQ(threshold=threshold, alpha=ridge),
            feature_library=ps.PolynomialLibrary(degree=2),
            differentiation_method=derivative,
        )
        model.fit(states, t=times, feature_names=names)
        terms = model.get_feature_names()
        table = np.asarray(model.coefficients())
        places = np.argwhere(table).tolist()
        rows = [[names[s], terms[f], float(table[s, f])] for s, f in places]
        found.append({"species": names, "terms": rows})
    return found


def main(given: str, out: str) -> None:
    """Read trajectories, write models."""
    warnings.simplefilter("ignore")
    answers = {}
    with np.load(given) as data:
        for case in [name for name in data.files if not name.endswith("|t")]:
            states, times = data[case], data[f"{case}|t"]
            names = ["S", "I", "R"][: states.shape[1]]
            began = time.process_time()
            # All that is seen; and S and I alone, as the sum of three makes their powers collinear.
            found = models(states, times, names)
            if len(names) == 3:
                found += models(states[:, :2], times, names[:2])
            answers[case] = {
                "models": found, "seconds": (time.process_time() - began) / len(found),
            }  # fmt: skip
    with open(out, "w") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
