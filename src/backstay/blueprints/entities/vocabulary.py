"""The names that generated code imports, and those that fields and entities cannot have."""

from collections.abc import Mapping

_BY_MODULE: Mapping[str, str] = {
    "collections": "defaultdict",
    "collections.abc": "Iterator",
    "datetime": "date datetime",
    "decimal": "Decimal",
    "enum": "StrEnum",
    "typing": "Annotated Any",
    "uuid": "UUID uuid4",
    "": "asyncio pytest",
    "pydantic": "AwareDatetime BaseModel ConfigDict Field JsonValue StringConstraints",
    "sqlalchemy": "JSON ForeignKey Index String Text Uuid bindparam false select true",
    "sqlalchemy.orm": "Mapped mapped_column relationship",
    "backstay": "SYSTEM_ONLY AnyTarget By Cached Clock Command Conflict Entity Equals Feature "
    "FixedPoint FromPath FromQuery ListQuery Listing Money PersonalData Principal Query Range "
    "Reader Resource Routes Scope Sender SoftDelete TagContext Target Transaction View columns_of "
    "handles optional",
}
SOURCES: Mapping[str, str] = {
    name: module for module, names in _BY_MODULE.items() for name in names.split()
}
"""By name, the module that generated code imports it from; empty for a module itself. ``Text`` is
the type of a column; queries take that of the lists."""
_OF_TESTS = {"count": "itertools", "Login": "backstay.testing", "Person": "backstay.testing"}
SOURCES_OF_TESTS: Mapping[str, str] = {**SOURCES, **_OF_TESTS}

RESERVED_CLASSES = frozenset(SOURCES) | {
    *("Base", "Message", "Event", "Application", "Page", "True", "False", "None", "Exception"),
    *("WrongStatus", "User"),
}

TYPE_NAMES = frozenset(
    {"bool", "bytes", "date", "datetime", "dict", "float", "int", "list", "object", "property"}
    | {"set", "str", "super", "tuple", "type"}
)
"""Names that annotations in the body of a class need."""

_REASONS: Mapping[str, str] = {
    "every row has a column of this name": "id created_at updated_at created_by updated_by version "
    "deleted_at",
    "it is a parameter of every list": "page per_page total limit cursor sort q",
    "it is part of every message": "permission rules replaces body_values takes_long "
    "fresh in_person "
    "default_source touches replayable job_queue job_timeout cache sortable searchable changes "
    "conditions filters flaws named_fields sources result_type declared_cache by_cursor copy "
    "construct json parse_obj schema schema_json validate from_orm parse_file parse_raw "
    "update_forward_refs",
    "it is part of every table": "metadata registry stamp",
    "generated code uses it for something else": "hard keys principal is_deleted",
}
RESERVED_FIELDS: Mapping[str, str] = {
    name: reason for reason, names in _REASONS.items() for name in names.split()
}
"""Names that a field cannot have, each with the reason."""
