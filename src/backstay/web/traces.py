"""The trace that a request is part of, as its sender tells it (W3C Trace Context)."""

import re

from starlette.types import Scope

from backstay.web.fields import fields_of

NAME = b"traceparent"
_PARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?"
)


def parent_of(scope: Scope) -> tuple[bytes, bytes] | None:
    """The id of the trace and its flags; None where none is told, or not in a known form.

    Of a later version than 00 what that version says is known: more may follow behind the flags,
    of which only the first has a meaning.
    """
    if NAME not in fields_of(scope):
        return None
    given = [value for name, value in scope["headers"] if name == NAME]
    parent = _PARENT.fullmatch(given[0]) if len(given) == 1 else None
    if parent is None:
        return None
    version, trace_id, flags, more = parent.groups()
    if version == b"00":
        return None if more else (trace_id, flags)
    return trace_id, b"%02x" % (int(flags, 16) & 1)
