"""What processes tell one another: whose principal changed, which cached answers are stale."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Signal:
    """Users, or everyone, whose principal changed, and the tags of what caches must drop.

    One that is ``pending`` is about a change that may be committed within so many seconds; the
    one of the same ``name`` that follows says that it was.
    """

    user_ids: frozenset[UUID] = frozenset()
    everyone: bool = False
    tags: frozenset[str] = frozenset()
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


class Signals(Protocol):
    """Carries signals to every other process."""

    def listen(self, listener: SignalListener) -> None:
        """Hear what other processes say from now on."""
        ...

    async def send(self, signal: Signal) -> None:
        """Tell the others. When they cannot be reached they flush as soon as they can be."""
        ...
