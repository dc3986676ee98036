"""Translates between Antimony and SBML, as a process of its own.

The library ends the process that it runs in for some texts that are no Antimony, so that it is
kept out of the user's. Run as a script, with ``sbml`` or ``antimony``, what to make, as its
argument. The text comes by standard input, and goes to standard output; what is wrong goes to
standard error, with status 3.
"""

from __future__ import annotations

import sys

FAILED = 3


def translate(text: str, to: str) -> str:
    """Return ``text`` in the format ``to``. Raises `ValueError` with the library's message."""
    import antimony

    load = antimony.loadAntimonyString if to == "sbml" else antimony.loadSBMLString
    write = antimony.getSBMLString if to == "sbml" else antimony.getAntimonyString
    if load(text) < 0:
        try:
            message = antimony.getLastError()
        except UnicodeDecodeError:  # it quotes a part of the text, and may cut a letter in two
            message = "it has letters other than a to z where they are not allowed"
        raise ValueError(message)
    return str(write(antimony.getMainModuleName()) or "")


def main() -> int:
    """Translate standard input, and return the status."""
    text = sys.stdin.buffer.read().decode("utf-8", "surrogatepass")
    try:
        translated = translate(text, sys.argv[1])
    except ValueError as error:
        sys.stderr.buffer.write(str(error).encode("utf-8", "replace"))
        return FAILED
    sys.stdout.buffer.write(translated.encode("utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
