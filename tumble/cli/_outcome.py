"""What a command found: printed, and written to the files that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tumble._errors import ParameterError

_PICTURES = (".png", ".svg", ".pdf")


def require_writable_kinds(output: list[Path], *own: str) -> None:
    """Raise before hours of work if a file is of a kind that cannot be written.

    ``own``, the kinds of files that what is found knows how to save.
    """
    for file in output:
        if file.suffix not in (".json", *own, *_PICTURES):
            raise ParameterError(
                f"`--output` is '{file}', expected a name that ends in "
                f"{', '.join((*own, '.json'))}, or for a picture in {', '.join(_PICTURES)}."
            )


def tell(
    found: Any,
    title: str,
    output: list[Path],
    draw: Callable[[Any], Any],
    *,
    quiet: bool,
    json: bool,
    places: Mapping[str, str] | None = None,
) -> None:
    """Print what was found, then write it; so a full disk takes nothing away.

    ``draw`` returns the figure of it. With ``json``, what is printed is JSON, and nothing else.
    ``places``, name → path, are where more of it is.
    """
    from tumble.cli._terminal import make_console
    from tumble.io import to_json

    if json:
        content = {"title": title, **found.to_dict(), **(places or {})}
        print(to_json(content, indent=2), flush=True)
    elif not quiet:
        console = make_console()
        console.print(f"\n{title}", style="bold", markup=False)
        console.print(found.summary(), markup=False)
        for name, place in (places or {}).items():
            console.print(f"  {name}: {place}", markup=False)
    for file in output:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".json":
            file.write_text(to_json(found.to_dict(), indent=2) + "\n", encoding="utf-8")
        elif file.suffix not in _PICTURES:
            found.save(file)
        else:
            _save_picture(draw, found, file)


def _save_picture(draw: Callable[[Any], Any], found: Any, file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = draw(found)
    figure.savefig(file, dpi=150)
    plt.close(figure)
