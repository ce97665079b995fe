"""A browser with an empty profile, and a server with a seeded administrator."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from backstay.testing import Templates
from tests.browser.made import Made
from tests.browser.visiting import Visitor
from tests.cli.process import Server, serving
from tests.patient import PATIENT
from tests.services.chromium import MILLISECONDS, chromium


@pytest.fixture(scope="module")
def server(templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the packaged application on SQLite, as on a developer's machine."""
    folder: Path = tmp_path_factory.mktemp("server")
    templates.copy("sqlite", folder, name="backstay.db")
    with serving(folder, RATE_LIMIT_ENABLED="false", **PATIENT) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser of a module. A test that also asks for ``server`` asks for that first."""
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty tab, with cookies of its own."""
    with browser.new_context() as context:
        context.set_default_timeout(MILLISECONDS)
        yield context.new_page()


@pytest.fixture
def visitor(server: Server, page: Page) -> Visitor:
    """Visits the pages of the server."""
    return Visitor(page, str(server.client.base_url).rstrip("/"))


@pytest.fixture
def made(page: Page) -> Made:
    """Visits pages that the test makes."""
    return Made(page)
