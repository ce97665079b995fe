"""What processes tell one another: whose principal changed."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Signal:
    """Users, or everyone, whose principal changed.

    One that is ``pending`` is about a change that may be committed within so many seconds; the
    one of the same ``name`` that follows says that it was.
    """

    user_ids: frozenset[UUID] = frozenset()
    everyone: bool = False
    name: str = ""
    pending: float = 0.0


class SignalListener(Protocol):
    """Hears what other processes say."""

    def heard(self, signal: Signal) -> None:
        """Another process said this."""
        ...

    def flush(self) -> None:
        """Something may have been said that was not heard."""
        ...

    def complete_until(self, moment: float) -> None:
        """Everything said before this moment (monotonic) was heard."""
        ...
