"""An operation of the API, as the console shows it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, get_args

from backstay.core.bus import is_personal
from backstay.core.introspection import fields_of
from backstay.core.listing import ListQuery
from backstay.core.messages import Message, View, argument_of
from backstay.core.permissions import SYSTEM_ONLY, PermissionSpec, Source
from backstay.core.principal import Principal
from backstay.web.dispatch import Route

PARAMETER = re.compile(r"\{(\w+)[^}]*\}")


def may_send(principal: Principal, message: type[Message[Any]]) -> bool:
    """Whether a principal holds what a message asks for; its rules may still refuse it."""
    if principal.actor_id is not None and is_personal(message):
        return False
    policy = message.permission
    if isinstance(policy, PermissionSpec):
        return principal.grant(policy.key) is not None
    return policy is not SYSTEM_ONLY


_WRITTEN = {
    "id": "ID",
    "ids": "IDs",
    "api": "API",
    "url": "URL",
    "email": "e-mail",
    "bulk": "bulk action",
}
"""Words that people write in another way than code does."""


@lru_cache(1000)
def words(name: str) -> str:
    """A name in code as people write it: ``RateLimits`` is `Rate limits`, ``is_blocked`` `Blocked`.

    What ends in `Me` is about one's own account.
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.removeprefix("is_"))
    found = re.split(r"[\s_-]+", spaced.strip().lower())
    if found[-1] == "me":
        found[-1:] = ["my", "account"]
    text = " ".join(_WRITTEN.get(each, each) for each in found)
    return text[:1].upper() + text[1:]


@dataclass(frozen=True, eq=False)
class Operation:
    """A row of a route table, as far as the console needs it; ``path`` is without the prefix."""

    route: Route
    path: str

    @cached_property
    def message(self) -> type[Message[Any]]:
        """The message that it sends."""
        return self.route.spec.message

    @cached_property
    def id(self) -> str:
        """Its operation id."""
        return self.route.spec.operation_id

    @cached_property
    def method(self) -> str:
        """The HTTP method of the API's route."""
        return self.route.spec.method

    @cached_property
    def title(self) -> str:
        """What a button says."""
        return words(self.message.__name__)

    @cached_property
    def about(self) -> str:
        """The description of the message."""
        return " ".join((self.message.__doc__ or "").split())

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the path."""
        return tuple(PARAMETER.findall(self.path))

    @cached_property
    def template(self) -> str:
        """The path with every parameter as ``{}``."""
        return PARAMETER.sub("{}", self.path)

    @cached_property
    def listing(self) -> type[ListQuery[Any]] | None:
        """The message as one of a list with pages and filters, which it may not be."""
        return self.message if issubclass(self.message, ListQuery) else None

    @property
    def is_list(self) -> bool:
        """Whether it is a list with pages and filters."""
        return self.listing is not None

    @cached_property
    def view(self) -> type[View] | None:
        """The view of each row of a list."""
        return argument_of(self.message, ListQuery) if self.is_list else None

    @cached_property
    def items(self) -> type[View] | None:
        """The view of each row of an answer such as ``{"items": […]}``, which has no pages."""
        fields = getattr(self.message.result_type(), "model_fields", {})
        if self.is_list or list(fields) != ["items"]:
            return None
        found = next(iter(get_args(fields["items"].annotation)), None)
        return found if isinstance(found, type) and issubclass(found, View) else None

    @cached_property
    def filters(self) -> tuple[str, ...]:
        """The filters of a list."""
        return () if self.listing is None else tuple(self.listing.filters())

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The fields of query and body without which it cannot be sent."""
        return tuple(
            each.name
            for each in fields_of(self.message)
            if each.required and each.source is not Source.PATH and "." not in each.name
        )

    def filled(self, values: Mapping[str, Any]) -> str:
        """The path with values in place of its parameters."""
        return PARAMETER.sub(lambda found: str(values[found[1]]), self.path)
