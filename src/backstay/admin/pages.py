"""The pages that features declare: what one query answers, in a template of its own."""

from starlette.responses import Response

from backstay.admin.showing import shown
from backstay.admin.visits import Visit
from backstay.core.errors import NotFound


async def show(visit: Visit) -> Response:
    """The page at a path below `/admin/page/`."""
    declared = visit.parts.pages.get(visit.request.path_params["path"])
    operation = None if declared is None else visit.catalog.sending(declared.query)
    if declared is None or operation is None:
        raise NotFound("The console has no such page.")
    if not declared.template:
        return await shown(visit, operation, {})
    answer = await visit.send(operation, {}, list(visit.given.items()))
    return visit.page(
        declared.template, heading=declared.title, operation=operation, data=answer.data
    )
