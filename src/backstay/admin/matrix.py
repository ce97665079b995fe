"""Lays out what roles hold as a table of permissions and roles."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from backstay.admin.forms import PATH
from backstay.admin.operations import Operation
from backstay.admin.tables import BASE

Offered = Callable[[str], Operation | None]
"""The operation of an id, if the reader may send it."""


def matrix(data: Mapping[str, Any], offered: Offered) -> Iterator[dict[str, Any]]:
    """A row for each permission, with a cell for each role."""
    names = {
        field["id"]: f"{field['source'].lower()} {field['name']}"
        for each in data["details"]
        for field in each["fields"]
    }
    for permission in data["details"]:
        cells = [_cell(permission, role, names, offered) for role in data["roles"]]
        yield {"key": permission["key"], "description": permission["description"], "cells": cells}


def _cell(
    permission: Mapping[str, Any],
    role: Mapping[str, Any],
    names: Mapping[str, str],
    offered: Offered,
) -> dict[str, Any]:
    grant = next((e for e in role["grants"] if e["permission_id"] == permission["id"]), None)
    ids = {"role_id": role["id"], "permission_id": permission["id"]}
    about = {PATH + name: value for name, value in ids.items()}
    if role["is_superuser"] or grant is None:
        href = "" if role["is_superuser"] else _form("grant_permission", ids, offered)
        return {"is_all": role["is_superuser"], "scope": "", "href": href, "rules": []}
    return {
        "is_all": False,
        "scope": grant["scope"],
        "href": _form("change_scope", about, offered),
        "revoke": _form("revoke_permission", about, offered),
        "more": _form("add_field_rule", ids, offered) if permission["fields"] else "",
        "rules": [
            {
                "text": f"{rule['effect'].lower()} {names.get(rule['field_id'], rule['name'])}",
                "href": _form(
                    "remove_field_rule", {**about, f"{PATH}field_id": rule["field_id"]}, offered
                ),
            }
            for rule in grant["fields"]
        ],
    }


def _form(operation_id: str, values: Mapping[str, str], offered: Offered) -> str:
    """The form of a command; empty where the reader may not send it."""
    if offered(operation_id) is None:
        return ""
    return f"{BASE}/form/{operation_id}?{urlencode(values)}"
