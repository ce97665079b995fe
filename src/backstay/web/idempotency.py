"""The ``Idempotency-Key`` of a request."""

import json
import re
from hashlib import blake2b

from pydantic_core import from_json
from starlette.requests import Request

from backstay.core.errors import BadRequest
from backstay.core.idempotency import IdempotencyKey
from backstay.web.fields import fields_of

NAME = b"idempotency-key"
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


async def key_of(request: Request) -> IdempotencyKey | None:
    """The key of a request, if it has one, bound to its target and to what its body and query say.

    Raises:
        BadRequest: the header is repeated, empty, too long or not printable.
    """
    if NAME not in fields_of(request.scope):
        return None
    values = [value for name, value in request.scope["headers"] if name == NAME]
    value = values[0].decode("latin-1").strip()
    if len(values) > 1 or not _KEY.fullmatch(value):
        raise BadRequest("Idempotency-Key must be sent once, with 1 to 255 printable characters.")
    body = await request.body()
    said = [sorted(request.query_params.multi_items()), from_json(body) if body else None]
    fingerprint = blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=32).digest()
    return IdempotencyKey(value, f"{request.method} {request.scope['path']}", fingerprint)
