"""Figures as SVG inside the page, in the page's own colors and type."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

from tumble.plot._style import BLUE, GRAY, GREEN, ORANGE

# Colors that matplotlib writes and no figure uses; the page puts its own in their place.
_INK, _PAPER = "#010203", "#fdfeff"
_VARIABLES = {
    _INK: "currentColor",
    _PAPER: "var(--paper)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    GRAY: "var(--gray)",
}
_STYLE = {
    "svg.fonttype": "none",  # letters stay letters: small, searchable, in the page's font
    "figure.facecolor": "none",
    "axes.facecolor": _PAPER,
    "savefig.facecolor": "none",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "font.size": 10,
    "axes.labelsize": 10,
    "legend.fontsize": 9.5,
    "figure.constrained_layout.use": True,
}


def draw_svg(
    draw: Callable[[Any], Any],
    label: str,
    size: tuple[float, float],
    axes: tuple[int, int] = (1, 1),
) -> str:
    """Return what ``draw(axes)`` draws as an ``<svg>`` element of ``size`` (inches).

    ``label`` describes it to those who cannot see it; ``axes``, rows and columns.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: Any = {**_STYLE, "svg.hashsalt": label}
    with mpl.rc_context(style):
        figure = Figure(figsize=size)
        FigureCanvasSVG(figure)
        grid = figure.subplots(*axes, squeeze=False)
        for each in grid.ravel():
            each.patch.set_alpha(0)
        draw(grid.ravel() if grid.size > 1 else grid[0, 0])
        buffer = io.StringIO()
        empty = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=empty)
    return _adopt(buffer.getvalue(), label)


def _adopt(svg: str, label: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    # Letters keep their size and take the family of the page; matplotlib has written both forms.
    svg = re.sub(r"font: (?:\d+ )?([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"\s*font-family: [^;\"]*;?", "", svg)
    # Several figures stand in one page: no name may occur twice, and most are never referred to.
    used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", svg)
    text = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    head = re.match(r"<svg[^>]*>", svg)
    assert head is not None
    box = re.search(r'viewBox="([^"]+)"', head[0])
    assert box is not None
    opening = (
        f'<svg viewBox="{box[1]}" role="img" aria-label="{text}" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg">'
    )
    return opening + svg[head.end() :].strip()
