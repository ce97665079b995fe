"""Shows what the linter of migrations finds, and compares that with another linter."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from backstay.db.migrations.linting import findings, lint, run_offline
from backstay.db.migrations.runner import PLATFORM, History, scripts
from backstay.db.options import EngineOptions
from tests.db.shop import Shop
from tests.db.test_migrate import head

LOCKS, BREAKS, BOTH, NONE = ["locks"], ["breaks"], ["breaks", "locks"], list[str]()
OUTSIDE = "in_transaction = False\n"
CONCURRENTLY = 'op.create_index("ix", "orders", ["name"], postgresql_concurrently=True)'

CASES: dict[str, tuple[str, list[str]]] = {
    "column": ('op.add_column("orders", sa.Column("note", sa.String(9)))', NONE),
    "constant default": (
        'op.add_column("orders", sa.Column("n", sa.Integer, nullable=False, server_default="0"))',
        NONE,
    ),
    "default now": (
        'op.add_column("orders", sa.Column("at", sa.DateTime, server_default=sa.func.now()))',
        NONE,
    ),
    "volatile default": (
        'op.add_column("orders", sa.Column("u", sa.Uuid, '
        'server_default=sa.text("gen_random_uuid()")))',
        LOCKS,
    ),
    "column not null": (
        'op.add_column("orders", sa.Column("n", sa.Integer, nullable=False))',
        LOCKS,
    ),
    "serial": ('op.execute("ALTER TABLE orders ADD COLUMN seq bigserial")', LOCKS),
    "unique column": ('op.execute("ALTER TABLE orders ADD COLUMN seq int UNIQUE")', LOCKS),
    "set not null": ('op.alter_column("orders", "name", nullable=False)', BOTH),
    "drop not null": ('op.alter_column("orders", "name", nullable=True)', NONE),
    "type": ('op.alter_column("orders", "n", type_=sa.BigInteger())', BOTH),
    "longer": (
        'op.alter_column("orders", "name", type_=sa.String(9), existing_type=sa.String(5))',
        NONE,
    ),
    "shorter": (
        'op.alter_column("orders", "name", type_=sa.String(5), existing_type=sa.String(9))',
        BOTH,
    ),
    "index": ('op.create_index("ix", "orders", ["name"])', LOCKS),
    "index in a transaction": (CONCURRENTLY, LOCKS),
    "index by hand": ('op.execute("create unique index ix on orders (name)")', LOCKS),
    "foreign key": ('op.create_foreign_key("fk", "orders", "users", ["user_id"], ["id"])', LOCKS),
    "foreign key not valid": (
        'op.create_foreign_key("fk", "orders", "users", ["u"], ["id"], postgresql_not_valid=True)',
        NONE,
    ),
    "check": ('op.create_check_constraint("ck", "orders", "n > 0")', LOCKS),
    "check not valid": (
        'op.create_check_constraint("ck", "orders", "n > 0", postgresql_not_valid=True)',
        NONE,
    ),
    "validate": ('op.execute("ALTER TABLE orders VALIDATE CONSTRAINT ck")', LOCKS),
    "rename column": ('op.alter_column("orders", "name", new_column_name="title")', BREAKS),
    "rename table": ('op.rename_table("orders", "sales")', BREAKS),
    "drop column": ('op.drop_column("orders", "name")', BREAKS),
    "drop table": ('op.drop_table("orders")', BREAKS),
    "truncate": ('op.execute("TRUNCATE orders")', BREAKS),
    "drop constraint": ('op.drop_constraint("ck", "orders")', NONE),
    "drop index": ('op.drop_index("ix", "orders")', NONE),
    "unique": ('op.create_unique_constraint("uq", "orders", ["name"])', LOCKS),
    "primary key": ('op.create_primary_key("pk", "orders", ["id"])', LOCKS),
    "unique using": (
        'op.execute("ALTER TABLE orders ADD CONSTRAINT uq UNIQUE USING INDEX ix")',
        NONE,
    ),
    "new value": ("op.execute(\"ALTER TYPE status ADD VALUE 'gone'\")", BREAKS),
    "update": ('op.execute("UPDATE orders SET n = 0")', LOCKS),
    "lock": ('op.execute("LOCK TABLE orders")', LOCKS),
    "several": ('op.execute("ALTER TABLE orders ADD a numeric(5, 2), DROP COLUMN b")', BREAKS),
    "batch": ('with op.batch_alter_table("orders") as b:\n        b.drop_column("name")', BREAKS),
    "enum": (
        'sa.Enum("a", name="kind").create(op.get_bind(), checkfirst=True)',
        NONE,
    ),
    "rows": (
        'for row in op.get_bind().execute(sa.text("SELECT 1")).all():\n        raise ValueError',
        NONE,
    ),
    "new table": (
        'op.create_table("t", sa.Column("id", sa.Integer))\n    op.create_index("ix", "t", ["id"])',
        NONE,
    ),
    "unknown": ("op.get_bind().missing + 1", LOCKS),
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a file is written again and again
    made = Shop(EngineOptions(""), History("shop", tmp_path / "versions"))
    made.with_file("0001_x.py", "def upgrade(): pass", None, head())
    return made


def found_in(shop: Shop, body: str, above: str = "") -> list[str]:
    text = f"{above}\ndef upgrade():\n    {body}\n"
    shop.with_file("0002_y.py", text, "shop_0001")
    found = findings(scripts(shop.histories).get_revision("shop_0002"))
    return sorted({"breaks" if each.hazard.breaks else "locks" for each in found})


@pytest.mark.parametrize("case", CASES)
def test_each_hazard_is_found_and_nothing_else(shop: Shop, case: str) -> None:
    body, expected = CASES[case]
    assert found_in(shop, body) == expected


def test_declared_contractions_and_reasons_are_accepted(shop: Shop) -> None:
    drop, index = CASES["drop column"][0], CASES["index"][0]
    assert found_in(shop, drop, "oldest_code = 'shop_0001'") == NONE
    assert found_in(shop, index, "oldest_code = 'shop_0001'") == LOCKS
    assert found_in(shop, f"{index}  # lint: it has ten rows") == NONE
    assert found_in(shop, f"# lint: it has ten rows\n    {index}") == NONE
    assert found_in(shop, f"{index}  # lint:") == LOCKS


def test_what_runs_outside_must_be_repeatable(shop: Shop) -> None:
    before = CONCURRENTLY.replace("create_", "drop_").replace('["name"], ', "if_exists=True, ")
    assert found_in(shop, CONCURRENTLY, OUTSIDE) == LOCKS
    assert found_in(shop, f"{before}\n    {CONCURRENTLY}", OUTSIDE) == NONE
    assert found_in(shop, CASES["update"][0], OUTSIDE) == NONE
    assert found_in(shop, CASES["validate"][0], OUTSIDE) == NONE


def test_a_finding_names_file_line_and_remedy(shop: Shop) -> None:
    found_in(shop, f"x = 1\n    {CASES['index'][0]}")
    (told,) = map(str, lint(shop.histories, shop.history))
    assert told.startswith(f"{shop.history.folder}/0002_y.py:10: Nobody can write to orders while")
    assert "postgresql_concurrently=True" in told
    assert lint(shop.histories, shop.history, "shop_0002") == []
    assert len(lint(shop.histories, shop.history, "shop_0001")) == 1


def test_the_platform_is_safe_since_its_first_release() -> None:
    assert lint((PLATFORM,), PLATFORM, "platform_0011") == []


LESS = {"serial", "validate", "truncate", "update", "lock", "unknown"}
"""What squawk does not find."""
MORE = {"drop not null", "longer", "drop constraint", "drop index"}
"""What squawk finds though it is what this package advises, or short with its retries."""
STYLE = (
    "require-timeout-settings,prefer-robust-stmts,prefer-bigint-over-int,prefer-text-field,"
    "prefer-identity,prefer-timestamp-tz,require-table-schema,transaction-nesting"
)


def test_another_linter_finds_no_more(shop: Shop, tmp_path: Path) -> None:
    names = {}
    for number, (name, (body, _)) in enumerate(CASES.items()):
        file = tmp_path / f"{number}.sql"
        names[str(file)] = name
        file.write_text(sql_of(shop, body))
    squawk = [str(Path(sys.executable).with_name("squawk")), "--reporter", "json", "-e", STYLE]
    done = subprocess.run([*squawk, *names], capture_output=True, text=True, check=False)
    theirs = {names[each["file"]] for each in json.loads(done.stdout)}
    ours = {name for name, (_, expected) in CASES.items() if expected}
    assert theirs - ours == MORE
    assert ours - theirs == LESS


def sql_of(shop: Shop, body: str) -> str:
    """What a revision executes."""
    shop.with_file("0002_y.py", f"\ndef upgrade():\n    {body}\n", "shop_0001")
    statements: list[str] = []
    with suppress(AttributeError):
        run_offline(
            scripts(shop.histories).get_revision("shop_0002"),
            lambda statement, *_: statements.append(statement),
        )
    kept = [each.rstrip("; \n") for each in statements if "SELECT" not in each]
    return ";\n".join(["BEGIN", *kept, "COMMIT;"])
