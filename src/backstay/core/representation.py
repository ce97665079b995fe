"""The one way a view becomes bytes, so that its ETag is the same wherever it is computed."""

from dataclasses import dataclass
from hashlib import blake2b

from backstay.core.errors import PreconditionFailed
from backstay.core.messages import View


def render(view: View) -> bytes:
    """The JSON representation of a view, UTF-8."""
    return type(view).__pydantic_serializer__.to_json(view)


def etag_of(body: bytes) -> str:
    """A strong entity tag over everything the body shows (RFC 9110, 8.8.3)."""
    return f'"{blake2b(body, digest_size=12).hexdigest()}"'


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What the sender believes about the resource: the entity tags of ``If-Match``.

    ``tags`` is None without the header; ``("*",)`` matches any existing representation.
    """

    tags: tuple[str, ...] | None = None

    def check(self, current: View) -> None:
        """Compare with the current representation, inside the transaction that changes it.

        Raises:
            PreconditionFailed: the representation is no longer the one the sender saw.
        """
        if self.tags is None or self.tags == ("*",):
            return
        if etag_of(render(current)) not in self.tags:
            raise PreconditionFailed(
                "The resource is not the version named by If-Match: read it again, then retry."
            )


NO_PRECONDITIONS = Preconditions()
