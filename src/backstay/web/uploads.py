"""Receives the file of an upload into a temporary file: as the body itself, or in a form."""

import re
from collections.abc import AsyncIterator
from functools import partial
from urllib.parse import unquote

from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from backstay.core.errors import AppError
from backstay.core.uploads import Upload
from backstay.web.request import (
    MULTIPART,
    allow_bytes,
    check_length,
    check_media_type,
    field_of,
    fields_of,
    media_type_of,
    too_large,
    unsupported,
)
from backstay.web.route_spec import FORM_BYTES, UploadRule
from backstay.web.upload_form import UploadForm

NAME_LENGTH = 255
_EXTENDED = re.compile(r";\s*filename\*=utf-8''([^;\s]+)", re.IGNORECASE)
"""The name of a file in other letters than ASCII (RFC 8187)."""


class _ClientGone(AppError):
    """The client disconnected before its upload was complete; nobody reads this response."""

    status, code, title = 499, "client_gone", "The upload is not complete"


def upload_of(request: Request, rule: UploadRule, field: str) -> Upload:
    """The upload of a request, whose file is received later, when the command is authorised.

    Raises:
        AppError: the media type is missing or not one of the route, or the body is too large.
    """
    if not media_type_of(request.scope):
        raise unsupported(*rule.media_types, MULTIPART)
    check_media_type(request.scope, *rule.media_types, MULTIPART)
    is_form = media_type_of(request.scope) == MULTIPART
    most = rule.max_bytes + (FORM_BYTES if is_form else 0)
    check_length(request.scope, most)
    allow_bytes(request.scope, most)
    return Upload(partial(_receive, request, rule, field))


async def _receive(request: Request, rule: UploadRule, field: str, upload: Upload) -> None:
    media_type = field_of(request.scope, b"content-type") or ""
    form: UploadForm | None = None

    def begins(disposition: str, media_type: str) -> None:
        upload.name = _name_in(disposition)
        upload.media_type = media_type.partition(";")[0].strip().lower()
        if upload.media_type not in rule.media_types:
            raise unsupported(*rule.media_types)

    if media_type_of(request.scope) == MULTIPART:
        form = UploadForm(media_type, field, begins)
    else:
        given = fields_of(request.scope).get(b"content-disposition", b"")
        begins(given.decode("utf-8", "replace"), media_type)
    try:
        await upload.fill(_content(request, form, rule.max_bytes))
    except ClientDisconnect as error:
        raise _ClientGone from error


async def _content(request: Request, form: UploadForm | None, most: int) -> AsyncIterator[bytes]:
    """The content of the file, in the chunks in which it arrives."""
    size = 0
    async for chunk in request.stream():
        part = form.feed(chunk) if form and chunk else chunk
        size += len(part)
        if size > most:
            raise too_large(most)
        yield part
    if form is not None:
        form.check_end()


def _name_in(disposition: str) -> str:
    """The name of a file in ``Content-Disposition``, without folders and control characters."""
    extended = _EXTENDED.search(disposition)
    given = parse_options_header(disposition.encode("utf-8", "replace"))[1].get(b"filename", b"")
    name = unquote(extended[1]) if extended else given.decode("utf-8", "replace")
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(filter(str.isprintable, last))[:NAME_LENGTH]
