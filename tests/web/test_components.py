"""Shows how parts of the description of the API are shared."""

from backstay.web.operations import Components


def test_a_name_stands_for_one_part_and_another_is_written_out() -> None:
    written: dict[str, dict[str, object]] = {}
    common = Components(written)
    first, other = {"schema": {"type": "string"}}, {"schema": {"type": "integer"}}
    reference = {"$ref": "#/components/headers/ETag"}
    assert common.share("headers", "ETag", first) == reference
    assert common.share("headers", "ETag", dict(first)) == reference
    assert common.share("headers", "ETag", other) == other
    assert written["headers"]["ETag"] == first
