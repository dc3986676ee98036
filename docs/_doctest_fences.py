"""Show the doctests of docstrings as code: in plain Markdown, ``>>>`` would be a nested quote."""

from __future__ import annotations

from typing import Any

import griffe


class DoctestFences(griffe.Extension):
    """Put a ``pycon`` fence around each paragraph that begins with ``>>>``."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of one loaded object."""
        if obj.docstring is not None:
            obj.docstring.value = _fence(obj.docstring.value)


def _fence(text: str) -> str:
    lines: list[str] = []
    open_fence = False
    for line in [*text.splitlines(), ""]:
        if not open_fence and line.lstrip().startswith(">>> "):
            lines += ["", "```pycon"]
            open_fence = True
        elif open_fence and not line.strip():
            lines.append("```")
            open_fence = False
        lines.append(line)
    return "\n".join(lines).rstrip()
