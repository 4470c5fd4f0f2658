"""The last pass over the book's pages: what it takes out, and that it takes out nothing else."""

from __future__ import annotations

from finish import finished

SCRIPT = '<script defer src="{}_static/scripts/fontawesome.js?digest=55c2"></script>'


def test_the_script_of_icons_is_taken_out_wherever_a_page_lies():
    for above in ("", "../"):
        page = f'<head><script src="{above}_static/scripts/bootstrap.js"></script>\n{SCRIPT.format(above)}\n</head>'
        assert finished(page) == f'<head><script src="{above}_static/scripts/bootstrap.js"></script>\n</head>'


def test_a_bibliography_is_no_list_to_a_screen_reader_and_other_lists_stay():
    page = '<div role="list" class="citation-list"><p>One.</p></div><div role="list" class="other"></div>'
    assert finished(page) == '<div class="citation-list"><p>One.</p></div><div role="list" class="other"></div>'


def test_a_page_without_them_stays_as_it_is():
    assert finished("<p>Nothing.</p>") == "<p>Nothing.</p>"
