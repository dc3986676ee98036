"""Images with their masks, and ways to part them: what `segmentation.py` asks for.

``images.py images OUT`` writes the images that scikit-image ships; ``images.py segment IN OUT``
segments each image of an archive in every way, one after the other, and writes masks and seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def shipped(out: str) -> None:
    """Write images that the package ships: two with a mask that is known, and two without."""
    from skimage import data

    found = {
        "horse": ~data.horse(),  # a silhouette, drawn dark
        "coins": data.coins(),
        "page": 255 - data.page(),
        "coins by watershed": coins_by_watershed(),
    }
    for seed in range(10):
        found[f"blobs {seed}"] = data.binary_blobs(256, 0.1, volume_fraction=0.3, rng=seed)
    np.savez(out, **found)


def coins_by_watershed() -> np.ndarray:
    """Return the coins as the gallery of scikit-image finds them, from markers set by hand."""
    from scipy import ndimage
    from skimage import data, filters, segmentation

    coins = data.coins()
    markers = np.zeros(coins.shape, int)
    markers[coins < 30], markers[coins > 150] = 1, 2
    found = segmentation.watershed(filters.sobel(coins), markers) == 2
    return ndimage.binary_fill_holes(found)


def classes(image: np.ndarray, width: float = 1.0) -> tuple[np.ndarray, float, float, float]:
    """Return the smoothed image, Otsu's level and the means of both classes."""
    from skimage import filters

    smooth = filters.gaussian(image, width)
    level = filters.threshold_otsu(smooth)
    return smooth, level, smooth[smooth <= level].mean(), smooth[smooth > level].mean()


def otsu(image: np.ndarray, width: float = 1.0) -> np.ndarray:
    """Return what is beyond Otsu's level after smoothing."""
    smooth, level, _, _ = classes(image, width)
    return smooth > level


def local_threshold(image: np.ndarray) -> np.ndarray:
    """Return what is beyond the mean of 65 x 65 pixels around, after smoothing."""
    from skimage import filters

    smooth = filters.gaussian(image, 1.0)
    return smooth > filters.threshold_local(smooth, 65)


def random_walker(image: np.ndarray) -> np.ndarray:
    """Return what random walkers reach first from the bright of two classes of seeds."""
    from skimage import segmentation

    smooth, _, dark, bright = classes(image)
    markers = np.where(smooth < dark, 1, np.where(smooth > bright, 2, 0))
    return segmentation.random_walker(image, markers, mode="cg_j") == 2


def chan_vese(image: np.ndarray) -> np.ndarray:
    """Return the inside of morphological active contours without edges, from Otsu's mask."""
    from skimage import segmentation

    return segmentation.morphological_chan_vese(image, 35, init_level_set=otsu(image)) == 1


def graph_cut(image: np.ndarray) -> np.ndarray:
    """Return the least cut of (image − class mean)² against half of (difference of means)²."""
    import maxflow

    _, _, dark, bright = classes(image)
    graph = maxflow.Graph[float]()
    nodes = graph.add_grid_nodes(image.shape)
    graph.add_grid_edges(nodes, (bright - dark) ** 2 / 2)
    graph.add_grid_tedges(nodes, (image - dark) ** 2, (image - bright) ** 2)
    graph.maxflow()
    inside = graph.get_grid_segments(nodes)
    return ~inside if image[inside].mean() < image[~inside].mean() else inside


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Otsu, smoothed by 1": otsu,
    "Otsu, smoothed by 2": lambda image: otsu(image, 2.0),
    "local threshold": local_threshold,
    "random walker": random_walker,
    "Chan-Vese, morphological": chan_vese,
    "graph cut": graph_cut,
}


def segment(given: str, out: str) -> None:
    """Segment each image of an archive in every way."""
    found: dict[str, Any] = {}
    with np.load(given) as images:
        for name in images.files:
            image = images[name].astype(float)
            for way, function in WAYS.items():
                began = time.process_time()
                mask = function(image)
                found[f"{name}|{way}"] = np.asarray(mask, bool)
                found[f"{name}|{way}|seconds"] = time.process_time() - began
    np.savez(out, **found)


if __name__ == "__main__":
    {"images": shipped, "segment": segment}[sys.argv[1]](*sys.argv[2:])
