"""What the book says of its repository and its address: all that the environment tells, and nothing else."""

from __future__ import annotations

import hosting
import pytest

GITHUB = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "Owner/book", "GITHUB_REF_NAME": "main"}
GITLAB = {"CI_PROJECT_URL": "https://gitlab.com/owner/book", "CI_COMMIT_REF_NAME": "main"}


def test_built_at_home_there_is_no_button_and_no_address():
    assert hosting.settings({"HOME": "somewhere"}) == {"html_theme_options": {}}


def test_github_tells_repository_branch_and_address():
    settings = hosting.settings(GITHUB)
    theme = settings["html_theme_options"]
    assert theme["repository_url"] == "https://github.com/Owner/book"
    assert (theme["repository_branch"], theme["repository_provider"], theme["path_to_docs"]) == ("main", "github", "")
    assert theme["use_repository_button"] and theme["use_source_button"] and theme["use_edit_page_button"]
    assert set(theme["launch_buttons"]) == {"notebook_interface", "binderhub_url", "colab_url"}
    assert settings["ogp_site_url"] == settings["html_baseurl"] == "https://owner.github.io/book/"
    at_the_root = hosting.pages(GITHUB | {"GITHUB_REPOSITORY": "Owner/owner.github.io"})
    assert at_the_root == "https://owner.github.io/"


@pytest.mark.parametrize("missing", GITHUB)
def test_half_a_repository_and_a_pull_request_without_a_branch_to_link_to_make_no_button(missing):
    assert hosting.buttons({key: value for key, value in GITHUB.items() if key != missing}) == {}
    assert hosting.buttons(GITHUB | {"GITHUB_REF_NAME": "7/merge"}) == {}


def test_a_branch_with_a_slash_and_a_project_in_a_subgroup_are_linked_to_and_not_launched():
    theme = hosting.buttons(GITHUB | {"GITHUB_REF_NAME": "fix/typo"})
    assert theme["repository_branch"] == "fix/typo" and "launch_buttons" not in theme
    theme = hosting.buttons(GITLAB | {"CI_PROJECT_URL": "https://gitlab.com/group/part/book"})
    assert theme["repository_url"].endswith("/part/book") and "launch_buttons" not in theme


def test_what_binder_and_colab_cannot_reach_is_not_launched():
    settings = hosting.settings(GITHUB | {"GITHUB_SERVER_URL": "https://git.example"})
    assert "launch_buttons" not in settings["html_theme_options"] and "ogp_site_url" not in settings


def test_gitlab_is_launched_on_binder_alone_and_tells_its_address_itself():
    settings = hosting.settings(GITLAB | {"CI_PAGES_URL": "https://owner.gitlab.io/book"})
    assert set(settings["html_theme_options"]["launch_buttons"]) == {"notebook_interface", "binderhub_url"}
    assert settings["ogp_site_url"] == "https://owner.gitlab.io/book/"
    assert "ogp_site_url" not in hosting.settings(GITLAB)


def test_the_site_may_be_named_or_denied():
    assert hosting.settings(GITHUB | {hosting.SITE: "https://book.example"})["ogp_site_url"] == "https://book.example/"
    assert "ogp_site_url" not in hosting.settings(GITHUB | {hosting.SITE: ""})


def test_what_is_no_address_is_named_in_one_line():
    with pytest.raises(ValueError, match=r"^SCICOT_SITE_URL is 'book.example', which is no address"):
        hosting.settings({hosting.SITE: "book.example"})


class Page:
    """As much of Sphinx as a page's hooks ask."""

    def __init__(self, site: str):
        self.config = type("Config", (), {"ogp_site_url": site})


@pytest.mark.parametrize(("site", "has_address"), [("", False), ("https://book.example/", True)])
def test_a_page_has_its_address_where_the_sites_is_known(site, has_address):
    context = {
        "metatags": '<meta property="og:url" content="run.html" />\n<meta property="og:type" content="website" />'
    }
    hosting.no_relative_address(Page(site), "run", "page.html", context, None)
    assert ("og:url" in context["metatags"]) == has_address and "og:type" in context["metatags"]


@pytest.mark.parametrize(("page", "folder"), [("results", "book"), ("notebooks/09_claims", "")])
def test_a_page_knows_the_folder_of_its_source(page, folder):
    context = {}
    hosting.source_folder(Page(""), page, "page.html", context, None)
    assert context["doc_path"] == folder
