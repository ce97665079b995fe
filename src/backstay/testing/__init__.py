"""The test kit, a pytest plugin: ``pytest_plugins = ["backstay.testing"]`` in ``conftest.py``.

It gives the fixtures of :mod:`backstay.testing.fixtures`: the application on a database of its
own, clients, signed-in users, a clock that stands still, captured jobs, events and mails. The
contracts of replaceable ports are in :mod:`backstay.testing.contracts`.

A ``conftest.py`` may import from it before pytest loads it: PYTEST_DONT_REWRITE.
"""

from backstay.testing.clock import FrozenClock
from backstay.testing.databases import Templates, settings_with
from backstay.testing.fixtures import (
    add,
    app,
    application,
    backstay,
    client,
    clock,
    database_kind,
    login,
    mails,
    postgres,
    replace,
    seeded_url,
    settings,
    templates,
    variables,
    work,
)
from backstay.testing.people import ADMIN_EMAIL, PASSWORD, Login, Person, client_of
from backstay.testing.plugin import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_configure_node,
    pytest_fixture_setup,
    pytest_pycollect_makeitem,
    pytest_report_header,
)
from backstay.testing.ports import free_port
from backstay.testing.waiting import eventually, until
from backstay.testing.work import Add, Mails, Work, settle, token_in

__all__ = [
    "ADMIN_EMAIL",
    "PASSWORD",
    "Add",
    "FrozenClock",
    "Login",
    "Mails",
    "Person",
    "Templates",
    "Work",
    "add",
    "app",
    "application",
    "backstay",
    "client",
    "client_of",
    "clock",
    "database_kind",
    "eventually",
    "free_port",
    "login",
    "mails",
    "postgres",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_fixture_setup",
    "pytest_pycollect_makeitem",
    "pytest_report_header",
    "replace",
    "seeded_url",
    "settings",
    "settings_with",
    "settle",
    "templates",
    "token_in",
    "until",
    "variables",
    "work",
]
