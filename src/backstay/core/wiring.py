"""Flaws of the wiring, which keep an application from starting, and the error that lists them."""

import inspect
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple


class Code(StrEnum):
    """The kinds of wiring faults; ``docs/reference.md`` explains each."""

    APPLICATION_NAME = "application.name"
    APPLICATION_SHAPE = "application.shape"
    APPLICATION_IMPORT = "application.import"
    APPLICATION_REPLACE = "application.replace"
    APPLICATION_PROVIDE = "application.provide"
    APPLICATION_PARAMETER = "application.parameter"
    APPLICATION_ADAPTER = "application.adapter"
    TEMPLATE_FOLDER = "template.folder"
    TEMPLATE_UNREADABLE = "template.unreadable"
    TEMPLATE_NAME = "template.name"
    TEMPLATE_TWIN = "template.twin"
    TEMPLATE_SUBJECT = "template.subject"
    TEMPLATE_VALUE = "template.value"
    SERVER_TWICE = "server.twice"
    ADMIN_VIEW = "admin.view"
    ROLE_NAME = "role.name"
    ROLE_TWICE = "role.twice"
    ROLE_LEVEL = "role.level"
    ROLE_PERMISSION = "role.permission"
    MESSAGE_NO_PERMISSION = "message.no_permission"
    MESSAGE_ATTRIBUTE = "message.attribute"
    MESSAGE_NO_RESULT = "message.no_result"
    MESSAGE_NO_HANDLER = "message.no_handler"
    MESSAGE_FIELD_RESERVED = "message.field_reserved"
    MESSAGE_SOURCE_LOST = "message.source_lost"
    MESSAGE_CACHE = "message.cache"
    MESSAGE_TOUCHES = "message.touches"
    MESSAGE_RULE = "message.rule"
    MESSAGE_FRESH = "message.fresh"
    LIST_PARAMETER_TAKEN = "list.parameter_taken"
    LIST_UNDECLARED = "list.undeclared"
    LIST_NAMES = "list.names"
    LIST_COLUMN = "list.column"
    LIST_TYPE = "list.type"
    LIST_JOIN = "list.join"
    LIST_PATH = "list.path"
    LIST_NO_PERMISSION = "list.no_permission"
    LIST_UNBOUND = "list.unbound"
    PERMISSION_TWICE = "permission.twice"
    HANDLER_TWICE = "handler.twice"
    HANDLER_INSTEAD_OF = "handler.instead_of"
    HANDLER_NOT_ASYNC = "handler.not_async"
    HANDLER_UNREADABLE = "handler.unreadable"
    HANDLER_MESSAGE = "handler.message"
    HANDLER_PARAMETER = "handler.parameter"
    HANDLER_RESULT = "handler.result"
    HANDLER_PREPARES_QUERY = "handler.prepares_query"
    TARGET_UNKNOWN = "target.unknown"
    TARGET_ID = "target.id"
    TARGET_NO_PERMISSION = "target.no_permission"
    TARGET_NOT_LOCKED = "target.not_locked"
    TARGET_DELETED = "target.deleted"
    RESOURCE_TWICE = "resource.twice"
    RESOURCE_KEY = "resource.key"
    RESOURCE_VIEW = "resource.view"
    RESOURCE_TAG = "resource.tag"
    RESOURCE_OWNER = "resource.owner"
    RESOURCE_NO_OWNER = "resource.no_owner"
    EVENT_TWICE = "event.twice"
    SUBSCRIBER_NO_EVENT = "subscriber.no_event"
    SUBSCRIBER_SHAPE = "subscriber.shape"
    ROUTE_OPTION = "route.option"
    ROUTE_TWICE = "route.twice"
    ROUTE_OPERATION_TWICE = "route.operation_twice"
    ROUTE_NO_MESSAGE = "route.no_message"
    ROUTE_NO_HANDLER = "route.no_handler"
    ROUTE_PATH = "route.path"
    ROUTE_PLACEHOLDER = "route.placeholder"
    ROUTE_LOCATION = "route.location"
    ROUTE_METHOD = "route.method"
    ROUTE_STATUS = "route.status"
    ROUTE_RESULT = "route.result"
    ROUTE_LIMIT = "route.limit"
    ROUTE_LIMIT_TWICE = "route.limit_twice"
    ROUTE_STREAM = "route.stream"
    ROUTE_UPLOAD = "route.upload"
    ROUTE_NOT_LISTED = "route.not_listed"
    FEATURE_SHAPE = "feature.shape"
    FEATURE_PACKAGE = "feature.package"
    FEATURE_TWICE = "feature.twice"
    FEATURE_NOT_FOUND = "feature.not_found"
    FEATURE_FOUNDATION = "feature.foundation"
    FEATURE_EJECTED = "feature.ejected"
    FEATURE_REQUIRES_UNKNOWN = "feature.requires_unknown"
    FEATURE_REQUIRES_LATER = "feature.requires_later"
    FEATURE_REQUIRES_CIRCLE = "feature.requires_circle"
    FEATURE_REQUIRES_MISSING = "feature.requires_missing"
    FEATURE_MODULE_NOT_LISTED = "feature.module_not_listed"
    FEATURE_MODULE_TWICE = "feature.module_twice"
    FEATURE_MESSAGE_UNHANDLED = "feature.message_unhandled"
    FEATURE_EXPORT = "feature.export"
    COMMAND_NAME_TWICE = "command.name_twice"
    SCHEDULE_TWICE = "schedule.twice"
    SCHEDULE_COMMAND = "schedule.command"
    TASK_TWICE = "task.twice"
    TASK_COMMAND = "task.command"
    SETTINGS_GROUP = "settings.group"
    SETTINGS_PREFIX = "settings.prefix"
    SETTINGS_PREFIX_TWICE = "settings.prefix_twice"
    SETTINGS_VARIABLE_TWICE = "settings.variable_twice"
    SETTINGS_ALIAS = "settings.alias"
    TABLE_TWICE = "table.twice"
    TABLE_MISSING = "table.missing"
    TABLE_COLUMN_MISSING = "table.column_missing"


class Place(NamedTuple):
    """A place in the source code. ``module`` is the dotted name of the file."""

    file: str
    line: int
    module: str = ""

    def __str__(self) -> str:
        """``file:line``; the path is relative if the file is below the working directory."""
        file = Path(self.file)
        if file.is_relative_to(here := Path.cwd()):
            file = file.relative_to(here)
        return f"{file}:{self.line}"

    @classmethod
    def of(cls, thing: Any) -> "Place":
        """Where a class, a function, or an object with a ``place`` is written.

        It reads source files, so it is called only for things that are wrong.
        """
        place = getattr(thing, "place", None)
        if isinstance(place, cls):
            return place
        if inspect.isfunction(thing):
            code = getattr(inspect.unwrap(thing), "__code__", thing.__code__)
            return cls(code.co_filename, code.co_firstlineno, thing.__module__)
        module = sys.modules.get(str(getattr(thing, "__module__", "")))
        file = getattr(module, "__file__", None) or f"<{getattr(thing, '__module__', 'unknown')}>"
        try:
            return cls(file, inspect.findsource(thing)[1] + 1)
        except TypeError:  # an object; its class says more than nothing
            return cls(file, 1) if isinstance(thing, type) else cls.of(type(thing))
        except OSError:
            return cls(file, 1)

    @classmethod
    def of_caller(cls, *helpers: str) -> "Place":
        """The place of the first caller outside of this file, the calling one and the ``helpers``.

        ``helpers`` are names of files. Generated code, which has no file, is skipped, too.
        """
        frame = sys._getframe(1)
        passed = {frame.f_code.co_filename, __file__, *helpers}
        while frame.f_back is not None and (
            frame.f_code.co_filename in passed or frame.f_code.co_filename.startswith("<")
        ):
            frame = frame.f_back
        return cls(frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__", ""))


class Flaw(NamedTuple):
    """What is wrong with the wiring, and how to correct it; ``where`` is its place, once known."""

    code: Code
    problem: str
    hint: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.code}  {self.where}  {self.problem} {self.hint}"

    def of(self, thing: Any) -> "Flaw":
        """The same flaw at the place of a class, function or table."""
        return self._replace(where=str(Place.of(thing)))


class BootError(Exception):
    """The application has wiring faults and must not start; ``faults`` holds all of them."""

    def __init__(self, faults: Iterable[Flaw]) -> None:
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))
