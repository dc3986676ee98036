"""What selects reactions: gates along their path, and frequencies over subsets of the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from tumble.plot._style import BLUE, GRAY, GREEN, ORANGE, ink, new_axes, quiet

_NAMED = 8
_COLORS = (BLUE, ORANGE, GREEN, "#cc79a7", "#56b4e9", "#e69f00")
_DASHES = ("-", "--")


def gates(trace: Any, *, ax: Any = None) -> Any:
    """Draw how far each gate is open against the strength, which falls from left to right.

    Arguments: ``trace``, a `tumble.structure.GateTrace`; ``ax``, default axes of a new figure. The
    eight that open furthest are named. Returns ``ax``.
    """
    ax = new_axes() if ax is None else ax
    ever = np.flatnonzero(trace.gates.any(0))
    widest = ever[np.argsort(-trace.gates[:, ever].max(0, initial=0.0), kind="stable")]
    for place, r in enumerate(widest):
        named = place < _NAMED
        ax.plot(
            trace.strengths, trace.gates[:, r], drawstyle="steps-mid",
            color=_COLORS[place % len(_COLORS)] if named else GRAY,
            linestyle=_DASHES[place // len(_COLORS) % len(_DASHES)] if named else ":",
            linewidth=1.8 if named else 0.9,
            label=trace.library.equations[r] if named else None,
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlim(trace.strengths[0], trace.strengths[-1] if len(trace.strengths) > 1 else None)
    ax.set_xlabel("price of a reaction λ, nats")
    ax.set_ylabel("gate")
    ax.set_ylim(0, None)
    if len(widest):
        ax.legend(frameon=False, fontsize="small")
    quiet(ax)
    return ax


def selection(frequencies: Any, *, ax: Any = None) -> Any:
    """Draw how often each candidate was selected, beside the threshold.

    Arguments: ``frequencies``, a `tumble.structure.SelectionFrequencies`; ``ax``, default axes of a
    new figure. Candidates that were never selected are left out. Returns ``ax``.
    """
    shown = [(name, share) for name, share in frequencies.ranked if share > 0]
    ax = new_axes(size=(6.4, 1.2 + 0.28 * len(shown))) if ax is None else ax
    shares = np.array([share for _, share in shown])
    stable = shares >= frequencies.threshold
    ax.barh(np.arange(len(shown)), shares, color=np.where(stable, BLUE, GRAY), height=0.7)
    ax.axvline(frequencies.threshold, color=ink(), alpha=0.5, linewidth=0.9, linestyle="--")
    ax.set_yticks(range(len(shown)), [name for name, _ in shown])
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of the subsets in which it was selected")
    quiet(ax, grid="x")
    return ax
