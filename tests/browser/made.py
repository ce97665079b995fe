"""Pages that tests make, answered inside the browser: to show that a check can fail."""

from playwright.sync_api import Page, Route

from tests.browser.visiting import Visitor

ORIGIN = "http://made.test"
STRICT = "default-src 'none'; style-src 'nonce-x'; script-src 'self' 'nonce-x'; img-src 'self'"
_FRAME = (
    '<!doctype html><html lang="en"><head><title>Made</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    "{head}</head><body><main><h1>Made</h1>{body}</main></body></html>"
)


class Made(Visitor):
    """Opens pages that are made of a few words; other paths are not found."""

    def __init__(self, page: Page) -> None:
        super().__init__(page, ORIGIN)
        self.shots = ""
        self._pages: dict[str, tuple[str, str]] = {}
        page.route("**/*", self._answer)

    def make(self, body: str, path: str = "/", *, head: str = "", policy: str = STRICT) -> None:
        """Have a page at a path, with this in its head and body."""
        self._pages[ORIGIN + path] = _FRAME.format(head=head, body=body), policy

    def _answer(self, route: Route) -> None:
        if not route.request.url.startswith(f"{ORIGIN}/"):
            route.abort()
            return
        found = self._pages.get(route.request.url.partition("?")[0])
        body, policy = found or ("there is none", STRICT)
        headers = {"Content-Type": "text/html", "Content-Security-Policy": policy}
        route.fulfill(status=200 if found else 404, headers=headers, body=body)
