"""Whether the schema of the open database is one with which this application works."""

from collections.abc import Sequence

import structlog

from backstay.core.wiring import BootError
from backstay.db import migrate
from backstay.db.base import Base
from backstay.db.checks import absence_faults
from backstay.db.database import Database
from backstay.db.migrations.runner import Histories, MigrationError
from backstay.db.migrations.standing import Standing, State

log = structlog.get_logger("backstay.database")


class SchemaCheck:
    """Compares the revisions, then the tables and columns of the models.

    In a deploy without downtime, the servers of the old version go on with the schema of the new
    one. They say so once in their log.
    """

    def __init__(
        self, database: Database, models: Sequence[type[Base]], histories: Histories
    ) -> None:
        self._database, self._models, self._histories = database, models, histories
        self._told = ""

    async def require(self) -> Standing:
        """Refuse a database with which this application does not work.

        Raises:
            MigrationError: the database is missing, empty, behind, or too far ahead.
            BootError: its revisions are right, but tables or columns are missing.
            AppError: the database does not answer.
        """
        found = await migrate.standing_of_open(self._database, self._histories)
        if found.fault:
            raise MigrationError(found.fault)
        if faults := await absence_faults(self._database, self._models):
            raise BootError(faults)
        return found

    async def fault(self) -> str | None:
        """What is wrong with the schema, or None; cheap enough for probes.

        Raises:
            AppError: the database does not answer.
        """
        try:
            found = await migrate.standing_of_open(self._database, self._histories)
        except MigrationError as error:
            return str(error)
        self.tell(found)
        if found.fault:
            return found.fault
        faults = await absence_faults(self._database, self._models)
        lacks = (
            f"The database lacks {len(faults)} tables or columns: `backstay db check` names them."
        )
        return lacks if faults else None

    def tell(self, found: Standing) -> None:
        """Log once that the database is ahead."""
        if found.state is State.COMPATIBLE and found.of != self._told:
            self._told = found.of
            log.warning(
                "the database is ahead of this version, which works with it", revisions=found.of
            )
