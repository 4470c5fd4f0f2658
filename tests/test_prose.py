"""The PDF of the prose: what notebooks hand to the pages arrives in LaTeX, or as a line that says where it is."""

from __future__ import annotations

import shutil

import pytest
from docutils import nodes
from prose import pasted

from scicot_utils import report
from scicot_utils.report import style

ROWS = [{"arm": "answer only", "points": 0.25}, {"arm": "two-stage", "points": 0.5}]


def test_a_table_keeps_its_heads_and_cells(tmp_path):
    (table,) = (node for node in pasted(style.Table(ROWS)._repr_html_(), tmp_path) if isinstance(node, nodes.table))
    assert [cell.astext() for cell in table.findall(nodes.entry)] == [
        "arm", "points", "answer only", "0.25", "two-stage", "0.5",
    ]  # fmt: skip
    assert len(list(next(table.findall(nodes.thead)).findall(nodes.row))) == 1


def test_a_folded_table_is_one_line_that_says_where_it_can_be_read(tmp_path):
    (line,) = pasted(style.Details("Every number", style.Table(ROWS))._repr_html_(), tmp_path)
    assert line.astext() == "Every number (table of 2 rows): to be read in the book on the web."


def test_of_things_one_below_the_other_each_arrives(tmp_path):
    stack = style.Stack(
        [style.Table(ROWS), style.Details("All", style.Table(ROWS)), style.Paragraph("On one machine.")]
    )
    parts = [node for node in pasted(stack._repr_html_(), tmp_path) if not isinstance(node, nodes.raw)]
    assert [type(node) for node in parts] == [nodes.table, nodes.paragraph, nodes.paragraph]
    assert parts[1].astext().startswith("All (table of 2 rows): to be read") and parts[2].astext() == "On one machine."


def test_a_claim_keeps_its_verdict_and_evidence(tmp_path):
    row = {"claim": "two stages help", "verdict": "reproduced", "measured": "+15.9"}
    (claim,) = pasted(report.Verdicts([row])._repr_html_(), tmp_path)
    assert [node.astext() for node in claim.findall(nodes.term)] == ["two stages help reproduced"]
    assert [node.astext() for node in claim.findall(nodes.paragraph)] == ["measured: +15.9"]


def test_a_text_keeps_its_lines(tmp_path):
    caption, text = pasted(report.Texts([("It reads", "one\ntwo <s>")])._repr_html_(), tmp_path)
    assert (caption.astext(), text.astext()) == ("It reads", "one\ntwo <s>")


def test_a_paragraph_stays_one_and_its_text_is_text(tmp_path):
    (paragraph,) = pasted(style.Paragraph("5 < 7 & so on")._repr_html_(), tmp_path)
    assert isinstance(paragraph, nodes.paragraph) and paragraph.astext() == "5 < 7 & so on"


@pytest.mark.skipif(not shutil.which("rsvg-convert"), reason="rsvg-convert is not installed")
def test_a_figure_is_written_as_pdf_and_included(tmp_path):
    (figure,) = pasted(style.loss_figure([(1, 2.0), (2, 1.0)], title="loss")._repr_html_(), tmp_path / "out")
    (file,) = (tmp_path / "out").iterdir()
    assert file.read_bytes().startswith(b"%PDF") and file.name in figure.astext() and figure["format"] == "latex"
