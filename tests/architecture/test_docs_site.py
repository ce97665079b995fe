"""Shows that the documentation site builds, has no broken link and loads nothing from elsewhere."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from backstay.testing.waiting import LIMIT
from tests.architecture.tree import ROOT

_LOADING = {"script", "link", "img", "source", "iframe", "object", "embed", "video", "audio", "use"}
"""The elements whose addresses a browser loads by itself; `a` is none of them."""
_IN_STYLE = re.compile(r"(?:url\(|@import)\s*['\"]?\s*((?:https?:)?//[^'\")\s]+)")
_NAMES_SPACE = {"xmlns", "xmlns:xlink"}


def build(root: Path, target: Path) -> str:
    """Build the site of a project as `make docs` does; what Sphinx finds wrong, else nothing."""
    options = ["-q", "-W", "--keep-going", "-d", str(target / "doctrees"), "-c", str(root / "docs")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(root), str(target / "site")],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode == 0) == (done.stderr == ""), done.stderr
    return done.stderr


class Loaded(HTMLParser):
    """Collects the addresses of other hosts that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            is_address = tag in _LOADING and name not in _NAMES_SPACE
            if is_address and value and re.match(r"(?:https?:)?//", value):
                self.found.append(f"{tag} {name}={value}")
            elif name == "style":
                self.found += _IN_STYLE.findall(value or "")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            self.found += _IN_STYLE.findall(data)


def loaded_from_elsewhere(site: Path) -> Iterator[str]:
    """Everything that the pages, styles and pictures of a site load from another host."""
    for path in sorted(site.rglob("*")):
        if path.suffix in {".html", ".svg"}:
            page = Loaded()
            page.feed(path.read_text("utf-8"))
            yield from (f"{path.name}: {each}" for each in page.found)
        elif path.suffix == ".css":
            found = _IN_STYLE.findall(path.read_text("utf-8"))
            yield from (f"{path.name}: {each}" for each in found)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of this project."""
    target = tmp_path_factory.mktemp("site")
    assert build(ROOT, target) == ""
    return target / "site"


def test_the_site_has_every_page_and_starts_with_the_readme(site: Path) -> None:
    pages = {path.relative_to(ROOT).with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    assert len(pages) > 30
    assert pages <= built
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()


def test_the_site_leads_a_reader_from_start_to_decisions(site: Path) -> None:
    captions = re.findall(r'class="caption-text">(.+?)<', (site / "index.html").read_text("utf-8"))
    assert captions == ["Start", "Guides", "Runbooks", "Reference", "Decisions", "Project"]


def test_the_site_loads_nothing_from_other_hosts(site: Path) -> None:
    assert list(loaded_from_elsewhere(site)) == []


def test_loading_from_other_hosts_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '<a href="https://example.org">fine</a><script src="https://cdn.example/a.js"></script>'
        '<link href="//fonts.example/b"><p style="background: url(https://c.example/c)">'
        "<style>@import 'https://d.example/d';</style>"
    )
    (tmp_path / "page.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><style>@font-face {src: url("https://e.example/e")}'
        "</style></svg>"
    )
    (tmp_path / "style.css").write_text("a {background: url(https://f.example/f)}")
    assert list(loaded_from_elsewhere(tmp_path)) == [
        "page.html: script src=https://cdn.example/a.js",
        "page.html: link href=//fonts.example/b",
        "page.html: https://c.example/c",
        "page.html: https://d.example/d",
        "page.svg: https://e.example/e",
        "style.css: https://f.example/f",
    ]


BROKEN = """\
# Start

[fine](docs/settings.md#part) [page](docs/gone.md) [part](docs/settings.md#gone) [own](#gone)
[folder](tests) ![picture](docs/gone.svg)
"""
FAULTS = (
    "not found: 'docs/gone.md'",
    "not found in doc 'docs/settings': 'gone'",
    "not found: 'gone'",
    "not found: 'tests'",
    "not readable: docs/gone.svg",
    "unlisted.md: WARNING: document isn't included in any toctree",
)
PAGES = (
    *("CONTRIBUTING", "SECURITY", "CHANGELOG", "docs/ARCHITECTURE", "docs/api", "docs/reference"),
    *("docs/settings", "docs/guides/new", "docs/decisions/README", "docs/decisions/0001-a"),
    *("docs/runbooks/README", "docs/runbooks/down"),
)


def test_broken_links_and_unlisted_pages_fail_the_build(tmp_path: Path) -> None:
    for name in (*PAGES, "docs/unlisted"):
        page = tmp_path / f"{name}.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("# Page\n\n## Part\n\nText.\n")
    (tmp_path / "README.md").write_text(BROKEN)
    shutil.copy(ROOT / "docs" / "conf.py", tmp_path / "docs")
    told = build(tmp_path, tmp_path / "build")
    for wrong in FAULTS:
        assert wrong in told
    assert told.count("WARNING") == len(FAULTS)
