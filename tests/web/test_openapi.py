"""Shows that the description of the API is complete and unambiguous."""

import inspect
import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
from fastapi import FastAPI
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from backstay.core.listing import PAGING
from backstay.core.permissions import PUBLIC
from backstay.core.representation import Preconditions
from backstay.web.dispatch import Route
from backstay.web.headers import EXPOSED
from tests.features.steps import API, needs
from tests.web.described import is_locked, operations, resolved
from tests.web.problems import MEMBERS

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

PROBLEM = "application/problem+json"


@pytest.fixture
def schema(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def routes(app: FastAPI) -> list[Route]:
    """The routes of the API; pages for people are not described."""
    found = [r for r in app.routes if isinstance(r, Route) and not r.spec.is_page]
    assert found
    return found


async def test_the_served_description_is_the_generated_one(
    client: httpx.AsyncClient, schema: dict[str, Any]
) -> None:
    assert (await client.get("/openapi.json")).json() == schema
    assert schema["openapi"].startswith("3.1")
    assert schema["info"]["title"]


async def test_every_route_is_described(app: FastAPI, schema: dict[str, Any]) -> None:
    described = {(method, path) for method, path, _ in operations(schema)}
    assert described == {(m, r.path_format) for r in routes(app) for m in r.methods or ()}


async def test_every_operation_has_a_name_of_its_own(schema: dict[str, Any]) -> None:
    names = [operation["operationId"] for *_, operation in operations(schema)]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name == name.lower() for name in names)
    for *_, operation in operations(schema):
        assert operation["summary"]
        assert operation["tags"]


async def test_every_operation_tells_its_problems(app: FastAPI, schema: dict[str, Any]) -> None:
    unwell = {r.path_format: str(r.spec.unwell) for r in routes(app) if r.spec.unwell}
    for method, path, operation in operations(schema):
        answers = operation["responses"]
        errors = {status: answer for status, answer in answers.items() if status >= "400"}
        assert {"422", "500"} <= set(errors), (method, path)
        for status, answer in errors.items():
            besides = {"application/json"} if status == unwell.get(path) else set()
            assert set(answer["content"]) == {PROBLEM} | besides, (method, path, status)
        assert any(status < "400" for status in answers)
    properties = schema["components"]["schemas"]["Problem"]["properties"]
    assert set(properties) == MEMBERS
    assert "HTTPValidationError" not in schema["components"]["schemas"]


async def test_operations_that_need_a_token_say_so(app: FastAPI, schema: dict[str, Any]) -> None:
    for route in routes(app):
        for method in route.methods or ():
            operation = schema["paths"][route.path_format][method.lower()]
            is_public = route.spec.message.permission is PUBLIC
            needed = operation["security"]
            assert (needed == [] or {} in needed) is is_public
            assert is_public or needed == [{"bearer": []}]
            assert ("401" in operation["responses"] or is_public) is True
            for requirement in needed:
                assert set(requirement) <= set(schema["components"]["securitySchemes"])


async def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(reference := node.get("$ref"), str):
                yield reference
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    found = set(references(schema))
    assert found
    for reference in found:
        assert resolved(schema, {"$ref": reference})


async def test_login_takes_json_and_the_form_of_oauth2(schema: dict[str, Any]) -> None:
    body = schema["paths"][f"{API}/auth/login"]["post"]["requestBody"]
    assert body["required"]
    json, form = (
        resolved(schema, body["content"][media_type]["schema"])
        for media_type in ("application/json", "application/x-www-form-urlencoded")
    )
    assert set(json["properties"]) >= {"email", "username", "login", "password", "transport"}
    assert json["additionalProperties"] is False
    assert set(form["required"]) == {"username", "password"}
    assert set(form["properties"]) >= {"grant_type", "scope", "client_id", "client_secret"}


async def test_refresh_takes_json_and_the_form_of_oauth2(schema: dict[str, Any]) -> None:
    body = schema["paths"][f"{API}/auth/refresh"]["post"]["requestBody"]
    assert not body.get("required")
    name = body["content"]["application/x-www-form-urlencoded"]["schema"]["$ref"].split("/")[-1]
    form = schema["components"]["schemas"][name]
    assert set(form["required"]) == {"grant_type", "refresh_token"}
    assert "application/json" in body["content"]


async def test_only_token_routes_describe_the_oauth2_error_fields(
    schema: dict[str, Any],
) -> None:
    telling = {
        path
        for _, path, operation in operations(schema)
        for status, answer in operation["responses"].items()
        if status >= "400" and "/Token" in str(answer)
    }
    assert telling == {f"{API}/auth/login", f"{API}/auth/refresh"}
    told = schema["components"]["schemas"]["TokenProblem"]
    assert {"error", "error_description"} <= set(told["properties"])


async def test_bodies_and_queries_take_nothing_else(schema: dict[str, Any]) -> None:
    for method, path, operation in operations(schema):
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            if media_type != "application/json":
                continue
            for option in content["schema"].get("anyOf", [content["schema"]]):
                named = schema["components"]["schemas"].get(option.get("$ref", "").split("/")[-1])
                taken = named or option
                assert taken.get("additionalProperties") is False or taken == {"type": "null"}, (
                    method,
                    path,
                )


@needs("items")
async def test_a_list_tells_its_parameters(schema: dict[str, Any]) -> None:
    (parameters,) = (
        operation["parameters"]
        for *place, operation in operations(schema)
        if place == ["GET", f"{API}/items"]
    )
    names = {parameter["name"] for parameter in parameters}
    assert {"page", "per_page", "total", "limit", "cursor", "sort", "q"} <= names
    assert {"title", "title__in", "title__contains", "title__isnull", "created_at__gte"} <= names
    assert {parameter["in"] for parameter in parameters} == {"query"}
    (sort,) = (parameter for parameter in parameters if parameter["name"] == "sort")
    assert "`created_at`" in sort["description"]


async def test_nothing_secret_is_in_an_answer(schema: dict[str, Any]) -> None:
    for name, component in schema["components"]["schemas"].items():
        if name.endswith(("View", "Detail", "Summary", "Profile", "Answer")):
            secrets = {p for p in component.get("properties", ()) if "password" in p or "hash" in p}
            assert not secrets, name


@needs("items")
async def test_the_idempotency_key_is_described_where_it_is_honoured(
    app: FastAPI, schema: dict[str, Any]
) -> None:
    described = {
        (method, path)
        for method, path, operation in operations(schema)
        if any(each["name"] == "Idempotency-Key" for each in operation["parameters"])
    }
    honoured = {("POST", route.path_format) for route in routes(app) if route.spec.takes_key}
    assert described == honoured
    assert {("POST", f"{API}/items"), ("POST", f"{API}/items/{{id}}/restore")} <= honoured
    told = {(method, path): operation for method, path, operation in operations(schema)}
    restored = told["POST", f"{API}/items/{{id}}/restore"]
    assert {parameter["in"] for parameter in restored["parameters"]} == {"path", "header"}
    assert {"400", "409", "422"} <= set(restored["responses"])
    created = schema["paths"][f"{API}/items"]["post"]["responses"]["201"]
    assert "Idempotent-Replayed" in created["headers"]
    assert created["content"]["application/json"]["schema"]


async def test_the_description_is_valid(schema: dict[str, Any]) -> None:
    flow = schema["components"]["securitySchemes"]["bearer"]["flows"]["password"]
    flow["tokenUrl"] = f"http://testserver{flow['tokenUrl']}"  # relative to the server: 3.1, 4.6
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(schema)] == []


async def test_every_shared_component_is_used(schema: dict[str, Any]) -> None:
    text = json.dumps(schema)
    for kind, parts in schema["components"].items():
        for name in parts:
            used = f'{{"{name}": []}}' if kind == "securitySchemes" else f"/{kind}/{name}"
            assert f'{used}"' in text or used in text, used
    assert {tag["name"] for tag in schema["tags"]} == {
        tag for *_, operation in operations(schema) for tag in operation["tags"]
    }
    assert schema["servers"] == [{"url": "/"}]


async def test_headers_readable_across_origins_are_described(schema: dict[str, Any]) -> None:
    assert {*EXPOSED} - {"Content-Disposition"} <= {*schema["components"]["headers"]}


async def test_the_description_stays_small(schema: dict[str, Any]) -> None:
    assert len(json.dumps(schema, separators=(",", ":"))) / len(list(operations(schema))) < 2700


KEYWORDS = {
    "string": {"maxLength", "minLength", "pattern", "format"},
    "array": {"maxItems", "minItems", "uniqueItems", "items"},
    "integer": {"maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "multipleOf"},
}
KEYWORDS["number"] = KEYWORDS["integer"]


def schemas(node: Any, *, by_name: bool = False) -> Iterator[dict[str, Any]]:
    """Everything in the description that is a schema with a type, or has alternatives."""
    if isinstance(node, list):
        for each in node:
            yield from schemas(each)
    elif isinstance(node, dict):
        if not by_name and isinstance(node.get("type"), str):
            yield node
        for name, inner in node.items():
            yield from schemas(inner, by_name=not by_name and name == "properties")


async def test_schemas_say_only_what_holds_for_their_type(schema: dict[str, Any]) -> None:
    every = set().union(*KEYWORDS.values())
    found = [each for each in schemas(schema) if each["type"] not in {"oauth2", "http", "apiKey"}]
    assert len(found) > 300
    for each in found:
        assert not set(each) & (every - KEYWORDS.get(each["type"], set())), each
        if "default" in each:
            told = {**each, "components": schema["components"]}
            assert jsonschema_rs.is_valid(told, each["default"]), each


async def test_parameters_have_one_place_and_one_type(schema: dict[str, Any]) -> None:
    for method, path, operation in operations(schema):
        places = [(each["in"], each["name"]) for each in operation["parameters"]]
        assert len(set(places)) == len(places), (method, path)
        for each in operation["parameters"]:
            kind = resolved(schema, each["schema"])["type"]
            assert isinstance(kind, str), (method, path, each["name"])
            if each["name"] in PAGING:
                assert "default" not in each["schema"], (method, path, each["name"])


async def test_no_model_has_a_property_of_its_own_name(schema: dict[str, Any]) -> None:
    """Generated classes have a variable for both."""
    for name, each in schema["components"]["schemas"].items():
        assert name.lower() not in {p.replace("_", "") for p in each.get("properties", ())}


async def test_answers_list_their_field_names(schema: dict[str, Any]) -> None:
    tokens = schema["components"]["schemas"]["TokenAnswer"]
    assert set(tokens["properties"]) == {*tokens["required"], "refresh_token", "refresh_expires_in"}
    assert set(tokens["required"]) == {"access_token", "token_type", "expires_in", "session_id"}
    for *_, operation in operations(schema):
        for status, answer in operation["responses"].items():
            for content in answer.get("content", {}).values():
                for option in content["schema"].get("anyOf", [content["schema"]]):
                    told = resolved(schema, option)
                    assert told.get("properties") or told["type"] == "string", (operation, status)


async def test_conditional_requests_are_described(app: FastAPI, schema: dict[str, Any]) -> None:
    functions = [f for feature in app.state.backstay.features for f in feature.functions()]
    handlers = {getattr(function, "__handles__", None): function for function in functions}
    told = {(method, path): operation for method, path, operation in operations(schema)}
    for route in routes(app):
        (method,) = route.methods or {""}
        operation = told[method, route.path_format]
        success = operation["responses"][str(route.spec.status)]
        names = {each["name"] for each in operation["parameters"]}
        reads = method == "GET" and "ETag" in success["headers"]
        assert ("304" in operation["responses"]) is reads
        taken = inspect.signature(handlers[route.spec.message]).parameters.values()
        changes = any(each.annotation is Preconditions or is_locked(each) for each in taken)
        assert ("If-Match" in names) is ("412" in operation["responses"]) is (reads or changes)
        assert ("If-None-Match" in names) is (reads or (changes and method != "POST"))
