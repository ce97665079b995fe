"""The settings of the server: address, processes, limits and caches."""

import os
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from backstay.settings.fields import (
    MONTH,
    WEEK,
    YEAR,
    Count,
    Hosts,
    Name,
    Networks,
    Port,
    Seconds,
    Setting,
    SettingsGroup,
    SomeSeconds,
)


class ServerSettings(SettingsGroup, title="Server"):
    """Where the server listens, whom it believes and how much it takes."""

    env_prefix: ClassVar = "SERVER_"

    host: Name = Field("127.0.0.1", description="Address to listen on.")
    port: Annotated[Port, Setting(also="PORT")] = Field(8000, description="Port to listen on.")
    workers: Annotated[
        Annotated[int, Field(ge=1), Setting(at_most=1024)] | Literal["auto"],
        Setting(kind="whole number above 0, or auto"),
    ] = Field(1, description="Server processes; `auto` is one per processor.")
    type: Literal["granian", "uvicorn", "gunicorn"] = Field(
        "granian", description="Server that runs the application."
    )
    threads: Annotated[int, Field(ge=1), Setting(at_most=1024)] = Field(
        1, description="Threads that do the input and output of a granian worker."
    )
    max_requests: Annotated[
        int, Field(ge=0), Setting(kind="whole number", at_most=1_000_000_000)
    ] = Field(
        0,
        description="Requests after which a worker is replaced, or up to a tenth more; 0 is never.",
    )
    max_wait: Annotated[SomeSeconds, Setting(at_most=WEEK)] = Field(
        1,
        description="Seconds within which a worker that has too much to do answers what it takes; "
        "the rest is refused with 503 (`overloaded`). 0 refuses nothing.",
    )
    drain_seconds: Annotated[SomeSeconds, Setting(at_most=WEEK, in_local=0)] = Field(
        5,
        description="Seconds after a signal to stop in which `/readyz` answers 503 and requests "
        "are still served.",
    )
    timeout: Annotated[Seconds, Setting(at_most=WEEK)] = Field(
        60, description="Seconds an idle connection is kept open."
    )
    graceful_timeout: Annotated[SomeSeconds, Setting(at_most=WEEK)] = Field(
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
    max_body_bytes: Annotated[Count, Setting(at_most=2**40)] = Field(
        2 * 1024 * 1024, description="Largest request body that is taken, in bytes."
    )

    @property
    def worker_count(self) -> int:
        """The number of server processes, with `auto` resolved to this machine's processors."""
        return (os.cpu_count() or 1) if self.workers == "auto" else self.workers


class RateLimitSettings(SettingsGroup, title="Rate limits"):
    """The limit for callers to whom no other rule applies."""

    env_prefix: ClassVar = "RATE_LIMIT_"

    enabled: bool = Field(True, description="Count requests and refuse those above the limit.")
    default: Annotated[Count, Setting(at_most=1_000_000_000)] = Field(
        100, description="Requests allowed per period."
    )
    period: Annotated[Seconds, Setting(at_most=YEAR)] = Field(
        60, description="Length of the period in seconds."
    )


class CacheSettings(SettingsGroup, title="Cache"):
    """What the server keeps of its answers."""

    env_prefix: ClassVar = "CACHE_"

    ttl_seconds: Annotated[SomeSeconds, Setting(at_most=MONTH)] = Field(
        30, description="How long an answer that may be kept is kept, unless it says; 0 keeps none."
    )


class ClientCacheSettings(SettingsGroup, title="Cache of clients"):
    """What clients may keep of their answers."""

    env_prefix: ClassVar = "CLIENT_CACHE_"

    max_age: Annotated[SomeSeconds, Setting(at_most=YEAR)] = Field(
        30,
        description="Seconds for which clients may keep an answer that allows it, without asking "
        "again; 0 allows none.",
    )
