"""The verb `segment`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._errors import ParameterError, is_number, require_member, require_whole, shown
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import BoolArray, FloatArray
from tumble.models import SegmentationLattice
from tumble.objectives import StateMatching

_STILL = 1e-3  # the largest move of a pixel that is none
_SETTLED = 1e-4  # the largest share of pixels that change sides in the last step of a good end
_REACH = 0.9  # of a step, in units of a block's pixels


@dataclass(frozen=True, repr=False)
class Segmentation:
    """What `segment` has found.

    Attributes: ``mask`` [*shape], True in the foreground (x > ½); ``pixels`` [*shape], x in [0, 1];
    ``level``, the gray level of the image that decided, a number or one for each pixel [*shape];
    ``losses`` [steps + 1], before the first step and after each; ``result``, `CONVERGED` if at most
    one pixel in ten thousand changed sides in the last step, else `MAX_STEPS`; ``lattice`` and
    ``objective``.
    """

    mask: BoolArray
    pixels: FloatArray
    level: Any
    losses: FloatArray
    result: ResultCode
    lattice: SegmentationLattice
    objective: StateMatching

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return len(self.losses) - 1

    @property
    def citations(self) -> tuple[str, ...]:
        """What to cite."""
        return (self.lattice.level.citation,)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.mask.shape))
        low, high = float(np.min(self.level)), float(np.max(self.level))
        level = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        return (
            f"Segmentation: {self.result.value} after {self.steps} steps\n"
            f"  {100 * self.mask.mean():.1f} % of {shape} pixels in the foreground, level {level}, "
            f"loss {self.losses[0]:.5g} -> {self.losses[-1]:.5g}"
        )


def segment(
    image: Any,
    *,
    objective: StateMatching | None = None,
    num_steps: int = 50,
    step_size: float | None = None,
    seed: int = 0,
) -> Segmentation:
    """Part an image into foreground and background by descent of a loss of its pixels.

    Definition: x starts as the image; in each step x ← clip(x − step_size · ∂loss/∂x, 0, 1). That
    ends after ``num_steps``, or when no pixel moves by more than a thousandth. The foreground is
    where x > ½. Every pixel is a parameter, so that there are neither covariance nor intervals.

    Arguments, most used first:

    - ``image``: [rows, columns] or [planes, rows, columns], or a `SegmentationLattice` of one,
      which has settings for uneven light. What is bright is the foreground.
    - ``objective``: a `StateMatching`. Its docstring says what it does: a neater threshold.
    - ``num_steps``, default 50: more are better against strong noise, but wear off what is a few
      pixels wide; ``step_size``, default 0.1 in a plane and 0.033 in space. Published: 100 steps of
      0.01.
    - ``seed``: of the numbers that ``resample`` asks for.

    Returns a `Segmentation`. Raises `DataError` or `ParameterError`.

    When: see `StateMatching`. For touching objects, textures and color take a library of image
    analysis such as scikit-image.

    >>> import numpy as np
    >>> import tumble as tb
    >>> square = np.zeros((32, 32)); square[8:24, 8:24] = 1
    >>> noisy = square + np.random.default_rng(0).normal(0, 0.4, square.shape)
    >>> found = tb.segment(noisy)
    >>> tb.diagnostics.dice(found.mask, square > 0) > 0.97
    True
    """
    lattice = image if isinstance(image, SegmentationLattice) else SegmentationLattice(image)
    objective = StateMatching() if objective is None else objective
    require_member("objective", objective, StateMatching, "a StateMatching()")
    require_whole("num_steps", num_steps)
    step_size = _REACH / lattice.block_size if step_size is None else step_size
    if not (is_number(step_size) and 0 < step_size < np.inf):
        raise ParameterError(f"`step_size` is {shown(step_size)}, expected a number > 0.")
    rng = Stream.from_seed(seed).child("segment").numpy()
    regularization = objective.regularization_of(lattice)
    pixels, losses, changed = lattice.pixels, [], 1.0
    for _ in range(num_steps):
        state, inner = lattice.states(pixels, rng)
        value, slope = objective.value_and_slope(state, lattice, regularization)
        losses.append(value)
        slope *= inner
        slope *= -step_size
        slope += pixels
        np.clip(slope, 0.0, 1.0, out=slope)
        changed = float(np.mean((slope > 0.5) != (pixels > 0.5)))
        moved = max(float((slope - pixels).max()), float((pixels - slope).max()))
        pixels = slope
        if moved <= _STILL:
            break
    state, _ = lattice.states(pixels, rng)
    losses.append(objective.value_and_slope(state, lattice, regularization)[0])
    code = ResultCode.CONVERGED if changed <= _SETTLED else ResultCode.MAX_STEPS
    level = lattice.gray(objective.level(lattice))
    return Segmentation(pixels > 0.5, pixels, level, np.array(losses), code, lattice, objective)
