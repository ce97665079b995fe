"""Puts other adapters in place of those of an application, for its tests."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from backstay.application import Application
from backstay.composition.replacing import REPLACEABLE
from backstay.core.mail import Mailer
from backstay.core.ports import BreachedPasswords, Clock
from backstay.mailing.local import FileMailer
from backstay.security.breached_passwords import BreachedPasswordFiles
from backstay.settings import Settings


def kept_mails(settings: Settings, clock: Clock) -> FileMailer:
    """Keeps mails below `MAIL_DIR`, where the fixture `mails` reads them."""
    return FileMailer(Path(settings.mail.dir), settings.mail.sender_of(settings.app), clock)


def no_breaches() -> BreachedPasswordFiles:
    """Knows no passwords."""
    return BreachedPasswordFiles(None)


OUTWARD: Mapping[Any, Any] = {Mailer: kept_mails, BreachedPasswords: no_breaches}
"""By port: what tests use in place of a project's adapter, because that would call a service."""


def for_tests(application: Application, replace: Mapping[Any, Any]) -> Application:
    """The application with what ``replace`` names in place of its adapters and provided objects.

    A mailer and a source of breached passwords of the project are used only if it names them.
    """
    known = {*REPLACEABLE, *application.provide}
    for kind in replace:
        if kind not in known:
            names = ", ".join(sorted(each.__name__ for each in known))
            problem = f"The fixture `replace` names {getattr(kind, '__name__', kind)}, which"
            problem += f" {application.name} neither replaces nor provides."
            pytest.fail(f"{problem} Name one of {names}.", pytrace=False)
    ports = {kind: how for kind, how in replace.items() if kind in REPLACEABLE}
    provided = {kind: how for kind, how in replace.items() if kind not in REPLACEABLE}
    quiet = {port: how for port, how in OUTWARD.items() if port in application.replace}
    return dataclasses.replace(
        application,
        replace={**application.replace, **quiet, **ports},
        provide={**application.provide, **provided},
    )


def require_kept_mails(replace: Mapping[Any, Any]) -> None:
    """Fail a test that wants to read kept mails although it replaces what keeps them."""
    if Mailer in replace:
        problem = "The fixture `mails` reads no mails, because this test replaces Mailer."
        pytest.fail(f"{problem} Await `work.run()`, and ask what stands for it.", pytrace=False)
