"""Two lines of every finished page that the themes write and that this book is better without.

The script of Font Awesome, 1.5 MB, draws over icons that its style sheet shows already; and docutils calls a bibliography
a list without list items, which screen readers are told of in vain.
"""

from __future__ import annotations

import re
from pathlib import Path

SCRIPT = re.compile(r'<script defer src="[^"]*/scripts/fontawesome\.js[^"]*"></script>\n?')
LIST = '<div role="list" class="citation-list">'


def finished(page: str) -> str:
    """A page without the two lines; unchanged where it has none."""
    return SCRIPT.sub("", page).replace(LIST, '<div class="citation-list">')


def finish(app, exception) -> None:
    """After the last page was written: every page once more."""
    if exception is None and app.builder.format == "html":
        for page in sorted(Path(app.outdir).rglob("*.html")):
            page.write_text(finished(page.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
