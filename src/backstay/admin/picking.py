"""Searches a list for the rows that an input of a form may name."""

from starlette.responses import JSONResponse, Response

from backstay.admin.tables import label_in
from backstay.admin.visits import Visit
from backstay.core.errors import AppError, NotFound

MOST = "10"
"""How many rows an input offers."""


async def pick(visit: Visit) -> Response:
    """The ids and labels of the first rows that match, as JSON."""
    operation = visit.catalog.reads.get(visit.request.path_params["operation"])
    if (
        operation is None
        or operation.view is None
        or operation.listing is None
        or operation.parameters
    ):
        raise NotFound("The console has no such list.")
    text = visit.given.get("q", "")[:200]
    query = [("limit", MOST)]
    if text and operation.listing.searchable:
        query.append(("q", text))
    try:
        found = (await visit.send(operation, {}, query)).data["items"]
    except AppError as error:
        return JSONResponse({"error": error.detail}, error.status)
    rows = [{"id": str(row["id"]), "label": label_in(row)} for row in found if "id" in row]
    return JSONResponse({"rows": rows})
