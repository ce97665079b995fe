"""The words of generated names: their forms in Python, SQL, addresses and sentences."""

import builtins
import keyword
import re
from collections.abc import Iterable

CLASS = re.compile(r"[A-Z][A-Za-z0-9]*")
SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST = 30
"""Characters of a name: what is made of several must fit into lines, and into the 63 characters
that PostgreSQL keeps."""

BUILT_IN = frozenset(dir(builtins)) | {"copyright", "credits", "exit", "license", "quit"}
"""Functions that a variable of the same name would hide."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+")
_IRREGULAR = {
    "analysis": "analyses",
    "child": "children",
    "cookie": "cookies",
    "crisis": "crises",
    "criterion": "criteria",
    "datum": "data",
    "diagnosis": "diagnoses",
    "foot": "feet",
    "goose": "geese",
    "half": "halves",
    "hero": "heroes",
    "knife": "knives",
    "leaf": "leaves",
    "life": "lives",
    "man": "men",
    "movie": "movies",
    "mouse": "mice",
    "person": "people",
    "shelf": "shelves",
    "status": "statuses",
    "tooth": "teeth",
    "woman": "women",
}
_SAME = {"equipment", "information", "news", "series", "sheep", "species", "staff"}
_PARTICIPLES = {
    "begin": "begun",
    "build": "built",
    "buy": "bought",
    "do": "done",
    "draw": "drawn",
    "find": "found",
    "give": "given",
    "hold": "held",
    "keep": "kept",
    "lose": "lost",
    "make": "made",
    "pay": "paid",
    "put": "put",
    "read": "read",
    "refund": "refunded",
    "run": "run",
    "sell": "sold",
    "send": "sent",
    "set": "set",
    "sign": "signed",
    "take": "taken",
    "win": "won",
    "withdraw": "withdrawn",
    "write": "written",
}

_SQL = (
    "all analyse analyze and any array as asc asymmetric authorization between binary both by "
    "case cast check collate collation column concurrently constraint create cross "
    "current_date current_role current_time current_timestamp current_user default deferrable "
    "delete desc distinct do drop else end except exists false fetch for foreign freeze from "
    "full grant group having ilike in index initially inner insert intersect into is isnull "
    "join key lateral leading left like limit localtime localtimestamp natural not notnull "
    "null offset on only or order outer overlaps placing primary references returning right "
    "select session_user set similar some symmetric table tablesample then to trailing "
    "transaction true union unique update user using values variadic verbose view when where "
    "window with"
)
SQL_WORDS = frozenset(_SQL.split())
"""Words that PostgreSQL or SQLite read as something else than a name."""


def words(name: str) -> list[str]:
    """The words of a name, in lower case: ``PurchaseOrder`` has ``purchase`` and ``order``."""
    return [word.lower() for word in _WORDS.findall(name.replace("_", " "))]


def snake(name: str) -> str:
    """``PurchaseOrder`` as ``purchase_order``."""
    return "_".join(words(name))


def camel(name: str) -> str:
    """``purchase_order`` as ``PurchaseOrder``."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def spoken(name: str) -> str:
    """The name in a sentence: ``PurchaseOrder`` as ``purchase order``."""
    return " ".join(words(name))


def plural(name: str) -> str:
    """The plural of the last word of a name in snake case."""
    start, _, last = name.rpartition("_")
    return f"{start}_{_plural(last)}" if start else _plural(last)


def _plural(word: str) -> str:
    if word in _SAME:
        return word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("y") and word[-2:-1] not in set("aeiou"):
        return f"{word[:-1]}ies"
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    return f"{word}s"


def singular(name: str) -> str:
    """The singular of the last word of a name in snake case."""
    start, _, last = name.rpartition("_")
    for one, many in _IRREGULAR.items():
        if last == many:
            return f"{start}_{one}" if start else one
    if last in _SAME:
        return name
    for ending, instead in (
        ("ies", "y"),
        ("sses", "ss"),
        ("xes", "x"),
        ("ches", "ch"),
        ("shes", "sh"),
    ):
        if last.endswith(ending):
            return name.removesuffix(ending) + instead
    return name.removesuffix("s") if not last.endswith("ss") else name


def plural_fault(one: str, many: str) -> str:
    """What is wrong with a plural, both in snake case; empty if nothing is."""
    if one == many:
        same = f"singular and plural are the same, {many!r}."
        return f"{same} Give another plural: --plural {many}_list."
    if _is_plural(one) and many == plural(one):
        meant = camel(singular(one))
        return f"it looks like a plural. Write {meant}, or say the plural with --plural."
    return ""


def _is_plural(name: str) -> bool:
    """Whether a name is likely a plural, as `sites`, but not `status` or `atlas`."""
    alone = name.endswith(("as", "is", "os", "ss", "us", "ens"))
    return name.endswith("s") and not alone and plural(singular(name)) == name


def variable(name: str) -> str:
    """The name in snake case as a variable: with an underscore behind it, if Python has it."""
    return f"{name}_" if name in BUILT_IN or keyword.iskeyword(name) else name


def article(phrase: str) -> str:
    """The phrase with its indefinite article: ``an item``."""
    silent = ("hour", "heir", "honest", "honour", "honor")
    sounded = ("uni", "use", "usa", "eu", "one", "ute", "uti")
    vowel = phrase[:1] in set("aeiou") and not phrase.startswith(sounded)
    return f"{'an' if vowel or phrase.startswith(silent) else 'a'} {phrase}"


def participles(verb: str) -> list[str]:
    """What a verb may have done to something, the likeliest first: ``pay`` gives ``paid``."""
    found = [_PARTICIPLES[verb]] if verb in _PARTICIPLES else []
    if verb.endswith("e"):
        found.append(f"{verb}d")
    elif verb.endswith("y") and verb[-2:-1] not in set("aeiou"):
        found.append(f"{verb[:-1]}ied")
    elif re.search(r"[^aeiouwxy][aeiou][^aeiouwxy]$", verb):
        doubled = len(re.findall("[aeiou]+", verb)) == 1 or verb in {"cancel", "submit", "admit"}
        forms = [f"{verb}ed", f"{verb}{verb[-1]}ed"]
        found += reversed(forms) if doubled else forms
    else:
        found.append(f"{verb}ed")
    return [*dict.fromkeys([*found, f"{verb}ed", f"{verb}d", verb])]


def name_fault(
    name: str, form: re.Pattern[str], of: str, *, like: str = "", sql: bool = True
) -> str | None:
    """A sentence about what keeps a word from being a name in Python and in SQL, or None.

    Args:
        name: the word.
        form: `CLASS` or `SNAKE`.
        of: whose name it would be: ``a job``.
        like: names of this form, for the sentence.
        sql: whether it also gets into SQL.
    """
    if not form.fullmatch(name):
        usual = "Rig or PurchaseOrder" if form is CLASS else "depth or placed_at"
        return no_name(name, of, f"write it like {like or usual}")
    if len(name if form is SNAKE else snake(name)) > LONGEST:
        return no_name(name, of, f"it has more than {LONGEST} characters, with underscores")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return no_name(name, of, "it is a Python keyword")
    if name in {"self", "cls"}:
        return no_name(name, of, "Python code uses it for something else")
    if sql and form is SNAKE and name in SQL_WORDS:
        return no_name(name, of, "it is an SQL keyword")
    return None


def no_name(name: str, of: str, why: str) -> str:
    """The sentence that a word cannot be a name."""
    return f"{f'`{name}`' if name else 'An empty text'} cannot be the name of {of}: {why}."


def listed(names: Iterable[str], last: str = "and") -> str:
    """The names as part of a sentence: ``a, b and c``."""
    *most, end = list(names) or [""]
    return f"{', '.join(most)} {last} {end}" if most else end
