"""How types and defaults are written in a revision, so that it runs on both databases."""

from copy import copy
from typing import TYPE_CHECKING, Any, Literal

from alembic.autogenerate import renderers
from alembic.autogenerate.render import _repr_type
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.operations.ops import MigrateOperation
from sqlalchemy import Enum
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import DefaultClause
from sqlalchemy.sql.elements import False_, True_
from sqlalchemy.sql.functions import now
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlalchemy.util import generic_repr, immutabledict

from backstay.db.base import UtcDateTime
from backstay.db.fixed_point import FixedPoint

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext

_DEFAULTS: dict[type[Any], str] = {
    True_: "sa.true()",
    False_: "sa.false()",
    now: "sa.func.now()",
}
"""How defaults are written that Alembic would write in the words of the present database."""
_OURS: dict[type[Any], str] = {
    UtcDateTime: "sa.DateTime(timezone=True)",
    FixedPoint: "sa.BigInteger()",
}
"""What the database sees of the package's own types."""
_POSTGRES = PostgresqlImpl(postgresql.dialect(), None, False, True, None, {})  # type: ignore[no-untyped-call]


class EnumOp(MigrateOperation):
    """Creates or drops the type of an enumeration; SQLite has none."""

    def __init__(self, enum: Enum, what: str) -> None:
        self.enum, self.what = enum, what


@renderers.dispatch_for(EnumOp)
def _render_enum_op(context: "AutogenContext", op: EnumOp) -> str:
    return f"{_enum(op.enum, context)}.{op.what}(op.get_bind(), checkfirst=True)"


def has_type(item: Any) -> bool:
    """Whether PostgreSQL has a type of its own for this one, which tables do not drop."""
    return isinstance(item, Enum) and item.native_enum and bool(item.name)


def render(kind: str, item: Any, context: "AutogenContext") -> str | Literal[False]:
    """What stands in the file for a type or a default; False leaves it to Alembic."""
    if kind == "server_default" and isinstance(item, DefaultClause):
        return _DEFAULTS.get(type(item.arg), False)
    return _type(item, context) if kind == "type" else False


def _type(item: TypeEngine[Any], context: "AutogenContext") -> str | Literal[False]:
    module = type(item).__module__
    if item._variant_mapping:
        return _with_variants(item, context)
    if isinstance(item, UtcDateTime | FixedPoint):
        return _OURS[type(item)]
    if isinstance(item, Enum) and has_type(item):
        return f"{_enum(item, context)[:-1]}, create_type=False)"  # an EnumOp creates it
    if module.startswith("sqlalchemy.dialects.postgresql"):
        context.imports.add("from sqlalchemy.dialects import postgresql")
        return _POSTGRES.render_type(item, context)  # elsewhere Alembic forgets inner types
    if module.partition(".")[0] == "sqlalchemy":
        return False
    context.imports.add(f"import {module}")
    return f"{module}.{_call(item)}"


def _with_variants(item: TypeEngine[Any], context: "AutogenContext") -> str:
    bare = copy(item)
    bare._variant_mapping = immutabledict()
    text = _repr_type(bare, context)
    for dialect, variant in item._variant_mapping.items():
        text += f".with_variant({_repr_type(variant, context)}, {dialect!r})"
    return text


def _enum(enum: Enum, context: "AutogenContext") -> str:
    module = type(enum).__module__
    if not module.startswith("sqlalchemy.dialects."):
        return f"sa.{enum!r}"
    dialect = module.split(".")[2]
    context.imports.add(f"from sqlalchemy.dialects import {dialect}")
    return f"{dialect}.{enum!r}"


def _call(item: TypeEngine[Any]) -> str:
    """The call that makes a type of the project; its own ``__repr__`` is believed."""
    made: Any = type(item)
    if not made.__repr__.__module__.startswith("sqlalchemy."):
        return repr(item)
    if not isinstance(item, TypeDecorator) or made.__init__ is not TypeDecorator.__init__:
        return generic_repr(item)
    if isinstance(made.impl, TypeEngine):
        return f"{made.__name__}()"  # the arguments are those of `impl`
    return generic_repr(item, to_inspect=item.impl)
