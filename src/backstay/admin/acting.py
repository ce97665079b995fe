"""The pages on which a command is filled in and sent."""

from collections.abc import Mapping, Sequence
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote
from uuid import UUID

from starlette.responses import Response

from backstay.admin import forms
from backstay.admin.forms import Input
from backstay.admin.operations import Operation
from backstay.admin.sending import Answer
from backstay.admin.tables import BASE
from backstay.admin.visits import Visit
from backstay.core.errors import AppError, FreshProofRequired, NotFound
from backstay.core.masking import tells_secret
from backstay.features.auth.commands.impersonation import Impersonate

_STALE = 412


async def show(visit: Visit) -> Response:
    """An empty form; one that changes something shows what is there."""
    await visit.count()
    act = _act_of(visit)
    visit.demand(act)
    if visit.lacks_proof(act):
        return visit.to_fresh()
    inputs, etag = _inputs(visit, act), ""
    if act.method in {"PATCH", "PUT"} and (current := await _current(visit, act)) is not None:
        inputs, etag = forms.filled(inputs, current.data), current.etag or ""
    inputs = forms.prefilled(inputs, visit.given)
    return _page(visit, act, inputs, etag=etag, key=token_urlsafe(16))


async def send(visit: Visit) -> Response:
    """Send the command; a refusal is shown at the fields that it is about."""
    act = _act_of(visit)
    inputs = forms.submitted(_inputs(visit, act), visit.form)
    key, etag = visit.form.get("key", ""), visit.form.get("etag", "")
    try:
        filled = forms.read(act, inputs, visit.form)
        answer = await visit.send(act, filled.path, filled.query, filled.body, etag=etag, key=key)
    except FreshProofRequired:
        return visit.to_fresh()
    except AppError as error:
        if error.status not in {400, 403, 404, 409, _STALE, 413, 422, 429, 503}:
            raise
        return await _refused(visit, act, inputs, error)
    if act.message is Impersonate:
        return _as_somebody_else(visit, answer, filled.path["id"])
    return _after(visit, act, filled.path, answer)


def _as_somebody_else(visit: Visit, answer: Answer, user_id: str) -> Response:
    """Go on in the session of an impersonation, which every page then says."""
    response = visit.redirect("")
    visit.parts.cookies.start(response, UUID(answer.data["session_id"]), UUID(user_id))
    return response


async def _refused(
    visit: Visit, act: Operation, inputs: Sequence[Input], error: AppError
) -> Response:
    """The form as it was sent, with the refusal; of a conflict also what has changed since."""
    inputs, rest = forms.with_errors(inputs, error.errors)
    etag, compared = visit.form.get("etag", ""), []
    if error.status == _STALE and (current := await _current(visit, act)) is not None:
        compared, etag = list(forms.compared(inputs, current.data)), current.etag or ""
    is_at_fields = bool(error.errors) and not rest
    return _page(
        visit,
        act,
        inputs,
        status=error.status,
        etag=etag,
        key=token_urlsafe(16),
        problem=error.detail if is_at_fields else " ".join((error.detail, *rest)),
        compared=compared,
    )


def _page(
    visit: Visit,
    act: Operation,
    inputs: Sequence[Input],
    *,
    status: int = 200,
    etag: str,
    key: str,
    problem: str | None = None,
    compared: Sequence[tuple[str, str, str, str]] = (),
) -> Response:
    return visit.page(
        "form.html",
        status=status,
        heading=act.title,
        act=act,
        inputs=inputs,
        picked={each.name: visit.picker_of(each.name, each.kind) for each in inputs},
        etag=etag,
        key=key,
        problem=problem,
        compared=compared,
        back=_back(visit, act),
        is_risky=act.method == "DELETE",
    )


def _inputs(visit: Visit, act: Operation) -> tuple[Input, ...]:
    """The inputs of a command; those that its feature names come first."""
    inputs, shown = forms.inputs_of(act, visit.principal), visit.catalog.nearest(act)
    listed = shown if shown is None or shown.is_list else visit.catalog.above(shown)
    arranged = visit.catalog.view_of(listed)
    first = arranged.form if arranged else ()
    ranks = {name: rank for rank, name in enumerate(first, 1)}
    rank_of = {each.name: 0 if each.is_in_path else ranks.get(each.field, 99) for each in inputs}
    return tuple(sorted(inputs, key=lambda each: rank_of[each.name]))


def _act_of(visit: Visit) -> Operation:
    act = visit.catalog.acts.get(visit.request.path_params["operation"])
    if act is None:
        raise NotFound("The console has no such form.")
    return act


async def _current(visit: Visit, act: Operation) -> Answer | None:
    """What the object is now, if the principal may see it."""
    shown = visit.catalog.reading_of(act)
    if shown is None or not visit.may(shown):
        return None
    try:
        return await visit.send(shown, dict(zip(shown.parameters, _path(visit, act), strict=True)))
    except AppError:
        return None


def _after(visit: Visit, act: Operation, path: Mapping[str, str], answer: Answer) -> Response:
    """Where to go on: the object itself, else the list; what is shown only once is shown here."""
    data = answer.data if isinstance(answer.data, dict) else {}
    if any(tells_secret(name) for name in data):
        return visit.page("result.html", heading=act.title, act=act, data=data)
    target = _target(visit, act, path, data)
    if target is None:
        return visit.page("result.html", heading=act.title, act=act, data=data)
    return visit.redirect(f"/data{target}", done=act.id)


def _target(
    visit: Visit, act: Operation, path: Mapping[str, str], data: Mapping[str, Any]
) -> str | None:
    location = act.route.spec.location
    if location is not None and data:
        made = location.format_map({name: quote(str(each), safe="") for name, each in data.items()})
        if visit.catalog.operation_at(made) is not None:
            return made
    shown = visit.catalog.nearest(act)
    if act.method == "DELETE" and shown is not None and shown.template == act.template:
        shown = visit.catalog.above(shown) or shown
    if shown is None or not visit.may(shown):
        return None
    return shown.filled(_quoted(shown, [path[name] for name in act.parameters]))


def _back(visit: Visit, act: Operation) -> str:
    shown = visit.catalog.nearest(act)
    path = _path(visit, act)
    if shown is None or not all(path[: len(shown.parameters)]):
        return BASE
    return f"{BASE}/data{shown.filled(_quoted(shown, path))}"


def _path(visit: Visit, act: Operation) -> list[str]:
    """The values of the parameters in the path of a command, as far as they are known."""
    values = {**visit.given, **visit.form}
    return [values.get(forms.PATH + name, "") for name in act.parameters]


def _quoted(shown: Operation, values: Sequence[str]) -> dict[str, str]:
    """The parameters of a query's path, of which commands below it have the same values."""
    return dict(zip(shown.parameters, (quote(each, safe="") for each in values), strict=False))
