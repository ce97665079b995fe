"""A browser of the console, as far as its pages need one without a script."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

import httpx
from fastapi import FastAPI

from backstay.testing.people import PASSWORD, client_of

ORIGIN = {"Origin": "http://testserver"}
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


class Visitor:
    """Somebody with a browser, who signs in and submits forms of pages."""

    def __init__(self, app: FastAPI) -> None:
        self.client = client_of(app, headers=ORIGIN)

    async def sign_in(self, login: str, password: str = PASSWORD, **more: str) -> httpx.Response:
        """Submit the form of the sign-in."""
        form = {"step": "password", "login": login, "password": password, **more}
        return await self.client.post("/admin/sign-in", data=form)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """Open a page."""
        return await self.client.get(f"/admin{path}", **options)

    async def submit(self, path: str, values: Mapping[str, str], **options: Any) -> httpx.Response:
        """Open the page of a form, fill it in as far as ``values`` go, and submit it."""
        page = await self.get(path)
        assert page.status_code == 200, page.text
        form = {**filled_in(page.text), **values}
        return await self.client.post(f"/admin{path}", data=form, **options)

    async def token(self) -> str:
        """The token of this session against requests of other sites."""
        return filled_in((await self.get("")).text)["csrf"]


def filled_in(page: str) -> dict[str, str]:
    """What the form of a page holds before somebody fills it in."""
    main = page[page.find("<main") :] or page
    found = dict(_HIDDEN.findall(main if "csrf" in main else page))
    found |= dict(re.findall(r'<input id="[^"]*" name="([^"]+)"[^>]*? value="([^"]*)"', main))
    found |= dict(
        re.findall(r'<textarea [^>]*?name="([^"]+)"[^>]*>\n?(.*?)</textarea>', main, re.S)
    )
    for name, options in re.findall(
        r'<select [^>]*?name="([^"]+)"[^>]*>(.*?)</select>', main, re.S
    ):
        chosen = re.search(r"<option selected>([^<]*)<", options)
        found[name] = chosen[1] if chosen else ""
    return {name: unescape(value) for name, value in found.items()}
