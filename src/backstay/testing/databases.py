"""Databases for tests: migrated and seeded once per run, and copied for each test."""

import fcntl
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import anyio

from backstay.application import PACKAGED, Application
from backstay.composition import seed
from backstay.db import migrate
from backstay.settings import ConfigurationError, Settings
from backstay.settings.schema import Schema
from backstay.testing.people import ADMIN_EMAIL, PASSWORD
from backstay.testing.postgres_server import PostgresServer


class Templates:
    """Databases that are migrated and seeded once per run, and copied for each test."""

    def __init__(
        self,
        folder: Path,
        server: Callable[[], PostgresServer],
        application: Application = PACKAGED,
    ) -> None:
        self._application = application
        self._folder = folder
        self._server = server

    def copy(
        self,
        kind: str,
        folder: Path,
        name: str = "test.db",
        variables: Mapping[str, str] | None = None,
    ) -> tuple[str, Callable[[], None]]:
        """The URL of a copy and what removes it; a file gets that name in the folder.

        The first call makes the template. Of the ``variables`` it uses those of the project's own
        groups of settings, of which some may be required; the others belong to single tests.
        """
        if kind == "sqlite":
            target = folder / name
            shutil.copy(urlsplit(self._template(kind, variables or {})).path, target)
            return f"sqlite:///{target}", lambda: None
        server = self._server()
        url = server.create_database(template=self._template(kind, variables or {}))
        return url, lambda: server.drop_database(url)

    def _template(self, kind: str, variables: Mapping[str, str]) -> str:
        """The URL of the template, made by whichever test process needs it first."""
        made = self._folder / kind
        with (self._folder / f"{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                file = self._folder / f"{kind}.db"
                url = f"sqlite:///{file}" if kind == "sqlite" else self._server().create_database()
                anyio.run(self._prepare, url, self._own(variables))
                made.write_text(url)
        return made.read_text()

    def _own(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The variables of the project's own groups of settings."""
        schema = Schema.of(self._application.settings)
        own = {name for variable in schema.added for name in variable.names}
        return {name: value for name, value in variables.items() if name in own}

    async def _prepare(self, url: str, variables: Mapping[str, str]) -> None:
        settings = settings_with(url, self._folder, self._application, **variables)
        backstay = self._application.compose(settings)
        try:
            await migrate.upgrade(backstay.database.options, histories=self._application.histories)
            await seed(backstay)
        finally:
            await backstay.close()


def settings_with(
    url: str, folder: Path, application: Application = PACKAGED, /, **variables: str
) -> Settings:
    """Settings for a test: quiet, without rate limits, with a known administrator.

    Neither the environment nor an `.env` is read; files are written below ``folder``.
    """
    environ = {
        "DB_URL": url,
        "ADMIN_EMAIL": ADMIN_EMAIL,
        "ADMIN_PASSWORD": PASSWORD,
        "RATE_LIMIT_ENABLED": "false",
        "SERVER_MAX_WAIT": "0",
        "SERVER_LOG": "false",
        "LOG_DIR": "",
        "LOG_ACTIVITY_DAYS": "0",
        "MAIL_DIR": str(folder / "mail"),
        "DB_READ_TIMEOUT": "300",  # a busy machine has time
        **variables,
    }
    try:
        return application.load_settings(environ, folder)
    except ConfigurationError as error:
        error.add_note("Tests read no environment: give settings in the fixture `variables`.")
        raise
