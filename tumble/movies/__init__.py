"""Movies: models fitted to frames that were seen, each frame carried on to the next."""

from tumble.movies._cell_movie import CellMovie, CellMovieFit

__all__ = ["CellMovie", "CellMovieFit"]
