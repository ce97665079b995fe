"""Sends messages for the person at the command line, whom the audit trail then names."""

import getpass
import os
import socket
from typing import TYPE_CHECKING

from backstay.core.clock import new_id
from backstay.core.context import Origin, Sender
from backstay.core.principal import SYSTEM, Principal

if TYPE_CHECKING:
    from backstay.composition import Backstay

MOST = 200
"""Characters of an operator's name in the audit trail."""


def operator_here() -> str:
    """The person at this command line: ``ann@host``; under sudo the one who called it."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container may run as a user without a name
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"[:MOST]


def sender_of(backstay: "Backstay", operator: str, principal: Principal = SYSTEM) -> Sender:
    """A sender whose messages the audit trail records as sent by an operator."""
    origin = Origin(request_id=new_id().hex, operator=operator[:MOST])
    return Sender(backstay.bus.send, principal, origin)
