"""Debian's Chromium for tests, driven by Playwright; no Python package brings a browser."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from backstay.testing.waiting import LIMIT

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MILLISECONDS = LIMIT * 1000


class ChromiumError(Exception):
    """There is no Chromium, where continuous integration should have installed it."""


def program() -> str:
    """The path of the browser.

    Where there is none the test is skipped, or fails with ChromiumError if CI=true and this is
    root, for whom `.ci/run` installs it.
    """
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    if os.environ.get("CI", "").lower() in {"1", "true"} and os.geteuid() == 0:
        raise ChromiumError("Chromium is not installed")
    pytest.skip("Chromium is not installed")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser with an empty profile, which ends with the block.

    Playwright's event loop belongs to this thread until then: nothing else may use asyncio in it.
    """
    path = program()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=FLAGS, headless=True, timeout=MILLISECONDS
        )
        yield browser
        browser.close()
