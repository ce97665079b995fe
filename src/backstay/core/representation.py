"""Renders views to bytes in one place, so that an ETag is the same wherever it is computed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from pydantic_core import to_json

from backstay.core.errors import PreconditionFailed
from backstay.core.listing import CursorPage, Page
from backstay.core.messages import View

Links = Mapping[str, int | str]
"""The links of a page by relation (RFC 8288): numbers of pages, or cursors."""


class Representation(NamedTuple):
    """What is sent for a view. A list has ``links``, every other view an ``etag``; the edge adds an
    entity tag to a list that clients may cache."""

    body: bytes
    etag: str | None = None
    links: Links | None = None

    @classmethod
    def of(cls, view: "View | Representation") -> "Representation":
        """The JSON representation of a view, in UTF-8; one that is given is returned."""
        if isinstance(view, Representation):
            return view
        body = type(view).__pydantic_serializer__.to_json(view)
        if isinstance(view, Page | CursorPage):
            return cls(body, None, _links(view.__dict__))
        return cls(body, _tag_of(body))

    @classmethod
    def of_rows(cls, rows: bytes, told: Mapping[str, Any]) -> "Representation":
        """That of a page of which ``rows`` are the items in JSON, and ``told`` the other fields."""
        body = b'{"items":%b,%b' % (rows, to_json(told)[1:])
        return cls(body, None, _links(told))

    def with_etag(self) -> "Representation":
        """The same with a strong entity tag: a hash of all bytes of the body (RFC 9110, 8.8.3)."""
        return Representation(self.body, _tag_of(self.body), self.links)

    def pack(self) -> bytes:
        """All parts in one sequence of bytes, for a cache."""
        head = json.dumps((self.etag, self.links)).encode()
        return len(head).to_bytes(2) + head + self.body

    @classmethod
    def unpack(cls, packed: bytes) -> "Representation":
        """The representation that :meth:`pack` has packed."""
        end = 2 + int.from_bytes(packed[:2])
        etag, links = json.loads(packed[2:end])
        return cls(packed[end:], etag, links)


def _tag_of(body: bytes) -> str:
    return f'"{blake2b(body, digest_size=12).hexdigest()}"'


def _links(told: Mapping[str, Any]) -> Links:
    found: dict[str, int | str | None]
    if "page" not in told:
        found = {"next": told["next_cursor"], "prev": told["prev_cursor"]}
    else:
        page = told["page"]
        found = {
            "first": 1,
            "prev": page - 1 if page > 1 else None,
            "next": page + 1 if told["has_more"] else None,
            "last": told["pages"],
        }
    return {relation: target for relation, target in found.items() if target}


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The preconditions of a request (RFC 9110, 13.1).

    ``tags`` are the entity tags of ``If-Match``, None without the header; ``none_of`` are those of
    ``If-None-Match``. In either, ``("*",)`` stands for any existing representation.
    """

    tags: tuple[str, ...] | None = None
    none_of: tuple[str, ...] = ()

    def check(self, current: View) -> None:
        """Compare with the current representation, inside the transaction that changes it.

        Raises:
            PreconditionFailed: the representation does not meet the preconditions.
        """
        if self != NO_PRECONDITIONS:
            tag = Representation.of(current).etag or ""
            self.check_match(tag)
            if tag in self.none_of:
                raise PreconditionFailed("The resource is a version named by If-None-Match.")
            self.check_absence()

    def check_match(self, tag: str) -> None:
        """Compare the tag of the current representation with those of ``If-Match``.

        Raises:
            PreconditionFailed: the representation is not one that ``If-Match`` names.
        """
        if self.tags is not None and self.tags != ("*",) and tag not in self.tags:
            raise PreconditionFailed(
                "The resource is not the version named by If-Match: read it again, then retry."
            )

    def check_absence(self) -> None:
        """Refuse a request with ``If-None-Match: *``, because the resource exists.

        Raises:
            PreconditionFailed: the request has that header.
        """
        if self.none_of == ("*",):
            raise PreconditionFailed("The resource exists, which If-None-Match rules out.")


NO_PRECONDITIONS = Preconditions()
