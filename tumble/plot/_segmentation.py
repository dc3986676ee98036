"""An image with its segmentation."""

from __future__ import annotations

from typing import Any

from tumble.plot._style import ORANGE, new_axes


def segmentation(source: Any, *, plane: int | None = None, ax: Any = None) -> Any:
    """Draw the image and, around the foreground, a line.

    Arguments: ``source``, a `Segmentation`; ``plane`` of a stack, default the middle one; ``ax``,
    default axes of a new figure. Returns ``ax``.
    """
    image, mask = source.lattice.image, source.mask
    if image.ndim == 3:
        plane = len(image) // 2 if plane is None else plane
        image, mask = image[plane], mask[plane]
    ax = new_axes(size=(4.8, 4.8)) if ax is None else ax
    ax.imshow(image, cmap="gray", interpolation="nearest")
    if mask.any() and not mask.all():
        ax.contour(mask.astype(float), [0.5], colors=[ORANGE], linewidths=1.0)
    ax.set_axis_off()
    return ax
