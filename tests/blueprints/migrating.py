"""Takes databases through the migrations of a project: up, down and up again.

``python migrating.py URL…`` does so in the folder of the project, in one process for all of them,
and says in the end what differs from the models.
"""

import asyncio
import sys

from backstay.application import application_in_use
from backstay.db import migrate
from backstay.db.options import EngineOptions


async def up_and_down(urls: list[str]) -> list[str]:
    """What differs in the end."""
    application = application_in_use()
    application.create_app(application.load_settings())
    found = []
    for url in urls:
        options, histories = EngineOptions(url=_async(url)), application.histories
        await migrate.upgrade(options, histories=histories)
        undone = await migrate.downgrade(options, f"{application.name}@base", True, histories)
        applied = await migrate.upgrade(options, histories=histories)
        assert set(undone) == set(applied), (undone, applied)
        found += await migrate.check(options, histories)
    return found


def _async(url: str) -> str:
    return url.replace("postgresql://", "postgresql+asyncpg://", 1).replace(
        "sqlite://", "sqlite+aiosqlite://", 1
    )


if __name__ == "__main__":
    sys.exit("\n".join(asyncio.run(up_and_down(sys.argv[1:]))) or None)
