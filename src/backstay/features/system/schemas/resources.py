"""The views of what may be asked of which resource."""

from typing import Literal

from backstay.core.introspection import MessageField
from backstay.core.messages import View
from backstay.core.permissions import Scope


class OperationEntry(View):
    """How a message is sent over HTTP; `id` is that of the OpenAPI description."""

    id: str
    method: str
    path: str


class MessageEntry(View):
    """What may be asked: at which scope, where, and with which fields.

    The paging, sorting and search of lists are the same everywhere and are not repeated. A message
    without operations is sent by others only: `EraseUser` by `DELETE /users/{id}?hard=true`.
    """

    name: str
    kind: Literal["command", "query"]
    description: str
    permission: str
    scope: Scope
    operations: tuple[OperationEntry, ...]
    fields: tuple[MessageField, ...]


class ResourceEntry(View):
    """What the caller may do to resources of one name."""

    name: str
    messages: tuple[MessageEntry, ...]


class EditableResources(View):
    """Every resource that a permission of the caller reaches, by name.

    What needs no permission (signing in, one's own profile) belongs to no resource. An object is
    left out with any of its fields, since whoever names it names them; the others are shown.
    """

    resources: tuple[ResourceEntry, ...]
