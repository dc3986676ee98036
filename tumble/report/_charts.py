"""The figures of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tumble.plot import audit_plot, convergence, fit_band, play, waterfall
from tumble.plot._fit_band import panels
from tumble.report._figures import draw_svg

if TYPE_CHECKING:
    import xarray as xr

_WIDTH = 6.0
_MOST_PANELS = 8
_MOST_MOVIES = 6
_MOVIE_BYTES = 2_000_000


def prediction_chart(tree: xr.DataTree) -> tuple[str, int]:
    """Return the data with the bands, and how many panels were left out."""
    every = panels(tree)
    shown = every[:_MOST_PANELS]
    columns = 1 if len(shown) == 1 else 2
    rows = -(-len(shown) // columns)
    several_panels = len(shown) > 1
    several = len({experiment for experiment, _ in every}) > 1

    def draw(axes: Any) -> None:
        grid = list(axes) if several_panels else [axes]
        for ax, (experiment, observable) in zip(grid, shown, strict=False):
            fit_band(tree, experiment=experiment, observable=observable, ax=ax)
            if several:
                ax.set_title(f"experiment {experiment + 1}", fontsize=10)
            if several_panels:  # one legend above them all hides no data
                ax.get_legend().remove()
        if several_panels:
            handles, labels = grid[0].get_legend_handles_labels()
            grid[0].figure.legend(handles[::-1], labels[::-1], loc="outside upper center",
                                  ncols=4, frameon=False, columnspacing=1.2)  # fmt: skip
        for ax in grid[len(shown) :]:
            ax.set_axis_off()

    names = ", ".join(dict.fromkeys(observable for _, observable in shown))
    label = f"Data and simulated data of {names} over time"
    height = 3.6 if columns == 1 else 2.6 * rows + 0.3
    return draw_svg(draw, label, (_WIDTH, height), (rows, columns)), len(every) - len(shown)


def audit_chart(tree: xr.DataTree) -> str:
    """Return the errors of the gradients against the margin."""
    rows = tree["audit"].sizes["row"]
    label = "Error of each gradient estimate, in units of the margin"
    return draw_svg(lambda ax: audit_plot(tree, ax=ax), label, (_WIDTH, 1.2 + 0.27 * rows))


def movie_chart(tree: xr.DataTree) -> tuple[str, str]:
    """Return a player of the movie and its caption, both empty where there is none."""
    if "movie" not in tree.children:
        return "", ""
    movie = tree["movie"]
    frames = {str(name): values for name, values in movie.data_vars.items()}
    frames = dict(list(frames.items())[:_MOST_MOVIES])
    named = len(frames) > 1 or "state" not in frames
    player = play(frames if named else frames["state"], max_bytes=_MOVIE_BYTES)
    return player.fragment, str(movie.attrs["caption"])


def course_charts(tree: xr.DataTree) -> list[tuple[str, str]]:
    """Return figures, with captions, of how the fit went."""
    charts = []
    if tree["history"].sizes["step"]:
        figure = draw_svg(
            lambda axes: convergence(tree, ax=axes),
            "Loss and norm of the gradient over the steps",
            (4.6, 4.2),
            (2, 1),
        )
        charts.append((figure, "Loss, and how steep it still is, step by step."))
    if tree["fit"].sizes["start"] > 1:
        figure = draw_svg(
            lambda ax: waterfall(tree, ax=ax), "Final losses of all starts", (4.6, 4.2)
        )
        charts.append(
            (figure, "Where the starts ended. Several level with the best have found the same "
                     "minimum.")
        )  # fmt: skip
    return charts
