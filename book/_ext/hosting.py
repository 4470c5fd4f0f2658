"""What the book may say of where it is kept: its repository, its buttons, its address on the web.

GitHub Actions and GitLab CI name the repository that they build in environment variables. Built anywhere else nothing
is known, and then there is no button and no address: better none than one that leads nowhere. Nothing here asks the
network, so whether a repository is public or its site is switched on is not known either.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

SITE = "SCICOT_SITE_URL"  # the site's address, where it is not what the host's own rule makes of the repository
CARD = "_static/card.png"
CARD_TAGS = (
    '<meta property="og:image:width" content="1200" />',
    '<meta property="og:image:height" content="630" />',
    '<meta name="twitter:card" content="summary_large_image" />',
)


def settings(environment: Mapping[str, str]) -> dict[str, object]:
    """The Sphinx settings that hang on where the book is built: theme options, and the site's address if it is known.

    ValueError where SCICOT_SITE_URL is no address; empty, it says that there is no site.
    """
    site = environment[SITE].strip() if SITE in environment else pages(environment)
    theme: dict[str, object] = {"html_theme_options": buttons(environment)}
    if not site:
        return theme
    if not re.match(r"https?://[^/]", site):
        raise ValueError(f"{SITE} is {site!r}, which is no address; it starts with https:// or http://, or is empty")
    site = site.rstrip("/") + "/"
    return theme | {
        "html_baseurl": site,
        "ogp_site_url": site,
        "ogp_image": CARD,
        "ogp_custom_meta_tags": CARD_TAGS,
    }


def buttons(environment: Mapping[str, str]) -> dict[str, object]:
    """The theme's options for the repository's buttons; empty where no repository is named.

    Binder and Colab are offered for repositories that they can reach by name: those of the public hosts, and a branch
    without a slash, which both would read as the end of the branch.
    """
    url, branch, provider = repository(environment)
    if not url:
        return {}
    launch = {}
    if "/" not in branch:
        if re.fullmatch(r"https://(github|gitlab)\.com/[^/]+/[^/]+", url):
            launch["binderhub_url"] = "https://mybinder.org"
        if url.startswith("https://github.com/"):
            launch["colab_url"] = "https://colab.research.google.com"
    return {
        "repository_url": url,
        "repository_branch": branch,
        "repository_provider": provider,
        "path_to_docs": "",  # a page notebooks/<name> is the repository's notebooks/<name>.ipynb; see `source_folder`
        "use_repository_button": True,
        "use_source_button": True,
        "use_edit_page_button": True,
        **({"launch_buttons": {"notebook_interface": "jupyterlab", **launch}} if launch else {}),
    }


def repository(environment: Mapping[str, str]) -> tuple[str, str, str]:
    """Address, branch and kind of host of the repository that is built; three empty texts where none is named.

    The merged state that GitHub builds for a pull request (`7/merge`) is no branch that a link could name for long.
    """
    server, name, branch = (environment.get(f"GITHUB_{key}", "") for key in ("SERVER_URL", "REPOSITORY", "REF_NAME"))
    if server and name and branch and not re.fullmatch(r"\d+/merge", branch):
        return f"{server.rstrip('/')}/{name}", branch, "github"
    url, branch = environment.get("CI_PROJECT_URL", ""), environment.get("CI_COMMIT_REF_NAME", "")
    if url and branch:
        return url.rstrip("/"), branch, "gitlab"
    return "", "", ""


def pages(environment: Mapping[str, str]) -> str:
    """Where the host's own pages service puts the site; empty where that is not known.

    GitHub: https://<owner>.github.io/<repository>/, and the root for the repository that has this name itself. GitLab
    tells it.
    """
    if environment.get("GITHUB_SERVER_URL") == "https://github.com" and "/" in environment.get("GITHUB_REPOSITORY", ""):
        owner, name = environment["GITHUB_REPOSITORY"].split("/")
        root = f"{owner.lower()}.github.io"
        return f"https://{root}/" if name.lower() == root else f"https://{root}/{name}/"
    return environment.get("CI_PAGES_URL", "")


def configure(app, config) -> None:
    """Sphinx, when its configuration is read: what _config.yml says, and over it what the environment says."""
    values = settings(os.environ)
    config.html_theme_options = {**config.html_theme_options, **values.pop("html_theme_options")}
    for name, value in values.items():
        config[name] = value


def source_folder(app, pagename, templatename, context, doctree) -> None:
    """Prose lies in book/, notebooks in notebooks/; the theme knows one folder for both, for its links to a source."""
    context["doc_path"] = "" if pagename.startswith("notebooks/") else "book"


def no_relative_address(app, pagename, templatename, context, doctree) -> None:
    """sphinxext-opengraph writes og:url in any case; without the site's address it would be no address. Pages that Sphinx
    makes by itself, such as the index of terms, have no tags.
    """
    if "metatags" in context and not app.config.ogp_site_url:
        context["metatags"] = re.sub(r'<meta property="og:url"[^>]*>\n?', "", context["metatags"])


def setup(app) -> dict[str, bool]:
    """Connect to Sphinx; the numbers order what several extensions do to one page."""
    app.connect("config-inited", configure)
    app.connect("html-page-context", source_folder)  # before the theme makes its links, which is at 501
    app.connect("html-page-context", no_relative_address, priority=600)  # after sphinxext-opengraph, which is at 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
