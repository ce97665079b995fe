"""Shows how the OpenAPI description shares components and orders its groups."""

import pytest
from fastapi import FastAPI

from backstay.web.operations import Components


def test_equal_parts_share_a_reference_and_different_ones_stay_inline() -> None:
    written: dict[str, dict[str, object]] = {}
    common = Components(written)
    first, other = {"schema": {"type": "string"}}, {"schema": {"type": "integer"}}
    reference = {"$ref": "#/components/headers/ETag"}
    assert common.share("headers", "ETag", first) == reference
    assert common.share("headers", "ETag", dict(first)) == reference
    assert common.share("headers", "ETag", other) == other
    assert written["headers"]["ETag"] == first


@pytest.mark.anyio
async def test_a_reader_signs_in_first_and_finds_every_group_described(app: FastAPI) -> None:
    schema = app.openapi()
    names = [tag["name"] for tag in schema["tags"]]
    order = ("auth", "users", "items", "tasks", "rbac", "tiers", "system")
    assert names[:2] == ["auth", "users"]
    assert names == [name for name in order if name in names]
    assert all(tag["description"] for tag in schema["tags"])
