"""Databases for tests: migrated and seeded once per run, and copied for each test."""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import anyio

from backstay.application import PACKAGED, Application
from backstay.composition import seed
from backstay.db import migrate
from backstay.settings import Settings
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
        self, kind: str, folder: Path, name: str = "test.db"
    ) -> tuple[str, Callable[[], None]]:
        """The URL of a copy and what removes it; a file gets that name in the folder."""
        if kind == "sqlite":
            target = folder / name
            shutil.copy(urlsplit(self._template(kind)).path, target)
            return f"sqlite:///{target}", lambda: None
        server = self._server()
        url = server.create_database(template=self._template(kind))
        return url, lambda: server.drop_database(url)

    def _template(self, kind: str) -> str:
        """The URL of the template, made by whichever test process needs it first."""
        made = self._folder / kind
        with (self._folder / f"{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                file = self._folder / f"{kind}.db"
                url = f"sqlite:///{file}" if kind == "sqlite" else self._server().create_database()
                anyio.run(self._prepare, url)
                made.write_text(url)
        return made.read_text()

    async def _prepare(self, url: str) -> None:
        backstay = self._application.compose(settings_with(url, self._folder, self._application))
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
        "SERVER_LOG": "false",
        "LOG_DIR": "",
        "LOG_ACTIVITY_DAYS": "0",
        "MAIL_DIR": str(folder / "mail"),
        "DB_READ_TIMEOUT": "300",  # a busy machine has time
        **variables,
    }
    return application.load_settings(environ, folder)
