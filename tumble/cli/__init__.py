"""The command line: one command a verb."""

from tumble.cli._app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line and exit.

    Exit status: 0 when the command did its work, whatever the result says; 2 for errors that the
    user can mend; 130 after Ctrl-C; 1 for a bug.
    """
    app(prog_name="tumble")
