"""Renders the few HTML pages for people: no scripts, nothing loaded, nothing cached or indexed."""

import re
from base64 import b64encode
from hashlib import sha256
from html import escape

from starlette.responses import HTMLResponse

_STYLE = """
:root{color-scheme:light dark;--ink:#1c1e21;--soft:#5c626a;--line:#d9dce1;--back:#f4f5f7;
--card:#fff;--accent:#1f5fd0;--alarm:#b3261e}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a3a9b2;--line:#3a3f47;
--back:#16181c;--card:#202329;--accent:#7aa7f7;--alarm:#ff9b93}}
*{box-sizing:border-box}
body{margin:0;padding:6vh 16px;background:var(--back);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
main{max-width:26rem;margin:0 auto;padding:28px 32px;background:var(--card);
border:1px solid var(--line);border-radius:10px}
main.wide{max-width:60rem}
h1{margin:0 0 4px;font-size:1.35rem;line-height:1.3}
p{margin:8px 0 16px}
.soft{color:var(--soft)}
.alarm{color:var(--alarm)}
label{display:block;margin:16px 0 4px;font-weight:600}
input{width:100%;padding:10px 12px;font:inherit;color:inherit;background:var(--back);
border:1px solid var(--line);border-radius:6px}
button{width:100%;margin:20px 0 4px;padding:11px;font:inherit;font-weight:600;color:var(--card);
background:var(--accent);border:0;border-radius:6px;cursor:pointer}
input:focus-visible,button:focus-visible,a:focus-visible{outline:2px solid var(--accent);
outline-offset:2px}
a{color:var(--accent)}
table{width:100%;margin-top:16px;border-collapse:collapse}
th,td{padding:8px 12px 8px 0;text-align:left;border-bottom:1px solid var(--line);
overflow-wrap:anywhere;vertical-align:top}
th{font-size:.85rem;color:var(--soft)}
td.time{font-variant-numeric:tabular-nums}
@media (min-width:40rem){td.time{white-space:nowrap}}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin:16px 0}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
pre{margin:16px 0 0;padding:16px;font:14px/1.6 ui-monospace,monospace;white-space:pre-wrap;
overflow-wrap:anywhere;background:var(--back);border-radius:6px}
""".strip()
_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}
_LINK = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)]")


def page(title: str, body: str, *, status: int = 200, wide: bool = False) -> HTMLResponse:
    """An HTML page. ``body`` is inserted as it is; ``title`` is escaped."""
    shown = escape(title)
    return HTMLResponse(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{shown}</title><style>{_STYLE}</style></head>\n"
        f'<body><main class="{"wide" if wide else ""}"><h1>{shown}</h1>\n{body}\n</main></body>'
        "</html>\n",
        status,
        headers=_HEADERS,
    )


def linked(text: str) -> str:
    """A text as escaped HTML in which web addresses are links."""
    parts, end = [], 0
    for found in _LINK.finditer(text):
        address = escape(found[0])
        parts += [escape(text[end : found.start()]), f'<a href="{address}">{address}</a>']
        end = found.end()
    return "".join((*parts, escape(text[end:])))
