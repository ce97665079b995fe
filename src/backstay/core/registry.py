"""The handlers of an application, checked together at boot."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from backstay.core.context import Context
from backstay.core.messages import Command, Message
from backstay.core.permissions import PermissionSpec, Policy
from backstay.core.principal import Grant
from backstay.core.representation import Preconditions
from backstay.core.signatures import flaws_of, hints_of, parameters_of, rule_flaws
from backstay.core.targets import By, Finder, Sought, matching, sought_by
from backstay.core.wiring import Code, Flaw, Place

Provider = Callable[[Context], Any]
Function = Callable[..., Awaitable[Any]]


class HandlerSource(ABC):
    """A declaration that is a handler as well; ``handler`` names its message as functions do.

    ``place`` is where it is written.
    """

    handler: Function
    place: Place

    @abstractmethod
    def own_flaws(self) -> Iterator[Flaw]:
        """What keeps it from working, whoever handles its message."""

    @abstractmethod
    def flaws(self) -> Iterator[Flaw]:
        """What keeps it from being a handler."""


class Registry:
    """Every handler and preparer of an application, by the message it is for."""

    def __init__(
        self, functions: Iterable[Callable[..., Any]], finders: Iterable[Finder] = ()
    ) -> None:
        self.faults: list[Flaw] = []
        self.hint_of: Callable[[Any], str | None] = lambda kind: None
        """How a handler gets a parameter of a type that nobody provides, where that is known."""
        self.finders: dict[Any, Finder] = {}
        self.handlers: dict[type[Message[Any]], Function] = {}
        self.preparers: dict[type[Message[Any]], Function] = {}
        replacing: list[Function] = []
        for function in filter(self._is_for_messages, functions):
            if hasattr(function, "__instead_of__"):
                replacing.append(function)
            else:
                self._add(function, "__handles__", self.handlers)
            self._add(function, "__prepares__", self.preparers)
        self._replace(replacing)
        for finder in finders:
            self._learn(finder)

    def _is_for_messages(self, function: Function) -> bool:
        """Whether a function is for messages, if it is for anything; else that is noted."""
        for mark in ("__handles__", "__prepares__"):
            message = getattr(function, mark, Message)
            if not (isinstance(message, type) and issubclass(message, Message)):
                named = getattr(message, "__name__", repr(message))
                problem = f"{_name(function)} is for {named}, which is no message class."
                hint = "Name the class that derives from Command or Query: @handles(CreateNote)."
                self.note(function, Flaw(Code.HANDLER_MESSAGE, problem, hint))
                return False
        return True

    def _learn(self, finder: Finder) -> None:
        self.note(finder, *finder.own_flaws())
        for kind in finder.kinds:
            first = self.finders.setdefault(kind, finder)
            if first is not finder:
                problem = f"Another resource at {first.place} finds the rows of {kind.__name__}."
                hint = "Declare one resource per entity and view."
                self.note(finder, Flaw(Code.RESOURCE_TWICE, problem, hint))

    def _add(self, function: Function, mark: str, into: dict[type[Message[Any]], Function]) -> None:
        message: type[Message[Any]] | None = getattr(function, mark, None)
        if message is None or into.get(message) is function:
            return
        prepares = mark == "__prepares__"
        if message in into:
            self.note(function, _rival(message, into[message], function, prepares=prepares))
        into[message] = function
        if prepares and not issubclass(message, Command):
            problem = f"{function.__qualname__} prepares a query; only commands can be prepared."
            self.note(
                function,
                Flaw(Code.HANDLER_PREPARES_QUERY, problem, "Do its work in the handler."),
            )
        self.note(function, *flaws_of(function, message, prepares=prepares))

    def _replace(self, functions: list[Function]) -> None:
        """Let functions take the places of handlers that they name, in whatever order."""
        left, replaced = list(dict.fromkeys(functions)), dict[Function, Function]()
        while ready := [each for each in left if self._handler_of(each) is _former(each)]:
            function = ready[0]
            left.remove(function)
            replaced[_former(function)] = function
            message = _message(function)
            self.handlers[message] = function
            self.note(function, *flaws_of(function, message, prepares=False))
        for function in left:
            rival, message = replaced.get(_former(function)), _message(function)
            if rival is not None:
                self.note(function, _rival(message, rival, function, prepares=False))
                continue
            present = self._handler_of(function)
            who = "nobody" if present is None else _name(present)
            places = f"{_name(function)} cannot take the place of {_name(_former(function))}"
            problem = f"{places}: {who} handles {message.__name__}."
            hint = "Name the present handler of the message, and list the feature that has it."
            self.note(function, Flaw(Code.HANDLER_INSTEAD_OF, problem, hint))

    def _handler_of(self, function: Function) -> Function | None:
        """What handles the message of a function now."""
        return self.handlers.get(_message(function))

    def note(self, thing: Any, *flaws: Flaw) -> None:
        """Add the faults of a thing; each is at its place unless it names another."""
        self.faults += [flaw if flaw.where else flaw.of(thing) for flaw in flaws]

    def check(self, messages: Iterable[type[Message[Any]]]) -> None:
        """Note the faults of messages: no policy, no handler, or a contradiction to another one.

        Messages of registered handlers are checked, too, in whatever module they are.
        """
        specs: dict[str, tuple[PermissionSpec, type[Message[Any]]]] = {}
        for message in dict.fromkeys((*messages, *self.handlers, *self.preparers)):
            self.note(message, *_policy_flaws(message, specs), *_own_flaws(message))
            if message not in self.handlers:
                problem = f"{message.__name__} has no handler."
                hint = f"Write one with `@handles({message.__name__})`, or remove the message."
                self.note(message, Flaw(Code.MESSAGE_NO_HANDLER, problem, hint))

    def provided(
        self,
        message: type[Message[Any]],
        function: Function,
        providers: Mapping[Any, Provider],
    ) -> tuple[Provider, ...]:
        """The providers of a function's parameters, by type; parameters without one are noted.

        A message without a permission has no grant, so its handler cannot take a ``Grant``.
        """
        has_grant = isinstance(message.permission, PermissionSpec)
        targets = sought_by(function, message)
        matched = matching(targets, self.finders)
        chosen: list[Provider] = []
        for name, kind in list(parameters_of(function).items())[1:]:
            provider = providers.get(kind) if kind is not Grant or has_grant else None
            if name in targets:
                declared = self.permissions
                sought = targets[name]._replace(matches=name == matched, permissions=declared)
                chosen += self._found(function, sought, providers)
            elif provider is not None:
                chosen.append(provider)
            elif hints_of(function) is not None:
                flaw = _unprovided(message, function, name, kind)
                sought = Sought(name, kind, By(), message)
                hint = self._hint_of_row(sought, providers) or self.hint_of(kind)
                self.note(function, flaw._replace(hint=hint or flaw.hint))
        return tuple(chosen)

    def _hint_of_row(self, sought: Sought, providers: Mapping[Any, Provider]) -> str | None:
        """How a handler gets a row; None for what is no row."""
        finder = self.finders.get(sought.kind)
        if finder is None:
            return None
        for flaw in finder.flaws(sought, providers):
            if flaw.code is Code.TARGET_NOT_LOCKED:
                return flaw.hint
        return f"Write `{sought.name}: Target[{sought.kind.__name__}]`."

    def _found(
        self, function: Function, sought: Sought, providers: Mapping[Any, Provider]
    ) -> Iterator[Provider]:
        """What finds the row of a parameter, unless that cannot work, which is noted."""
        finder = self.finders.get(sought.kind)
        if finder is None:
            kind = getattr(sought.kind, "__name__", repr(sought.kind))
            problem = f"Nobody finds the {kind} that is the parameter `{sought.name}`."
            hint = "Declare a Resource with it in a module that Feature(..., __name__) finds."
            self.note(function, Flaw(Code.TARGET_UNKNOWN, problem, hint))
            return
        flaws = tuple(finder.flaws(sought, providers))
        self.note(function, *flaws)
        if not flaws and not any(finder.own_flaws()):
            yield finder.provider(sought, providers)

    @property
    def permissions(self) -> frozenset[str]:
        """The keys of the permissions that handled messages declare."""
        policies = (message.permission for message in self.handlers)
        return frozenset(each.key for each in policies if isinstance(each, PermissionSpec))

    def compares(self, message: type[Message[Any]]) -> bool:
        """Whether ``If-Match`` of a request is compared when this message is handled."""
        function = self.handlers.get(message)
        if function is None:
            return False
        taken = Preconditions in parameters_of(function).values()
        return taken or matching(sought_by(function, message), self.finders) is not None


def _message(function: Function) -> type[Message[Any]]:
    message: type[Message[Any]] = vars(function)["__handles__"]
    return message


def _former(function: Function) -> Function:
    """The handler whose place a function takes."""
    former: Function | HandlerSource = vars(function)["__instead_of__"]
    return former.handler if isinstance(former, HandlerSource) else former


def _rival(message: type[Message[Any]], first: Function, second: Function, **of: bool) -> Flaw:
    verb = "prepare" if of["prepares"] else "handle"
    both = f"{_name(first)} ({Place.of(first)}) and {_name(second)}"
    return Flaw(Code.HANDLER_TWICE, f"Both {both} {verb} {message.__name__}.", "Remove one.")


def _unprovided(message: type[Message[Any]], function: Function, name: str, kind: Any) -> Flaw:
    hint = "Give it a type that handlers of its kind receive, or provide that: "
    hint += f"Application(..., provide={{{getattr(kind, '__name__', 'Type')}: ...}})."
    if kind is Grant:
        hint = f"Let {message.__name__} declare a permission, or remove the parameter."
    kind_name = getattr(kind, "__name__", None) or repr(kind)
    if kind is None:
        problem = f"The parameter `{name}` of {function.__qualname__} has no type."
        return Flaw(Code.HANDLER_PARAMETER, problem, hint)
    problem = (
        f"Nobody provides the parameter `{name}` of {function.__qualname__}, of type {kind_name}."
    )
    return Flaw(Code.HANDLER_PARAMETER, problem, hint)


def _policy_flaws(
    message: type[Message[Any]], specs: dict[str, tuple[PermissionSpec, type[Message[Any]]]]
) -> Iterator[Flaw]:
    policy = message.__dict__.get("permission")
    if not isinstance(policy, Policy):
        problem = f"{message.__name__} does not declare `permission` in its own class body."
        if policy is not None:
            problem = f"`permission` of {message.__name__} is {policy!r}."
        hint = "Write a PermissionSpec, SIGNED_IN, SYSTEM_ONLY or PUBLIC there."
        yield Flaw(Code.MESSAGE_NO_PERMISSION, problem, hint)
    elif isinstance(policy, PermissionSpec):
        known, first = specs.setdefault(policy.key, (policy, message))
        if known != policy:
            other = f"{first.__name__} ({Place.of(first)})"
            problem = f"{policy.key} is declared differently by {other} and {message.__name__}."
            hint = "Declare it once, and name that in both."
            yield Flaw(Code.PERMISSION_TWICE, problem, hint)


@cache
def _own_flaws(message: type[Message[Any]]) -> tuple[Flaw, ...]:
    """The faults of a message alone; cached, because tests make many applications."""
    flaws = (*rule_flaws(message.__name__, message.rules), *message.flaws())
    try:
        message.result_type()
    except TypeError:
        problem = f"{message.__name__} does not say what it asks for."
        hint = "Derive it from Command or Query with the type of the result in brackets."
        return (Flaw(Code.MESSAGE_NO_RESULT, problem, hint), *flaws)
    return flaws


def _name(function: Any) -> str:
    name = getattr(function, "__qualname__", None)
    return f"{function.__module__}.{name}" if name else repr(function)
