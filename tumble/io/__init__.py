"""Files: tables of data, images and tracks, run files, run folders and results."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tumble.io._atomic import replacing
    from tumble.io._cell_movie_file import cell_movie_tree
    from tumble.io._comparison_file import ComparisonConfig, load_comparison
    from tumble.io._images import read_images, read_masks
    from tumble.io._lattice_movie import lattice_movie
    from tumble.io._machine_file import load_machine, save_machine
    from tumble.io._posterior_file import (
        load_posterior,
        load_result,
        posterior_tree,
        save_posterior,
    )
    from tumble.io._read_run_config import load_run_config
    from tumble.io._restore_fit import restore_fit
    from tumble.io._result_file import fit_tree, load_fit, save_fit
    from tumble.io._run_config import RunConfig
    from tumble.io._run_folder import RunFolder, to_json
    from tumble.io._structure_file import structure_tree
    from tumble.io._tables import read_data
    from tumble.io._tracks import read_tracks, squared_displacements
    from tumble.io._yaml import RunFileError

_HOMES = {
    "ComparisonConfig": "_comparison_file",
    "RunConfig": "_run_config",
    "RunFileError": "_yaml",
    "RunFolder": "_run_folder",
    "cell_movie_tree": "_cell_movie_file",
    "fit_tree": "_result_file",
    "lattice_movie": "_lattice_movie",
    "load_comparison": "_comparison_file",
    "load_fit": "_result_file",
    "load_machine": "_machine_file",
    "load_posterior": "_posterior_file",
    "load_result": "_posterior_file",
    "load_run_config": "_read_run_config",
    "posterior_tree": "_posterior_file",
    "read_data": "_tables",
    "read_images": "_images",
    "read_masks": "_images",
    "read_tracks": "_tracks",
    "replacing": "_atomic",
    "restore_fit": "_restore_fit",
    "to_json": "_run_folder",
    "save_fit": "_result_file",
    "save_machine": "_machine_file",
    "save_posterior": "_posterior_file",
    "squared_displacements": "_tracks",
    "structure_tree": "_structure_file",
}

__all__ = [
    "ComparisonConfig",
    "RunConfig",
    "RunFileError",
    "RunFolder",
    "cell_movie_tree",
    "fit_tree",
    "lattice_movie",
    "load_comparison",
    "load_fit",
    "load_machine",
    "load_posterior",
    "load_result",
    "load_run_config",
    "posterior_tree",
    "read_data",
    "read_images",
    "read_masks",
    "read_tracks",
    "replacing",
    "restore_fit",
    "save_fit",
    "save_machine",
    "save_posterior",
    "squared_displacements",
    "structure_tree",
    "to_json",
]


def __getattr__(name: str) -> Any:
    # Looked up when used, so that reading a table does not load what writes a report.
    if name not in _HOMES:
        raise AttributeError(f"module 'tumble.io' has no attribute {name!r}")
    return getattr(import_module(f"tumble.io.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
