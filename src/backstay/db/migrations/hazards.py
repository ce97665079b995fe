"""What a statement on a table with rows does to those who use it meanwhile, on PostgreSQL."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

ALONE = "in a revision of its own with `in_transaction = False`"
_NAME = r'(?:[\w$]+|"[^"]+")(?:\.(?:[\w$]+|"[^"]+"))?'
_ALTER = re.compile(rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?({_NAME}) (.*)", re.I)
_CREATE_TABLE = re.compile(rf"CREATE (?:\w+ )?TABLE (?:IF NOT EXISTS )?({_NAME})", re.I)
_INDEX = re.compile(
    r"CREATE (?:UNIQUE )?INDEX (CONCURRENTLY )?(?:IF NOT EXISTS )?"
    rf"({_NAME} )?ON (?:ONLY )?({_NAME})",
    re.I,
)
_DROP_INDEX = re.compile(rf"DROP INDEX (CONCURRENTLY )?(IF EXISTS )?({_NAME})", re.I)
_ON_TABLE = re.compile(
    rf"(DROP TABLE|TRUNCATE|LOCK|CLUSTER|VACUUM FULL|REINDEX TABLE|UPDATE|DELETE FROM)"
    rf" (?:TABLE )?(?:IF EXISTS )?(?:ONLY )?({_NAME})",
    re.I,
)
_CALL = re.compile(r"(\w+)\s*\(")
_STABLE = {"now", "cast", "statement_timestamp", "transaction_timestamp", "numeric", "varchar"}
"""Functions that PostgreSQL evaluates once for a default; and types with a length."""


@dataclass(frozen=True, slots=True)
class Hazard:
    """What is wrong, and the safe way.

    Attributes:
        breaks: whether older code stops to work; a revision may declare how old it may be.
    """

    wrong: str
    safe: str
    breaks: bool = False


@dataclass(slots=True)
class Judge:
    """Judges the statements of one revision in their order.

    ``outside`` says that they run outside of a transaction.
    """

    outside: bool
    new: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)

    def hazards(self, statement: str, *, widens: bool = False) -> Iterator[Hazard]:
        """What one statement does; ``widens`` says that it makes a text longer."""
        text = " ".join(statement.split()).rstrip("; ")
        if found := _CREATE_TABLE.match(text):
            self.new.add(_plain(found[1]))
        elif (found := _ALTER.match(text)) and _plain(found[1]) not in self.new:
            for action in _parts(found[2]):
                yield from self._altered(_plain(found[1]), action, widens)
        elif found := _INDEX.match(text):
            yield from self._indexed(bool(found[1]), _plain(found[2] or ""), _plain(found[3]))
        elif found := _DROP_INDEX.match(text):
            if found[2]:
                self.dropped.add(_plain(found[3]))
            yield from self._concurrent(bool(found[1]))
        elif (found := _ON_TABLE.match(text)) and _plain(found[2]) not in self.new:
            yield from self._used(found[1].upper(), _plain(found[2]))
        elif re.match(r"ALTER TYPE .* (ADD|RENAME) VALUE", text, re.I):
            yield Hazard(
                "Older code cannot read a row that has the new value.",
                "Let one release know the value, and the next one write it.",
                breaks=True,
            )

    def _concurrent(self, concurrently: bool) -> Iterator[Hazard]:
        if concurrently and not self.outside:
            yield Hazard("CONCURRENTLY fails in a transaction.", f"Do it {ALONE}.")

    def _indexed(self, concurrently: bool, name: str, table: str) -> Iterator[Hazard]:
        if table in self.new:
            return
        yield from self._concurrent(concurrently)
        if not concurrently:
            yield Hazard(
                f"Nobody can write to {table} while the index is built.",
                f"Build it with postgresql_concurrently=True, {ALONE}.",
            )
        elif self.outside and name not in self.dropped:
            yield Hazard(
                f"If it is interrupted, an invalid index {name} stays, and cannot be made again.",
                "Before it, drop it with if_exists=True and postgresql_concurrently=True.",
            )

    def _used(self, verb: str, table: str) -> Iterator[Hazard]:
        if verb in {"DROP TABLE", "TRUNCATE"}:
            yield Hazard(f"Older code loses the rows of {table}.", _DROPPED, breaks=True)
        elif verb in {"UPDATE", "DELETE FROM"}:
            if not self.outside:
                yield Hazard(
                    f"The rows of {table} stay locked until all revisions are applied.",
                    f"Change them in batches, {ALONE}; say why if they are few.",
                )
        else:
            yield Hazard(
                f"Nobody can use {table} meanwhile.",
                "Do without, or in a maintenance window.",
            )

    def _altered(self, table: str, action: str, widens: bool) -> Iterator[Hazard]:
        words = action.upper()
        if words.startswith("ADD CONSTRAINT") or re.match(
            r"ADD (CHECK|FOREIGN KEY|UNIQUE|PRIMARY KEY|EXCLUDE)\b", words
        ):
            yield from _constrained(table, words)
        elif words.startswith("ADD "):
            yield from _added(table, action)
        elif words.startswith("VALIDATE CONSTRAINT") and not self.outside:
            yield Hazard(
                f"{table} is read while the transaction holds the locks of all before.",
                f"Validate it {ALONE}.",
            )
        elif re.match(r"ALTER (COLUMN )?\S+ SET NOT NULL", words):
            yield Hazard(f"{table} is read under a lock that nobody gets past.", _NOT_NULL)
            yield Hazard("Older code that leaves the column empty fails.", _CONTRACT, breaks=True)
        elif re.match(r"ALTER (COLUMN )?\S+ (SET DATA )?TYPE", words) and not widens:
            yield Hazard(f"{table} is written anew under a lock that nobody gets past.", _NEW_TYPE)
            yield Hazard("Older code expects the old type.", _CONTRACT, breaks=True)
        elif re.match(r"(RENAME|DROP)\b(?! CONSTRAINT)", words):
            yield Hazard(f"Older code still uses what is gone from {table}.", _DROPPED, breaks=True)


_CONTRACT = (
    "Do it in the release after the one that no longer uses it, and declare that one: "
    '`oldest_code = "…"`, its last revision.'
)
_DROPPED = (
    "Do it in the release after the one whose models no longer have it, and declare that one: "
    '`oldest_code = "…"`, its last revision.'
)
_NOT_NULL = (
    "Add the check `… IS NOT NULL` with postgresql_not_valid=True, validate it in a revision with "
    "`in_transaction = False`, then set NOT NULL, which reads nothing then, and say so here."
)
_NEW_TYPE = "Add a column of the new type, fill it, and change over in later releases."


def _added(table: str, action: str) -> Iterator[Hazard]:
    """A column that is added."""
    words = action.upper()
    _, has_default, default = action.partition(" DEFAULT ")
    if re.search(r"\b(BIG|SMALL)?SERIAL\b| GENERATED | IDENTITY\b", words):
        yield Hazard(
            f"{table} is written anew under a lock that nobody gets past.",
            "Add the column empty, and fill it in batches.",
        )
    elif has_default and {each.lower() for each in _CALL.findall(default)} - _STABLE:
        yield Hazard(
            f"{table} is written anew under a lock that nobody gets past, as each row gets a value "
            "of its own.",
            "Add the column without a default, set the default after that, and fill it in batches.",
        )
    elif " NOT NULL" in words and not has_default:
        yield Hazard(
            f"It fails if {table} has rows, and older code cannot add rows any more.",
            "Give it a constant server_default, or let it be nullable.",
        )
    if re.search(r" UNIQUE\b| PRIMARY KEY\b", words):
        yield from _constrained(table, " UNIQUE")


def _constrained(table: str, words: str) -> Iterator[Hazard]:
    """A constraint that is added."""
    if " USING INDEX " in words or " NOT VALID" in words:
        return
    if re.search(r"\b(FOREIGN KEY|CHECK)\b", words):
        yield Hazard(
            f"{table} is read while nobody can write to it.",
            f"Add it with postgresql_not_valid=True, and validate it {ALONE}.",
        )
    else:
        yield Hazard(
            f"Nobody can use {table} while the index of the constraint is built.",
            f"Build a unique index with postgresql_concurrently=True, {ALONE}, and then add the "
            "constraint USING INDEX.",
        )


def _parts(actions: str) -> Iterator[str]:
    """The actions of an ALTER TABLE, which commas outside of parentheses and quotes part."""
    depth, quoted, start = 0, False, 0
    for at, letter in enumerate(actions):
        if letter == "'":
            quoted = not quoted
        elif not quoted and letter in "()":
            depth += 1 if letter == "(" else -1
        elif not quoted and letter == "," and not depth:
            yield actions[start:at].strip()
            start = at + 1
    yield actions[start:].strip()


def _plain(name: str) -> str:
    return name.strip().replace('"', "")
