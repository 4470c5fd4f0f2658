"""Formulas of the book: MathML in pages, and LaTeX's own in the PDF."""

from __future__ import annotations

from xml.etree import ElementTree

import formulas
import pytest
from docutils import nodes
from latex2mathml.exceptions import NoAvailableTokensError


class Writer:
    def __init__(self):
        self.body = []


@pytest.mark.parametrize(("write", "kind"), [(formulas._inline, nodes.math), (formulas._block, nodes.math_block)])
def test_a_formula_is_mathml_that_needs_no_script(write, kind):
    writer = Writer()
    with pytest.raises(nodes.SkipNode):
        write(writer, kind("", r"\frac{1}{T} \sum_{t=1}^{T} \log p_\theta(r_t \mid q, r_{<t})"))
    (markup,) = writer.body
    names = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(markup).iter()}
    assert names >= {"math", "mfrac", "msub"} and "script" not in markup


def test_a_formula_that_is_none_ends_the_build():
    with pytest.raises(NoAvailableTokensError):
        formulas._inline(Writer(), nodes.math("", r"\frac{1}{"))
