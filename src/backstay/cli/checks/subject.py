"""What the checks look at: the project, its application, its settings and what they name."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from backstay.application import PACKAGED, Application, application_in_use
from backstay.core.masking import HIDDEN, without_secrets
from backstay.core.wiring import BootError
from backstay.db.migrations.runner import PLATFORM, Histories
from backstay.db.options import EngineOptions
from backstay.settings import ConfigurationError, Loaded, Settings
from backstay.settings.fields import SettingsGroup
from backstay.settings.groups.db import DatabaseUrl
from backstay.settings.groups.redis import RedisUrl
from backstay.settings.project import find_project

if TYPE_CHECKING:
    from backstay.composition import Backstay
    from backstay.db.database import Database

_SHORTEST_SECRET = 6
"""Characters; a shorter text may be a word of a sentence, which its mask would give away."""


Problems = tuple[tuple[str, str], ...]
"""Causes, each with what to do."""


class Subject:
    """The project here and what it uses, as far as that can be read.

    Attributes:
        root: the folder of the project; None where there is none.
        application: None where it cannot be loaded; the settings are then those of the package.
        loaded: the settings; None where not even the folder of the project can be read.
        problems: why the application or the folder cannot be read, each with what to do.
        backstay: the application, wired; None where that is impossible.
    """

    def __init__(
        self,
        loaded: Loaded | None,
        application: Application | None = None,
        root: Path | None = None,
        problems: Problems = (),
    ) -> None:
        self.loaded, self.application, self.root = loaded, application, root
        self.problems = problems
        self.backstay: Backstay | None = None
        self._secrets = sorted(_secrets(loaded.draft), key=len, reverse=True) if loaded else []

    @classmethod
    def here(cls) -> "Subject":
        """What the working directory, the environment and `BACKSTAY_APP` name."""
        try:
            project = find_project(Path.cwd())
        except ConfigurationError as error:
            return cls(None, problems=_of_settings(error))
        root = project.root if project else None
        try:
            application = application_in_use()
            return cls(application.read_settings(), application, root)
        except ConfigurationError as error:
            problems = _of_settings(error)
        except BootError as error:
            problems = _of_wiring(error)
        return cls(PACKAGED.read_settings(), None, root, problems)

    def compose(self) -> None:
        """Wire the application, if its settings are sound; what keeps it from that is a problem."""
        if self.application is None or self.loaded is None or self.loaded.settings is None:
            return
        try:
            self.backstay = self.application.compose(self.loaded.settings, for_requests=False)
        except BootError as error:
            self.problems = _of_wiring(error)

    @property
    def settings(self) -> Settings:
        """The settings, with defaults in place of faulty ones.

        Raises:
            LookupError: they cannot be read; a check that says what it reads is not run then.
        """
        if self.loaded is None:
            raise LookupError("the settings cannot be read")
        return self.loaded.draft

    @property
    def is_local(self) -> bool:
        """Whether this is a developer's machine."""
        return self.settings.is_local

    @cached_property
    def options(self) -> EngineOptions:
        """How to connect to the database."""
        return EngineOptions.of(self.settings)

    @property
    def database(self) -> "Database":
        """The database: that of the application, where there is one."""
        return self.backstay.database if self.backstay else self._database

    @cached_property
    def _database(self) -> "Database":
        from backstay.db.database import Database

        return Database(self.options)

    @property
    def histories(self) -> Histories:
        """The histories of migrations that the database follows."""
        return self.application.histories if self.application else (PLATFORM,)

    def reads_faulty(self, prefixes: tuple[str, ...]) -> bool:
        """Whether settings with one of these prefixes are faulty, or cannot be read at all."""
        if not prefixes:
            return False
        faulty = self.loaded.faulty if self.loaded else {"ENVIRONMENT"}
        return any(name.startswith(("ENVIRONMENT", *prefixes)) for name in faulty)

    def hide(self, text: str) -> str:
        """A text without the secrets of the settings."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    async def close(self) -> None:
        """Close every connection."""
        if self.backstay is not None:
            await self.backstay.close()
        if "_database" in self.__dict__:
            await self._database.dispose()


def _of_settings(error: ConfigurationError) -> Problems:
    return tuple((f"{each.variable} {each.wrong}.", each.hint) for each in error.errors)


def _of_wiring(error: BootError) -> Problems:
    """The faults; of an exception of the project's own, the text may hold a secret."""
    return tuple(
        (without_secrets(f"{each.where}: {each.problem} ({each.code})"), each.hint)
        for each in error.faults
    )


def _secrets(settings: Settings) -> Iterator[str]:
    """The texts of secret settings, and the passwords in addresses."""
    for text in (*_texts(settings), *_passwords(settings)):
        if len(text) >= _SHORTEST_SECRET:
            yield text


def _texts(settings: Settings) -> Iterator[str]:
    groups = (each for _, each in settings if isinstance(each, SettingsGroup))
    for group in (*settings.added, *groups):
        for _, value in group:
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, SecretStr) and not isinstance(each, DatabaseUrl | RedisUrl):
                    yield each.get_secret_value()


def _passwords(settings: Settings) -> Iterator[str]:
    db, redis = settings.db, settings.redis
    for url in filter(None, (db.url, db.replica_url, settings.backup.db_url)):
        yield str(url.parsed.password or "")
        yield from (str(each) for name, each in url.parsed.query.items() if "pass" in name)
    for address in (redis.address, redis.cache_address, redis.rate_limit_address):
        yield (address and address.password) or ""
    if settings.queue.url is not None:
        yield unquote(urlsplit(settings.queue.url.get_secret_value()).password or "")
