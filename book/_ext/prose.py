"""The PDF of the prose; the book on the web is not touched by this.

Notebooks are read for what prose pastes from them, and left out as chapters. What is pasted is HTML: here its figures
and tables become LaTeX's own. A folded table stays folded, as one line that says where it can be read.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path

from bs4 import BeautifulSoup, Tag
from docutils import nodes
from sphinx.addnodes import toctree

ELSEWHERE = "to be read in the book on the web"
WIDEST = 24  # characters by which the column of a table counts at most when the width of the page is shared out
DATA = "data:image/svg+xml;base64,"


def pasted(html: str, folder: Path) -> list[nodes.Node]:
    """What a notebook hands to the prose, from the HTML of `report.style`; figures are written to `folder` as PDF."""
    soup = BeautifulSoup(html, "html.parser")
    parts = [part for part in soup.children if isinstance(part, Tag) and part.name not in ("script", "style")] or [soup]
    return [node for part in parts for node in _pasted(BeautifulSoup(str(part), "html.parser"), folder)]


def _pasted(soup: BeautifulSoup, folder: Path) -> list[nodes.Node]:
    """The nodes of one of the parts that stand one below the other."""
    if soup.summary:
        return [nodes.paragraph("", "", nodes.emphasis(text=f"{soup.summary.get_text()}: {ELSEWHERE}."))]
    if soup.section:
        return [claim(section) for section in soup.find_all("section")]
    if soup.figure:
        return [node for element in soup.find_all("figure") for node in passage(element)]
    if soup.table:
        return table(soup.table)
    if soup.img and soup.img["src"].startswith(DATA):
        name = figure(base64.b64decode(soup.img["src"].removeprefix(DATA)), folder)
        return [
            latex(f"\\noindent\\includegraphics[width=\\linewidth,height=0.7\\textheight,keepaspectratio]{{{name}}}\n")
        ]
    return [nodes.paragraph(text=soup.get_text(" ", strip=True))]


def claim(section: Tag) -> nodes.Node:
    """What is claimed and the verdict; below them the evidence, a line each."""
    evidence = zip(section.find_all("dt"), section.find_all("dd"), strict=True)
    lines = [nodes.paragraph(text=f"{term.get_text()}: {text.get_text()}") for term, text in evidence]
    verdict = nodes.term(text=section.p.get_text(" ", strip=True))
    return nodes.definition_list("", nodes.definition_list_item("", verdict, nodes.definition("", *lines)))


def passage(element: Tag) -> list[nodes.Node]:
    """A text as it was read or written, below the line that says what it is."""
    caption = nodes.paragraph("", "", nodes.emphasis(text=element.figcaption.get_text()))
    text = element.pre.get_text()
    return [caption, nodes.literal_block(text, text, language="none")]


def figure(svg: bytes, folder: Path) -> str:
    """The name of the figure as a PDF, which librsvg's `rsvg-convert` makes; it has to be installed."""
    name = f"figure-{hashlib.sha256(svg).hexdigest()[:16]}.pdf"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["rsvg-convert", "--format=pdf", f"--output={folder / name}"], input=svg, check=True)
    return name


def table(element: Tag) -> list[nodes.Node]:
    """A table in small type that goes on over pages, each column as wide as its longest text asks, up to WIDEST."""
    rows = [[cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])] for row in element.find_all("tr")]
    group = nodes.tgroup(cols=len(rows[0]))
    group += [nodes.colspec(colwidth=min(WIDEST, max(4, *map(len, column)))) for column in zip(*rows, strict=True)]
    for part, lines in ((nodes.thead(), rows[:1]), (nodes.tbody(), rows[1:])):
        part += [nodes.row("", *(nodes.entry("", nodes.paragraph(text=cell)) for cell in line)) for line in lines]
        group += part
    size = "footnotesize" if len(rows[0]) < 6 else "tiny"
    node = nodes.table("", group, classes=["longtable", "colwidths-given"])
    return [latex(f"\\begin{{{size}}}\n"), node, latex(f"\\end{{{size}}}\n")]


def latex(text: str) -> nodes.raw:
    """A node that stands as it is in the LaTeX file."""
    return nodes.raw("", text, format="latex")


def leave_out_notebooks(app, doctree) -> None:
    """Sphinx, when a page was read: without notebooks as chapters."""
    if app.builder.name == "latex":
        for node in doctree.findall(toctree):
            for key in ("entries", "includefiles"):
                node[key] = [entry for entry in node[key] if "notebooks/" not in str(entry)]


def show_what_is_pasted(app, doctree, docname) -> None:
    """Sphinx, when references are resolved: LaTeX in place of the HTML that notebooks handed over."""
    if app.builder.name == "latex":
        for node in list(doctree.findall(nodes.raw)):
            if node["format"] == "html":
                node.replace_self(pasted(node.astext(), Path(app.outdir)))


def setup(app) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("doctree-read", leave_out_notebooks)
    app.connect("doctree-resolved", show_what_is_pasted)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
