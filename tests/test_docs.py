"""What the pages of the documentation show in a console is what happens."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "docs"
FENCE = re.compile(r"^```pycon\n(.*?)^```", re.MULTILINE | re.DOTALL)
LONG = {"lattices", "compare_models"}  # which compile much, or compare real outbreaks
PAGES = [
    pytest.param(page, marks=pytest.mark.slow if page.stem in LONG else (), id=page.stem)
    for page in sorted(FOLDER.glob("*.md"))
    if FENCE.search(page.read_text())
]


@pytest.mark.parametrize("page", PAGES)
def test_consoles(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a page may write files
    text = "\n".join(match.group(1) for match in FENCE.finditer(page.read_text()))
    test = doctest.DocTestParser().get_doctest(text, {}, page.stem, str(page), 0)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)
    assert runner.tries > 3
