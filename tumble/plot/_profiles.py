"""Profile likelihoods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from tumble._errors import require_member
from tumble.plot._style import BLUE, GRAY, ink, quiet

if TYPE_CHECKING:
    from tumble.diagnostics import Profiles

_HIGH = 1.6  # of a picture, times what an interval needs


def profiles(found: Profiles) -> Any:
    """Draw how the log likelihood drops as each parameter moves, the others following it.

    The interval is where the line is below the dotted one. A line that stays below it up to an edge
    is of a parameter that the data do not limit on that side; a flat one is not identified.

    Arguments: ``found``, of `profile_likelihood`. Returns the axes of a new figure, [P].
    """
    import matplotlib.pyplot as plt

    from tumble.diagnostics import Profiles as Expected

    require_member("found", found, Expected, "what profile_likelihood returns")
    count = len(found.profiles)
    _, axes = plt.subplots(
        1, count, figsize=(0.6 + 3.0 * count, 3.0), sharey=True, squeeze=False, layout="constrained"
    )
    wanted = float(stats.chi2.ppf(found.level, 1)) / 2
    for ax, profile in zip(axes[0], found.profiles, strict=True):
        ax.plot(profile.values, profile.drop, color=BLUE, marker="o", markersize=3)
        ax.axhline(wanted, color=ink(), linestyle=":", linewidth=1)
        inside = np.clip(profile.interval, profile.values[0], profile.values[-1])
        ax.axvspan(*inside, color=GRAY, alpha=0.2, linewidth=0)
        values = profile.values
        if values[0] > 0 and values[-1] > 3 * values[0]:
            ax.set_xscale("log")
        ax.set_ylim(0, _HIGH * wanted)
        ax.set_xlabel(profile.name)
        ax.set_title(profile.verdict, fontsize="medium")
        quiet(ax)
    axes[0, 0].set_ylabel("drop of the log likelihood")
    return axes[0]
