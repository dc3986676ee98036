"""Writing the page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tumble._errors import RunFolderError
from tumble.io import fit_tree, lattice_movie, load_fit, replacing


def write_report(
    source: Any,
    path: str | os.PathLike[str],
    *,
    audit: Any = None,
    predictive: Any = None,
    title: str = "",
) -> Path:
    """Write one self-contained HTML page of a fit and return its path.

    The page needs no other file and makes no request; it follows the light or dark setting of the
    reader, can be read on a phone, and prints. Of a lattice it plays a movie at the estimate.

    Arguments: ``source``, a `FitResult`, a stored fit (`DataTree`) or its path; ``path`` of the
    page; ``audit`` and ``predictive``, results to show with it, where the stored fit does not hold
    them already; ``title``. Raises `RunFolderError` when a file cannot be read or written.
    """
    import xarray as xr

    from tumble.report._context import page_context

    path = Path(path)
    tree = load_fit(source) if isinstance(source, (str, os.PathLike)) else source
    if isinstance(tree, xr.DataTree) and "history" not in tree.children:
        raise RunFolderError("this is a fit of a movie of cells, of which there is no report.")
    movie = None if isinstance(tree, xr.DataTree) else lattice_movie(tree)
    tree = fit_tree(tree, audit=audit, predictive=predictive, movie=movie, title=title)
    html = _render(page_context(tree))
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _render(context: dict[str, Any]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(context)
