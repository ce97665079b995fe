"""Renders the pages of the console, under a policy by which a browser runs nothing else."""

from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    Template,
)
from starlette.responses import HTMLResponse, Response

from backstay.admin import cells, tables
from backstay.admin.charts import Series, chart, duration
from backstay.admin.matrix import matrix
from backstay.admin.operations import words
from backstay.core.errors import NotFound

ASSETS = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@cache
def environment(own: Path | None = None, *, reloads: bool = False) -> Environment:
    """Jinja with the templates of the console, and with the pages of a project in the folder
    ``own``; every value is escaped. It ``reloads`` a template whose file has changed."""
    loaders = [PackageLoader("backstay.admin"), *([FileSystemLoader(own)] if own else [])]
    made = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        auto_reload=reloads,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(told=tables.told, words=words)
    made.globals.update(base=tables.BASE, asset=asset, cell=cells.cell, link=tables.link)
    made.globals.update(chart=chart, series=Series, duration=duration, matrix=matrix)
    return made


def page(template: Template, values: Mapping[str, Any], status: int = 200) -> Response:
    """A page; ``nonce`` is what its own scripts and styles must name (CSP Level 3)."""
    nonce = token_urlsafe(16)
    html = template.render(values, nonce=nonce)
    own = f"'self' 'nonce-{nonce}'"
    policy = (
        f"default-src 'none'; script-src {own}; style-src {own}; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(html, status, headers=_headers(policy))


def _headers(policy: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",  # else browsers would send no `Origin` with forms
        "X-Robots-Tag": "noindex",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


@cache
def asset(name: str) -> str:
    """The address of a static file; it changes with the file, so that browsers may keep it."""
    digest = blake2b((ASSETS / name).read_bytes(), digest_size=6).hexdigest()
    return f"{tables.BASE}/assets/{digest}/{name}"


@cache
def asset_response(name: str) -> tuple[bytes, str]:
    """The content and the media type of a static file.

    Raises:
        NotFound: there is none of that name.
    """
    if name not in {each.name for each in ASSETS.iterdir()}:
        raise NotFound
    return (ASSETS / name).read_bytes(), _TYPES[Path(name).suffix]
