"""Writing the page."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tumble._errors import RunFolderError, TumbleError
from tumble.io import fit_tree, lattice_movie, load_result, posterior_tree, replacing
from tumble.posteriors import Posterior

if TYPE_CHECKING:
    import xarray as xr


def write_report(
    source: Any,
    path: str | os.PathLike[str],
    *,
    audit: Any = None,
    predictive: Any = None,
    title: str = "",
) -> Path:
    """Write one self-contained HTML page of a fit or a posterior and return its path.

    The page needs no other file and makes no request; it follows the light or dark setting of the
    reader, can be read on a phone, and prints. Of a lattice it plays a movie at the estimate.

    Arguments: ``source``, a `FitResult`, a `Posterior`, one of them that is stored (`DataTree`) or
    its path; ``path`` of the page; ``audit`` of a fit, and ``predictive``, results to show with it,
    where what is stored does not hold them already: of a `Posterior` 1000 runs are simulated if it
    is not given; ``title``. Raises `RunFolderError` when a file cannot be read or written.
    """
    import xarray as xr

    path = Path(path)
    tree = load_result(source) if isinstance(source, (str, os.PathLike)) else source
    stored = isinstance(tree, xr.DataTree)
    if isinstance(tree, Posterior) or (stored and "weighted_posterior" in tree.children):
        html = _posterior_page(tree, audit, predictive, title)
    elif stored and "history" not in tree.children:
        raise RunFolderError("this is a fit of a movie of cells, of which there is no report.")
    else:
        html = _fit_page(tree, audit, predictive, title)
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _fit_page(source: Any, audit: Any, predictive: Any, title: str) -> str:
    import xarray as xr

    from tumble.report._fit_context import fit_context

    movie = None if isinstance(source, xr.DataTree) else lattice_movie(source)
    tree = fit_tree(source, audit=audit, predictive=predictive, movie=movie, title=title)
    return _render("fit.html.jinja", fit_context(tree))


def _posterior_page(
    source: Posterior | xr.DataTree, audit: Any, predictive: Any, title: str
) -> str:  # fmt: skip
    from tumble.report._posterior_context import posterior_context

    if audit is not None:
        raise RunFolderError("`audit` is of the gradient of a fit, which a posterior has none of.")
    if isinstance(source, Posterior) and predictive is None:
        source, predictive = _predicted(source)
    tree = posterior_tree(source, predictive=predictive, title=title)
    return _render("posterior.html.jinja", posterior_context(tree))


def _predicted(posterior: Posterior) -> tuple[Posterior, Any]:
    """Return data simulated from a posterior; where they cannot be, the posterior warns of it."""
    from tumble.diagnostics import posterior_predictive

    try:
        return posterior, posterior_predictive(posterior, seed=posterior.seed)
    except TumbleError as error:
        note = f"no predictive check: {error}"
        return replace(posterior, warnings=(*posterior.warnings, note)), None


def _render(template: str, context: dict[str, Any]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(context)
