"""Makes what a project puts in place of adapters, and checks it against the ports."""

import inspect
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from typing_extensions import get_protocol_members, is_protocol

from backstay.core.mail import Mailer, MailTemplates, MailTokens
from backstay.core.ports import AccessTokens, BreachedPasswords, Cache, Clock, RefreshTokens
from backstay.core.rates import Limiter
from backstay.core.signatures import hints_of
from backstay.core.wiring import BootError, Code, Flaw
from backstay.settings import Settings
from backstay.settings.fields import SettingsGroup

REPLACEABLE: tuple[type[Any], ...] = (
    AccessTokens,
    BreachedPasswords,
    Cache,
    Limiter,
    Mailer,
    MailTemplates,
    MailTokens,
    RefreshTokens,
)
"""The ports that a project can fill with adapters of its own."""


class Replacements:
    """What a project replaces and provides, made once, by type.

    Faults of the mappings themselves have no place here; `Application` knows it.
    """

    def __init__(
        self,
        replace: Mapping[Any, Any],
        provide: Mapping[Any, Any],
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._known: dict[Any, Any] = {Settings: settings, Clock: clock}
        groups = (*vars(settings).values(), *settings.added)
        self._known |= {type(each): each for each in groups if isinstance(each, SettingsGroup)}
        faults = [*_not_ports(replace), *_ports(provide)]
        self.replaced = {port: self._made(port, how, faults) for port, how in replace.items()}
        for port, adapter in self.replaced.items():
            if adapter is None and not faults:
                problem = f"Nothing stands for {_name(port)}: `replace` gives None for it."
                hint = "Give an object; a function has to return it."
                faults.append(Flaw(Code.APPLICATION_ADAPTER, problem, hint))
            faults += _lacks(port, adapter)
        self._known |= self.replaced
        self.provided = {kind: self._made(kind, how, faults) for kind, how in provide.items()}
        if faults:
            raise BootError(faults)

    def get(self, port: Any) -> Any:
        """The adapter that the project puts in place of the packaged one, or None."""
        return self.replaced.get(port)

    def _made(self, kind: Any, how: Any, faults: list[Flaw]) -> Any:
        """The object itself, or what the class or function returns for what it asks."""
        if not (inspect.isclass(how) or inspect.isfunction(how)):
            return how
        if inspect.isclass(how) and is_protocol(how):
            problem = f"{_name(how)} is to stand for {_name(kind)}, and is itself a port."
            hint = "Give a class that has its methods, or an object."
            faults.append(Flaw(Code.APPLICATION_ADAPTER, problem, hint))
            return None
        hints = hints_of(how.__init__ if inspect.isclass(how) else how) or {}
        given = {}
        for parameter in inspect.signature(how).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            of = hints.get(parameter.name)
            if of in self._known:
                given[parameter.name] = self._known[of]
            elif parameter.default is parameter.empty:
                problem = (
                    f"Nobody provides the parameter `{parameter.name}` of {how.__qualname__}, "
                    f"which is to stand for {_name(kind)}."
                )
                hint = "Give it the type of a group of settings, Settings, Clock or a port. "
                hint += f"Or give an object that you make: {{{_name(kind)}: {how.__name__}(...)}}."
                faults.append(Flaw(Code.APPLICATION_PARAMETER, problem, hint).of(how))
        return how(**given) if len(faults) == 0 else None


def _not_ports(replace: Mapping[Any, Any]) -> Iterator[Flaw]:
    for port in replace:
        if port not in REPLACEABLE:
            names = ", ".join(each.__name__ for each in REPLACEABLE)
            problem = f"`replace` names {_name(port)}, which no adapter stands for."
            hint = f"Name one of {names}; or use `provide`."
            yield Flaw(Code.APPLICATION_REPLACE, problem, hint)


def _ports(provide: Mapping[Any, Any]) -> Iterator[Flaw]:
    for kind in provide:
        if kind in REPLACEABLE or (is_protocol(kind) and kind.__module__.startswith("backstay.")):
            problem = f"`provide` names {_name(kind)}, for which the package has an adapter."
            yield Flaw(Code.APPLICATION_PROVIDE, problem, "Use `replace`.")


def provided_twice(provide: Iterable[Any], taken: Container[Any]) -> Iterator[Flaw]:
    """Types that a project provides although handlers already take them, such as `Principal`."""
    for kind in provide:
        if kind in taken:
            problem = f"`provide` names {_name(kind)}, which handlers already get from the package."
            hint = "Derive a class of your own from it, and provide that."
            yield Flaw(Code.APPLICATION_PROVIDE, problem, hint)


def _lacks(port: type[Any], adapter: Any) -> Iterator[Flaw]:
    """What an adapter lacks of its port: methods, or parameters of methods."""
    if adapter is None or port not in REPLACEABLE:
        return
    for name in sorted(get_protocol_members(port)):
        wanted, found = getattr(port, name), getattr(adapter, name, None)
        wrong = _difference(wanted, found)
        if wrong is not None:
            problem = f"{_name(type(adapter))} stands for {_name(port)}, but its `{name}` {wrong}."
            hint = f"Write `{'async ' * inspect.iscoroutinefunction(wanted)}def {name}"
            hint += f"{inspect.signature(wanted)}` there."
            yield Flaw(Code.APPLICATION_ADAPTER, problem, hint).of(type(adapter))


def _difference(wanted: Any, found: Any) -> str | None:
    if found is None:
        return "is missing"
    if not callable(found):
        return "is no method"
    if inspect.iscoroutinefunction(wanted) and not inspect.iscoroutinefunction(found):
        return "is not async"
    if inspect.iscoroutinefunction(found) and not inspect.iscoroutinefunction(wanted):
        return "is async, and nobody awaits it"
    parameters = list(inspect.signature(wanted).parameters.values())[1:]
    positional = [0 for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    positional += [0 for each in parameters if each.kind is each.VAR_POSITIONAL]
    keywords = {each.name: 0 for each in parameters if each.kind is each.KEYWORD_ONLY}
    try:
        inspect.signature(found).bind(*positional, **keywords)
    except TypeError:
        return "takes other parameters"
    return None


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", None) or repr(kind)
