"""Says how many rows a list has, when somebody asks; beyond some thousands only that it is more."""

from starlette.responses import Response

from backstay.admin.tables import asked_of
from backstay.admin.visits import Visit
from backstay.core.errors import NotFound

MOST = 10_000
"""Up to so many rows are counted: the count of a large table reads all of it."""


async def count(visit: Visit) -> Response:
    """The number of rows that match the filters of the address, as a text of few words."""
    operation = visit.catalog.reads.get(visit.request.path_params["operation"])
    if operation is None or operation.listing is None:
        raise NotFound("The console has no such list.")
    given = visit.given
    path = {name: given.pop(name, "") for name in operation.parameters}
    asked = list(asked_of(operation.listing, given).items())
    beyond = [*asked, ("page", str(MOST + 1)), ("per_page", "1"), ("total", "false")]
    if (await visit.send(operation, path, beyond)).data["items"]:
        return Response(f"more than {MOST:,} rows", media_type="text/plain")
    counted = await visit.send(operation, path, [*asked, ("per_page", "1")])
    total = counted.data["total"]
    return Response("1 row" if total == 1 else f"{total:,} rows", media_type="text/plain")
