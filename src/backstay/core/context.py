"""The context of a message in the pipeline: its sender, origin and transaction."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from backstay.core.idempotency import IdempotencyKey
from backstay.core.jobs import JobRun
from backstay.core.messages import Message
from backstay.core.principal import SYSTEM, UNLIMITED, Grant, Principal
from backstay.core.representation import NO_PRECONDITIONS, Preconditions

R = TypeVar("R")


class Origin(NamedTuple):
    """Where a message came from. ``address`` is the client's, as seen behind trusted proxies.

    ``traceparent`` is that of this hop (W3C Trace Context). ``job`` is the job that sends the
    message, if any. ``device_id`` identifies the browser that signs in, by a cookie; with
    ``device_is_new`` the response sets that cookie. ``operator`` is the person at a command line
    who sends the message, as the principal or as the application; empty for all others.
    """

    request_id: str = ""
    address: str = ""
    user_agent: str = ""
    preconditions: Preconditions = NO_PRECONDITIONS
    idempotency: IdempotencyKey | None = None
    traceparent: str = ""
    job: JobRun | None = None
    device_id: str = ""
    device_is_new: bool = False
    operator: str = ""

    @property
    def is_request(self) -> bool:
        """Whether a client sends it now, by HTTP or on a WebSocket: neither a job nor a process."""
        return self.job is None and bool(self.request_id or self.address)


class PrincipalChanges:
    """The principals that a command changes; caches drop them after its commit.

    ``announced_as`` is the name of the change where it is published before and after the commit.
    """

    __slots__ = ("announced_as", "everyone", "user_ids")

    def __init__(self) -> None:
        self.user_ids: set[UUID] = set()
        self.everyone = False
        self.announced_as = ""

    def __bool__(self) -> bool:
        return self.everyone or bool(self.user_ids)

    def touch(self, *user_ids: UUID) -> None:
        """Note that the profile, roles, sessions or state of these users change."""
        self.user_ids.update(user_ids)

    def touch_everyone(self) -> None:
        """Note a change that may concern any principal: that of a role or a grant."""
        self.everyone = True


class CacheTags:
    """What a command invalidates: after its commit, and not at all after a rollback."""

    __slots__ = ("_later", "keys", "patterns", "tags")

    def __init__(self) -> None:
        self._later: list[Callable[[], Iterable[str]]] = []
        self.tags: set[str] = set()
        self.keys: set[str] = set()
        self.patterns: set[str] = set()

    def touch(self, *tags: str) -> None:
        """Invalidate what is cached with one of these tags."""
        self.tags.update(tags)

    def touch_later(self, tags: Callable[[], Iterable[str]]) -> None:
        """Invalidate tags that depend on what the rows hold after the commit."""
        self._later.append(tags)

    def forget(self, *keys: str) -> None:
        """Invalidate what is cached under these keys."""
        self.keys.update(keys)

    def forget_matching(self, *patterns: str) -> None:
        """Invalidate what is cached under keys like these; see ``Cache.delete_matching``."""
        self.patterns.update(patterns)

    def take(self) -> tuple[set[str], set[str], set[str]]:
        """Remove and return the tags, keys and patterns collected so far."""
        for tags in self._later:
            self.tags.update(tags())
        taken = self.tags, self.keys, self.patterns
        self._later = []
        self.tags, self.keys, self.patterns = set(), set(), set()
        return taken


class ActivityNote:
    """What a handler adds to the audit trail's row about its command.

    A nested message has no row: its note passes the account on to the ``outer`` note.
    """

    __slots__ = ("_outer", "session_id", "skipped", "user_id")

    def __init__(self, outer: "ActivityNote | None" = None) -> None:
        self._outer = outer
        self.user_id: UUID | None = None
        self.session_id: UUID | None = None
        self.skipped = False

    def about(self, user_id: UUID, session_id: UUID | None = None) -> None:
        """Note the account that an anonymous client names; it is recorded after a refusal, too."""
        self.user_id, self.session_id = user_id, session_id
        if self._outer is not None:
            self._outer.about(user_id, session_id)

    def skip(self) -> None:
        """Write no row if the command succeeds, because nothing happened."""
        self.skipped = True


Write = tuple[Any, Mapping[str, Any]]
"""A statement and its parameters."""


def _already_open(_: object) -> None:
    """For a unit of work that is made with its session."""


class Guard(NamedTuple):
    """A change of one row, on which a unit of work depends: without it nothing is committed.

    ``change`` changes no row if somebody else has changed it before. For many guards at once,
    ``holding`` is a query with the parameter ``ids`` that locks the rows which can be changed, and
    returns their keys. ``key`` is the one of this guard; its first part is the id. ``broken`` is
    raised where the row cannot be changed.
    """

    change: Write
    holding: Any
    key: tuple[Any, ...]
    broken: BaseException


@dataclass(slots=True)
class UnitOfWork:
    """The transaction of a command and of the messages its handler sends, with what belongs to it.

    ``opened`` is the session of the transaction, once somebody has asked for it; ``open`` makes it.
    ``pending`` are statements, with their parameters, that are executed before any other of the
    session. ``before_commit`` are called when the handler is done, after the session's changes were
    flushed. ``writes`` are executed right before the commit, if the ``guard`` holds.
    ``after_commit`` are called once it has succeeded. ``in_sequence`` are the ids of new jobs that
    belong to sequences.
    """

    opened: Any = None
    changes: PrincipalChanges = field(default_factory=PrincipalChanges)
    tags: CacheTags = field(default_factory=CacheTags)
    open: "Callable[[UnitOfWork], Any]" = _already_open
    pending: list[Write] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    guard: Guard | None = None
    before_commit: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    in_sequence: list[UUID] = field(default_factory=list)
    after_commit: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    @property
    def transaction(self) -> Any:
        """The session of the transaction, which begins when it is used."""
        if self.opened is None:
            self.opened = self.open(self)
        return self.opened


@dataclass(slots=True)
class Context:
    """One message in the pipeline.

    ``unit_of_work`` is set as soon as there is a transaction. ``shared_result`` says that the
    result will be cached and given to others.
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
    def renders(self) -> bool:
        """Whether its sender wants the result of a query only to send it to a client."""
        return False

    @property
    def unit(self) -> UnitOfWork:
        """The unit of work that the message is part of.

        Raises:
            LookupError: there is none: the message is not sent in the transaction of a command.
        """
        if self.unit_of_work is None:
            raise LookupError("no transaction is open")
        return self.unit_of_work

    @property
    def author_id(self) -> UUID | None:
        """The user who writes; if an anonymous client names an account, as when it signs in, that
        of the account."""
        return self.principal.user_id or self.note.user_id

    @property
    def is_nested(self) -> bool:
        """Whether the handler of another message has sent it."""
        return self.sender.parent is not None


class Sender:
    """Sends messages on behalf of one principal; the only way into the application.

    A handler that takes a ``Sender`` sends further messages inside its own transaction. ``send``
    is that of the bus: it sends the message of a prepared context and returns its result.
    """

    __slots__ = ("origin", "parent", "principal", "send")

    def __init__(
        self,
        send: Callable[[Context], Awaitable[Any]],
        principal: Principal,
        origin: Origin | None = None,
        parent: Context | None = None,
    ) -> None:
        self.send = send
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
        """A sender whose messages join the transaction of a context."""
        return Sender(self.send, context.principal, context.origin, context)

    def as_system(self) -> "Sender":
        """A sender whose principal is the application itself."""
        return Sender(self.send, SYSTEM, self.origin, self.parent)
