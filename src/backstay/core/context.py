"""What travels with a message through the pipeline: its sender, origin and transaction."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from backstay.core.caching import CacheTags
from backstay.core.idempotency import IdempotencyKey
from backstay.core.jobs import JobRun
from backstay.core.messages import Command, Message
from backstay.core.principal import SYSTEM, UNLIMITED, Grant, Principal
from backstay.core.representation import Preconditions

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Device:
    """A browser as its cookie tells it from others; ``is_new`` if it is about to get the cookie."""

    id: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message came from. ``address`` is the client's, after trusted proxies.

    ``traceparent`` is that of the hop (W3C Trace Context); ``job`` the one that sends it, if any;
    ``device`` is known of whoever signs in with a browser.
    """

    request_id: str = ""
    address: str = ""
    user_agent: str = ""
    preconditions: Preconditions = field(default_factory=Preconditions)
    idempotency: IdempotencyKey | None = None
    traceparent: str = ""
    job: JobRun | None = None
    device: Device | None = None


class PrincipalChanges:
    """The principals that a command changes; they are re-read after its commit.

    ``announced_as`` names them where they are told of before and after it.
    """

    __slots__ = ("announced_as", "everyone", "user_ids")

    def __init__(self) -> None:
        self.user_ids: set[UUID] = set()
        self.everyone = False
        self.announced_as = ""

    def __bool__(self) -> bool:
        return self.everyone or bool(self.user_ids)

    def touch(self, *user_ids: UUID) -> None:
        """These users' profile, roles, sessions or state change."""
        self.user_ids.update(user_ids)

    def touch_everyone(self) -> None:
        """Something that any principal may be built from changes: a role, a grant."""
        self.everyone = True


class ActivityNote:
    """What a handler adds to the row that the audit trail keeps of its command.

    A nested message has no row: its note passes whom it is about on to the ``outer`` one.
    """

    __slots__ = ("_outer", "session_id", "skipped", "user_id")

    def __init__(self, outer: "ActivityNote | None" = None) -> None:
        self._outer = outer
        self.user_id: UUID | None = None
        self.session_id: UUID | None = None
        self.skipped = False

    def about(self, user_id: UUID, session_id: UUID | None = None) -> None:
        """The stranger who sent the command names this account; also when it is then refused."""
        self.user_id, self.session_id = user_id, session_id
        if self._outer is not None:
            self._outer.about(user_id, session_id)

    def skip(self) -> None:
        """Nothing happened: a command that succeeds leaves no row."""
        self.skipped = True


@dataclass(slots=True)
class UnitOfWork:
    """The transaction of a command and of whatever its handler sends, and what goes with it.

    ``writes`` are statements, with their parameters, that end it. ``before_commit`` is done when
    nothing else is left to write, ``after_commit`` once it is committed. ``in_sequence`` are new
    jobs that wait for one another.
    """

    transaction: Any
    changes: PrincipalChanges = field(default_factory=PrincipalChanges)
    tags: CacheTags = field(default_factory=CacheTags)
    writes: list[tuple[Any, Mapping[str, Any]]] = field(default_factory=list)
    before_commit: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    in_sequence: list[UUID] = field(default_factory=list)
    after_commit: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


@dataclass(slots=True)
class Context:
    """One message under way.

    ``unit_of_work`` is set as soon as there is a transaction. ``shared_result`` says that the
    answer will be given to others, later.
    """

    message: Message[Any]
    principal: Principal
    origin: Origin
    sender: "Sender"
    grant: Grant = UNLIMITED
    prepared: Any = None
    unit_of_work: UnitOfWork | None = None
    note: ActivityNote = field(default_factory=ActivityNote)
    activity: Mapping[str, Any] | None = None
    shared_result: bool = False

    @property
    def unit(self) -> UnitOfWork:
        """The unit of work that it is part of.

        Raises:
            LookupError: there is none, as outside of the transaction of a command.
        """
        if self.unit_of_work is None:
            raise LookupError("no transaction is open")
        return self.unit_of_work

    @property
    def is_nested(self) -> bool:
        """Whether another message's handler sent it."""
        return self.sender.parent is not None


class Sends(Protocol):
    """A bus: it runs the pipeline of a message."""

    async def send(self, context: Context) -> Any:
        """The result of the context's message."""
        ...


class Buses(NamedTuple):
    """The bus of commands and that of queries."""

    commands: Sends
    queries: Sends


class Sender:
    """Sends messages on behalf of one principal; the only way into the application.

    A handler that takes a ``Sender`` sends further messages inside its own transaction.
    """

    __slots__ = ("_buses", "origin", "parent", "principal")

    def __init__(
        self,
        buses: Buses,
        principal: Principal,
        origin: Origin | None = None,
        parent: Context | None = None,
    ) -> None:
        self._buses = buses
        self.principal = principal
        self.origin = origin or Origin()
        self.parent = parent

    async def __call__(self, message: Message[R]) -> R:
        """Send a message and return its result.

        Raises:
            AppError: the message was refused.
        """
        result: R = await self.send(self._context(message))
        return result

    async def send(self, context: Context) -> Any:
        """Send a message by a context that its sender made, and return its result.

        Raises:
            AppError: the message was refused.
        """
        is_command = isinstance(context.message, Command)
        return await (self._buses.commands if is_command else self._buses.queries).send(context)

    def _context(self, message: Message[Any]) -> Context:
        if self.parent is None:
            return Context(message, self.principal, self.origin, self)
        return Context(
            *(message, self.principal, self.origin, self),
            unit_of_work=self.parent.unit_of_work,
            note=ActivityNote(self.parent.note),
            shared_result=self.parent.shared_result,
        )

    def inside(self, context: Context) -> "Sender":
        """A sender whose messages join the transaction of a message under way."""
        return Sender(self._buses, context.principal, context.origin, context)

    def as_system(self) -> "Sender":
        """A sender that asks as the application itself."""
        return Sender(self._buses, SYSTEM, self.origin, self.parent)
