"""How Sphinx makes the documentation site: README.md is its first page, `docs` holds the others.

The pages stay plain Markdown that a code host shows as well, so their order is listed here.
"""

import shutil
from pathlib import Path
from typing import Any

_GUIDES = [
    *(
        "new-project",
        "build-on-it",
        "add-an-entity",
        "add-a-part",
        "add-a-resource",
        "admin-console",
        "testing",
        "queries",
        "background-work",
        "monitoring",
        "caching-and-limits",
        "retries",
        "mail",
    ),
    *(
        "replace-an-adapter",
        "clients",
        "database-urls",
        "move-database",
        "deploy",
        "production",
        "scale",
        "doctor",
        "maintenance",
        "upgrade",
        "coming-from",
    ),
]
"""The guides in the order of a reader; a guide that is not named here comes after them."""
_guides = sorted(path.stem for path in (Path(__file__).parent / "guides").glob("*.md"))

NAVIGATION = {
    "Start": ["docs/ARCHITECTURE"],
    "Guides": [
        f"docs/guides/{name}"
        for name in [*filter(_guides.__contains__, _GUIDES), *sorted({*_guides} - {*_GUIDES})]
    ],
    "Runbooks": ["docs/runbooks/README"],
    "Reference": ["docs/api", "docs/reference", "docs/settings"],
    "Decisions": ["docs/decisions/README"],
    "Project": ["CONTRIBUTING", "SECURITY", "CHANGELOG"],
}
"""The pages by heading, in the order in which a newcomer needs them."""

project = html_title = "Backstay"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["README.md", *(f"{page}.md" for page in NAVIGATION["Project"]), "docs/**.md"]
exclude_patterns = [".*", "src", "tests", "benchmarks", "build", "dist", "htmlcov"]
myst_heading_anchors = 3  # headings of these levels can be linked to, as on a code host
html_theme = "furo"
html_copy_source = html_show_sourcelink = html_use_index = False


def add_navigation(app: Any, page: str, source: list[str]) -> None:
    """Append the lists of pages, which are not shown, to the pages that have others below them."""
    if page == root_doc:
        source[0] += "".join(_toctree(*part) for part in NAVIGATION.items())
    elif page == "docs/decisions/README":
        source[0] += _toctree("Pages", ["0*"])
    elif page == "docs/runbooks/README":
        source[0] += _toctree("Pages", ["[a-z]*"])


def _toctree(caption: str, pages: list[str]) -> str:
    listed = "\n".join(pages)
    return f"\n\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n\n{listed}\n```\n"


def copy_first_page(app: Any, error: Exception | None) -> None:
    """Let a web server find the first page under the name that it looks for."""
    first = Path(app.outdir) / f"{root_doc}.html"
    if error is None and first.exists():
        shutil.copyfile(first, first.with_name("index.html"))


def setup(app: Any) -> None:
    """Connect the two functions; Sphinx calls this."""
    app.connect("source-read", add_navigation)
    app.connect("build-finished", copy_first_page)
