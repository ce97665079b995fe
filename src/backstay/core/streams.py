"""The result of a query that is sent piece by piece, while it is made."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic, TypeVar, overload

T_co = TypeVar("T_co", covariant=True)


class Stream(Generic[T_co]):
    """What a query answers with whose result is too large to be held in memory.

    A ``Stream[OrderRow]`` has batches of views; the route decides how they are written. A
    ``Stream[bytes]`` has chunks of the body. The next piece is asked for when the client has taken
    the one before, and only while the caller may still send the query. A handler must not hold a
    connection while it waits for that: `Reader` and ``stream_rows`` do not.

    ``filename`` is the name under which clients save the body; by default that of the route.
    """

    @overload
    def __init__(
        self: "Stream[bytes]", pieces: AsyncIterator[bytes], *, filename: str = ""
    ) -> None: ...
    @overload
    def __init__(self, pieces: AsyncIterator[Sequence[T_co]], *, filename: str = "") -> None: ...
    def __init__(self, pieces: AsyncIterator[Any], *, filename: str = "") -> None:
        self.pieces: AsyncIterator[Any] = aiter(pieces)
        self.filename = filename


def row_of(result: Any) -> Any:
    """The type of the pieces of a result type: ``OrderRow`` for ``Stream[OrderRow]``, else None."""
    is_stream = getattr(result, "__origin__", None) is Stream
    return result.__args__[0] if is_stream else None
