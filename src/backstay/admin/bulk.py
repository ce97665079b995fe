"""Does the same with many rows of a list: one job for each of them."""

from starlette.responses import Response

from backstay.admin.visits import Visit
from backstay.core.errors import FreshProofRequired, Invalid, NotFound


async def start(visit: Visit) -> Response:
    """Start it, and go on to the page on which its progress is seen."""
    operation = visit.catalog.acts.get("start_bulk")
    if operation is None:
        raise NotFound("This application has no bulk actions.")
    if not visit.chosen or not visit.form.get("operation"):
        raise Invalid("Choose rows of the list, and what to do with them.")
    body = {"operation": visit.form["operation"], "ids": visit.chosen}
    key = visit.form.get("key", "")
    try:
        answer = await visit.send(operation, {}, [], body, key=key)
    except FreshProofRequired:
        return visit.to_fresh(visit.form.get("from", ""))
    return visit.redirect(f"/data{operation.path}/{answer.data['id']}")
