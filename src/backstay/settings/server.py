"""The settings of the server process: where it listens, whom it believes, what it takes."""

import os
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from backstay.settings.group import Also, AtMost, Group, InLocal, Kind
from backstay.settings.values import WEEK, Count, Hosts, Name, Networks, Port, Seconds, SomeSeconds


class ServerSettings(Group):
    """Where the server listens, whom it believes and how much it takes."""

    model_config = SettingsConfigDict(title="Server", env_prefix="SERVER_")

    host: Name = Field("127.0.0.1", description="Address to listen on.")
    port: Annotated[Port, Also("PORT")] = Field(8000, description="Port to listen on.")
    workers: Annotated[
        Annotated[int, Field(ge=1), AtMost(1024)] | Literal["auto"],
        Kind("whole number above 0, or auto"),
    ] = Field(1, description="Server processes; `auto` is one per processor.")
    type: Literal["granian", "uvicorn", "gunicorn"] = Field(
        "granian", description="Server that runs the application."
    )
    threads: Annotated[int, Field(ge=1), AtMost(1024)] = Field(
        1, description="Threads that do the input and output of a granian worker."
    )
    max_requests: Annotated[
        Annotated[int, Field(ge=0)], Kind("whole number"), AtMost(1_000_000_000)
    ] = Field(
        0,
        description="Requests after which a worker is replaced, or up to a tenth more; 0 is never.",
    )
    drain_seconds: Annotated[SomeSeconds, AtMost(WEEK), InLocal(0)] = Field(
        5,
        description="Seconds after a signal to stop in which `/readyz` answers 503 and requests "
        "are still served.",
    )
    timeout: Annotated[Seconds, AtMost(WEEK)] = Field(
        60, description="Seconds an idle connection is kept open."
    )
    graceful_timeout: Annotated[SomeSeconds, AtMost(WEEK)] = Field(
        30, description="Seconds that running requests get to finish when the server stops."
    )
    log: bool = Field(
        True, description="Log every request; those that fail are logged in any case."
    )
    trusted_proxies: Networks = Field(
        (),
        description="Networks of the proxies whose forwarded addresses are believed; everything "
        "(`*`, `0.0.0.0/0`, `::/0`) is refused outside `local`.",
    )
    trusted_hosts: Hosts = Field(
        (), description="Host names that are answered; empty answers every name."
    )
    max_body_bytes: Annotated[Count, AtMost(2**40)] = Field(
        2 * 1024 * 1024, description="Largest request body that is taken, in bytes."
    )

    @property
    def worker_count(self) -> int:
        """The number of server processes, with `auto` resolved to this machine's processors."""
        return (os.cpu_count() or 1) if self.workers == "auto" else self.workers
