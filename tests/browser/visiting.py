"""Opens pages in a real browser, and tells all that a page does which it may not do."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import ConsoleMessage, Page, Request, Response, ViewportSize

SHOTS = os.environ.get("TEST_SCREENSHOTS", "")
"""The folder for pictures of all pages, which people look at; none are made without it."""
WIDE, NARROW = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)
KINDS = ("light", "dark", "390")
"""The pictures of each page."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
GRAVE = {"serious", "critical"}
_NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(
    `${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""
# what was noticed before is told in tasks that were queued before this one
_VIOLATIONS = "new Promise((done) => setTimeout(() => done(window.violations)))"
# the browser looks at a handler in an attribute only when its event happens
_HANDLERS = """
[...document.querySelectorAll("*")].flatMap((each) => each.getAttributeNames()
    .filter((name) => name.startsWith("on") || each.getAttribute(name).startsWith("javascript:"))
    .map((name) => `${each.tagName.toLowerCase()} ${name}`))
"""
_WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"
_LINKS = "[...document.querySelectorAll('a[href]:not([download])')].map((link) => link.href)"


def template_of(address: str) -> str:
    """The path of an address with `{id}` for ids, and the names in its query."""
    parts = urlsplit(address)
    names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
    return _ID.sub("{id}", parts.path) + (f"?{'&'.join(names)}" if names else "")


class Visitor:
    """Opens pages of one origin, such as `http://127.0.0.1:8000`, in a tab of a browser.

    What a page may not do is told as one line for each fault.
    """

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.origin, self.shots = page, origin, SHOTS
        self._noted: list[str] = []
        self._address = ""
        page.add_init_script(_NOTE_VIOLATIONS)
        page.on("request", self._note_request)
        page.on("requestfailed", self._note_failure)
        page.on("response", self._note_response)
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self._noted.append(f"error: {error}"))

    def visit(self, path: str, *, status: int = 200) -> list[str]:
        """Open a page that answers with this status; the faults of its loading.

        They are violations of its content security policy, requests to other origins, requests
        that fail, errors of its scripts, and that it leads to another address.
        """
        self._noted, self._address = [], self.origin + path
        self.page.set_viewport_size(WIDE)
        self.page.emulate_media(color_scheme="light", reduced_motion="reduce")
        answer = self.page.goto(self._address)
        assert answer, "there was no request: only the fragment differs"
        if self.page.url != self._address:
            self._noted.append(f"leads to {self.page.url}")
        if answer.status != status:
            self._noted.append(f"answers {answer.status}, not {status}")
        return self.noted()

    def noted(self) -> list[str]:
        """The faults since the page was opened, also those of what was done on it since."""
        told = self.page.evaluate(_VIOLATIONS) + self.page.evaluate(_HANDLERS)
        return [*self._noted, *(f"against the policy: {each}" for each in told)]

    def looks(self) -> list[str]:
        """What is wrong with the open page for eyes, keyboards and screen readers.

        Serious findings of axe-core by light, and by dark those of contrast; on a telephone (390
        pixels) the page must not be wider than the screen.
        """
        found = [*self.axe()]
        self._picture("light")
        self.page.emulate_media(color_scheme="dark")
        found += (f"dark: {each}" for each in self.axe("color-contrast"))
        self._picture("dark")
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(NARROW)
        self._picture("390")
        content, screen = self.page.evaluate(_WIDTHS)
        if content > screen:
            found.append(f"{content} pixels wide on a screen of {screen}")
        self.page.set_viewport_size(WIDE)
        return found

    def axe(self, *rules: str) -> Iterator[str]:
        """The findings of axe-core that are serious or critical, of these rules or of all."""
        options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
        for finding in Axe().run(self.page, options=options).response["violations"]:
            if finding["impact"] in GRAVE:
                places = ", ".join(str(node["target"]) for node in finding["nodes"])
                yield f"{finding['impact']}: {finding['id']}: {finding['help']}: {places}"

    def links(self) -> list[str]:
        """The paths, with queries, of the links of the open page to pages of the same origin."""
        found: list[str] = self.page.evaluate(_LINKS)
        parts = [urlsplit(link) for link in found]
        return [
            part.path + (f"?{part.query}" if part.query else "")
            for part in parts
            if f"{part.scheme}://{part.netloc}" == self.origin
        ]

    def _picture(self, kind: str) -> None:
        if self.shots:
            name = re.sub(r"\W+", "-", template_of(self.page.url)).strip("-") or "start"
            path = Path(self.shots) / f"{name}-{kind}.png"
            self.page.screenshot(path=path, full_page=True)

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:", "blob:")):
            self._noted.append(f"a request to another origin: {request.url}")

    def _note_failure(self, request: Request) -> None:
        """Not those that the browser gives up because their page is left."""
        if request.failure != "net::ERR_ABORTED":
            self._noted.append(f"a request failed: {request.url}: {request.failure}")

    def _note_response(self, response: Response) -> None:
        if response.status >= 400 and response.url != self._address:
            self._noted.append(f"a request failed: {response.url}: {response.status}")

    def _note_message(self, message: ConsoleMessage) -> None:
        """Errors, but for those of requests, which are noted as such."""
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self._noted.append(f"error: {message.text}: {json.dumps(message.location)}")
