"""The pages that features declare: what one query answers, in a template of its own."""

from urllib.parse import quote

from starlette.responses import Response

from backstay.admin.forms import PATH, inputs_of, prefilled
from backstay.admin.operations import Operation
from backstay.admin.showing import shown
from backstay.admin.tables import in_utc
from backstay.admin.visits import Visit
from backstay.core.clock import utc_now
from backstay.core.errors import NotFound


async def show(visit: Visit) -> Response:
    """The page at a path below `/admin/page/`."""
    return await show_page(visit, visit.request.path_params["path"])


async def show_page(visit: Visit, path: str) -> Response:
    """The page that a feature declares for a path.

    Raises:
        NotFound: none does.
    """
    declared = visit.parts.pages.get(path)
    operation = None if declared is None else visit.catalog.queries.get(declared.query)
    if declared is None or operation is None:
        raise NotFound("The console has no such page.")
    if not declared.template:
        return await shown(visit, operation, {}, declared.title)
    answer = await visit.send(operation, {}, list(visit.given.items()))
    return visit.page(
        declared.template,
        heading=declared.title,
        operation=operation,
        data=answer.data,
        now=utc_now().isoformat(),
        offered=visit.offered,
    )


async def explore(visit: Visit) -> Response:
    """Every operation of the API that the reader may send."""
    await visit.count()
    groups: dict[str, list[Operation]] = {}
    for each in (*visit.catalog.reads.values(), *visit.catalog.acts.values()):
        if visit.may(each):
            groups.setdefault(each.route.spec.tag, []).append(each)
    return visit.page("explorer.html", heading="API explorer", groups=groups)


async def ask(visit: Visit) -> Response:
    """The form of a query; what is filled in becomes the address of its page."""
    await visit.count()
    operation = visit.catalog.reads.get(visit.request.path_params["operation"])
    if operation is None:
        raise NotFound("The console has no such page.")
    visit.demand(operation)
    inputs = prefilled(inputs_of(operation, visit.principal), visit.given)
    path = {each.name.removeprefix(PATH): each.value for each in inputs if each.is_in_path}
    is_complete = all(each.value for each in inputs if each.required)
    if visit.given and is_complete:
        quoted = {name: quote(value, safe="") for name, value in path.items()}
        query = {each.field: in_utc(each.value) for each in inputs if not each.is_in_path}
        told = {name: value for name, value in query.items() if value}
        return visit.redirect(f"/data{operation.filled(quoted)}", **told)
    return visit.page(
        "ask.html",
        heading=operation.title,
        operation=operation,
        inputs=inputs,
        picked={each.name: visit.picker_of(each.name, each.kind) for each in inputs},
    )
