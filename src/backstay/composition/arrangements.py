"""Checks what features say about their pages in the admin console."""

import re
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from backstay.core.console import AdminView, arrangements_of
from backstay.core.feature import Feature
from backstay.core.listing import ListQuery
from backstay.core.messages import argument_of
from backstay.core.wiring import Code, Flaw

_PATH = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*")


def admin_faults(features: Sequence[Feature]) -> Iterator[Flaw]:
    """What the modules `admin` of features say that cannot be."""
    asked = {e.message for f in features for t in f.routes for e in t.operations("")}
    for each in arrangements_of(features):
        message = each.list if isinstance(each, AdminView) else each.query
        if message not in asked:
            problem = f"{type(each).__name__} is of {message.__name__}, which no route sends."
            yield Flaw(Code.ADMIN_VIEW, problem, "Add a route, or remove this.").of(each)
        elif isinstance(each, AdminView):
            yield from _view_faults(each, asked)
        elif not _PATH.fullmatch(each.path):
            problem = f"The path {each.path!r} of a page of the console is no path."
            yield Flaw(Code.ADMIN_VIEW, problem, "Write one such as `reports/sales`.").of(each)


def _view_faults(view: AdminView, asked: Collection[Any]) -> Iterator[Flaw]:
    shown = argument_of(view.list, ListQuery)
    known = {*shown.model_fields, *shown.model_computed_fields}
    for name in (*view.columns, *view.cells):
        if name not in known:
            problem = f"{view.list.__name__} has no column `{name}`."
            near = get_close_matches(name, known, n=1) or [f"one of {', '.join(sorted(known))}"]
            yield Flaw(Code.ADMIN_VIEW, problem, f"Write {near[0]}.").of(view)
    for action in view.actions:
        if action not in asked:
            problem = f"{action.__name__} is an action of {view.list.__name__} without a route."
            yield Flaw(Code.ADMIN_VIEW, problem, "Add a route that sends it.").of(view)
