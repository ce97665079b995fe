"""The header fields of requests and responses, as the description of the API shows them.

Fields that every response has and that only browsers and proxies read are left out
(``Cache-Control: no-store``, ``Vary``, ``Content-Security-Policy`` and the like).
"""

from typing import Any

Field = tuple[bytes, bytes]
"""A header field as ASGI has it: the name in lower case, and the value."""
_TEXT, _NUMBER = {"type": "string"}, {"type": "integer", "minimum": 0}


def _header(description: str, schema: dict[str, Any], *, always: bool = False) -> dict[str, Any]:
    required = {"required": True} if always else {}
    return {"description": description, **required, "schema": schema}


HEADERS = {
    "Accept-Encoding": _header("The only encoding of a body that is taken: none.", _TEXT),
    "Cache-Control": _header("How long the client may keep the answer.", _TEXT),
    "Content-Disposition": _header("The name to save the body under.", _TEXT, always=True),
    "ETag": _header("The entity tag of what is shown, for `If-Match`.", _TEXT, always=True),
    "Idempotent-Replayed": _header(
        "`true` where this is the first answer once more.", {"type": "string", "enum": ["true"]}
    ),
    "Link": _header("The pages around this one (RFC 8288); there may be none.", _TEXT),
    "Location": _header("Where the new resource is.", _TEXT, always=True),
    "RateLimit": _header("What is left of the limit, and seconds until it is whole.", _TEXT),
    "RateLimit-Policy": _header("The limit under which this request was counted.", _TEXT),
    "Retry-After": _header("Seconds after which to try again.", _NUMBER),
    "Set-Cookie": _header("Sets or clears the cookie of the refresh token.", _TEXT),
    "WWW-Authenticate": _header("The credentials that are expected.", _TEXT, always=True),
    "X-RateLimit-Limit": _header("Requests allowed in a period.", _NUMBER),
    "X-RateLimit-Remaining": _header("Requests left in this period.", _NUMBER),
    "X-RateLimit-Reset": _header("Seconds until the limit is whole again.", _NUMBER),
    "X-Request-ID": _header("Finds the request in the logs.", _TEXT, always=True),
}
EXPOSED = [
    "Content-Disposition",
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-ID",
]
"""The header fields of responses that scripts of other origins may read (CORS)."""
ALWAYS = ("X-Request-ID",)
COUNTED = (
    "RateLimit",
    "RateLimit-Policy",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
)
WITH_PROBLEM = {
    401: ("WWW-Authenticate",),
    409: ("Retry-After",),
    415: ("Accept-Encoding",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
"""By status: the header fields that only some errors carry."""


def taken(name: str, description: str, *, where: str = "header", **schema: Any) -> dict[str, Any]:
    """A parameter of a request that is in neither path nor query."""
    told = {"type": "string", **schema}
    return {"name": name, "in": where, "description": description, "schema": told}


FIELDS = {
    "Idempotency-Key": taken(
        "Idempotency-Key",
        "Repeated within 24 hours it gets the first answer again; nothing happens twice.",
        minLength=1,
        maxLength=255,
    ),
    "If-Match": taken(
        "If-Match",
        "Entity tags, or `*`: refuses the request (412) where the resource has another one.",
    ),
    "If-None-Match": taken(
        "If-None-Match",
        "Entity tags, or `*`. Where the resource has one of them, reading is answered with 304 "
        "and changing refused (412).",
    ),
}
"""The header fields of requests, except ``Authorization``."""
