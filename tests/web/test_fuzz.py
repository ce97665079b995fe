"""Sends generated requests, valid and invalid by the API description, to every operation.

What takes long is to think of a request, so that each is sent by everybody.
"""

import copy
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, get_args

import httpx
import pytest
import schemathesis
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from hypothesis import Phase, given, note
from hypothesis.errors import Unsatisfiable
from pydantic_core.core_schema import ErrorType
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from backstay.application import create_app
from backstay.testing import ADMIN_EMAIL, Templates, client_of, settings_with
from backstay.web.route_spec import BEARER
from tests.examples import examples
from tests.features.steps import bearer, register, sign_in
from tests.patient import PATIENT
from tests.web.described import check_told, operations, resolved
from tests.web.problems import problem

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    positive_data_acceptance,
]
"""Other checks repeat requests over a network or need links between operations."""
ACCEPTED = ["2xx", "304", "400", "401", "403", "404", "409", "412", "422", "429"]
"""Statuses of requests that the description allows: it cannot express which tokens, entity tags
and cursors are valid, nor which values contradict each other."""
TELLABLE = {*get_args(ErrorType)} - {"value_error", "assertion_error"}
"""The error codes of constraints that a description can express."""
EXAMPLES = {"sqlite": 8, "postgresql": 2}
"""Examples per operation; the HTTP edge is tested here, which does not depend on the database."""
SLICES = 4
ENDINGS = ("/auth/sessions", "/auth/logout", "/users/me", "/auth/password/change")
"""Operations that would sign the caller out: tried without credentials only."""
Case = schemathesis.Case[Any]


def _refusable(whole: dict[str, Any]) -> dict[str, Any]:
    """The description without parameters that accept any text: the generator would search long
    for an invalid value, which does not exist."""
    schema = copy.deepcopy(whole)
    for operation in (each for item in schema["paths"].values() for each in item.values()):
        operation["parameters"] = [
            each
            for each in operation.get("parameters", ())
            if resolved(schema, each)["in"] in {"path", "query"}
            or "minLength" in resolved(schema, each)["schema"]
        ]
    return schema


class Target:
    """A running application and a client of it, on a loop in another thread."""

    def __init__(self, app: FastAPI, portal: BlockingPortal, examples: int) -> None:
        self.examples = examples
        whole = app.openapi()
        self.schemas = {
            GenerationMode.POSITIVE: schemathesis.openapi.from_dict(whole),
            GenerationMode.NEGATIVE: schemathesis.openapi.from_dict(_refusable(whole)),
        }
        for schema in self.schemas.values():
            schema.config.checks.positive_data_acceptance.expected_statuses = ACCEPTED
        self._told = {(m, path): told for m, path, told in operations(whole)}
        self._refusals: set[tuple[str, GenerationMode, int, str]] = set()
        """Those that were looked at closely: of one kind, they differ in their details only."""
        self._portal = portal
        self._client = client_of(app)
        self.headers: dict[str, dict[str, str]] = {"a stranger": {}}

    async def sign_in(self) -> None:
        await register(self._client, "ada@example.org")
        for name, email in (("a user", "ada@example.org"), ("an administrator", ADMIN_EMAIL)):
            answer = await sign_in(self._client, email)
            self.headers[name] = bearer(answer.json()["access_token"])

    def try_out(self, case: Case, mode: GenerationMode) -> None:
        """Send a case as each kind of caller and check the answers."""
        for caller in self.headers:
            if caller == "a stranger" or not case.operation.path.endswith(ENDINGS):
                note(f"sent by {caller}")
                self._try_as(caller, case, mode)

    def _try_as(self, caller: str, case: Case, mode: GenerationMode) -> None:
        sent: dict[str, Any] = case.as_transport_kwargs("http://testserver")
        sent.pop("cookies", None)
        content = sent.pop("data", None)
        headers = {**dict(sent.pop("headers")), **self.headers[caller]}
        if isinstance(content, dict):
            sent["data"] = content
        elif content is not None:
            sent["content"] = content
        answer = self._portal.call(self._send, headers, sent)
        refusal = problem(answer, answer.status_code) if answer.status_code >= 400 else None
        operation = self._told[case.method, case.operation.path]
        check_told(operation, answer)
        if caller == "a stranger" and operation["security"] == [{BEARER: []}]:
            assert refusal is not None
            assert answer.status_code == 401 or refusal["errors"] == []
        if refusal is not None:
            kind = (operation["operationId"], mode, answer.status_code, refusal["code"])
            codes = {fault["code"] for fault in refusal["errors"]}
            assert mode is GenerationMode.NEGATIVE or not codes & TELLABLE
            if kind in self._refusals:
                return
            self._refusals.add(kind)
        is_bare = content == b"null"  # which may be said where a body may be left out
        checks = [each for each in CHECKS if each is not negative_data_rejection or not is_bare]
        case.validate_response(answer, checks=checks)

    async def _send(self, headers: dict[str, str], sent: dict[str, Any]) -> httpx.Response:
        encoded = {name.encode(): value.encode() for name, value in headers.items()}
        return await self._client.request(**sent, headers=encoded)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def target(
    request: pytest.FixtureRequest, templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("fuzz")
    url, remove = templates.copy(request.param, folder)
    app = create_app(settings_with(url, folder, **PATIENT), worker=False)
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        stack.enter_context(portal.wrap_async_context_manager(app.router.lifespan_context(app)))
        target = Target(app, portal, EXAMPLES[request.param])
        portal.call(target.sign_in)
        yield target
    remove()


@pytest.mark.parametrize("part", range(SLICES))
@pytest.mark.parametrize("mode", GenerationMode)
def test_no_request_breaks_the_server(target: Target, mode: GenerationMode, part: int) -> None:
    tried = 0
    for found in list(target.schemas[mode].get_all_operations())[part::SLICES]:
        assert isinstance(found, Ok)

        @examples(target.examples, phases=[Phase.explicit, Phase.generate])
        @given(case=found.ok().as_strategy(generation_mode=mode))
        def fuzz(case: Case) -> None:
            target.try_out(case, mode)

        try:
            fuzz()
        except Unsatisfiable:
            continue
        tried += 1
    assert tried > 10
