"""Random descriptions of entities, as somebody might write them on the command line."""

from dataclasses import replace
from random import Random

from backstay.blueprints.entities.checks import Taken, faults_of
from backstay.blueprints.entities.command_line import entity_of
from backstay.blueprints.entities.description import USER, Entity, Known, known_of
from backstay.blueprints.words import LONGEST, plural, snake

NOUNS = (
    *("Anchor", "Boat", "Buoy", "Cable", "Crane", "Dock", "Engine", "Ferry", "Gauge", "Hull"),
    *("Invoice", "Jetty", "Keel", "Lantern", "Mast", "Needle", "Oar", "Pulley", "Quay", "Rope"),
    *("Survey", "Tug", "Uniform", "Vessel", "Winch", "Yard", "Box", "Company", "Person", "Hour"),
)
AWKWARD = (
    *("APIKey", "Property", "Filter", "Login", "Map", "Part", "Status", "Batch", "X"),
    *("Report", "Upload", "Format", "License", "Input", "Analysis", "Mp3", "Data", "Error"),
    *(
        "Response",
        "Route",
        "Schema",
        "Test",
        "Module",
        "Object",
        "Module2",
        "Next",
        "File",
    ),
    *(
        "Language",
        "Column",
        "Class",
        "Match",
        "Pass",
        "Case",
        "CV",
        "QRCode",
        "Table1",
        "Http2Server",
        "Type",
    ),
)
"""Names of built-in functions, of modules, of things of Backstay, and such with odd plurals."""
FIELDS = (
    *("name", "title", "note", "depth", "weight", "colour", "code", "number", "label", "serial"),
    *("built_on", "seen_at", "price", "tax", "ratio", "extra", "is_open", "remark", "level"),
    *("text", "format", "hash", "filter", "input", "sum", "max", "fields", "query"),
    *("session", "reader", "send", "body", "path", "row", "rows", "command", "context", "clock"),
    *("money", "decimal", "uuid", "enum", "json_value", "email", "state"),
    *("feature", "resource", "entity", "scope", "owner", "users", "role", "count", "made", "ann"),
    *("login", "x", "item2", "a1_b2", "field", "range", "listing", "value", "equals", "views"),
    *(
        "created",
        "deleted",
        "kinds",
        "kind",
        "self_made",
        "no",
        "id_number",
        "ids",
        "next",
        "pages",
    ),
)
TYPES = (
    *("str", "str:20", "str:1", "str:2", "str:10000", "text", "int", "float", "bool"),
    *("datetime", "date", "money", "decimal", "decimal:1", "decimal:3", "decimal:12", "uuid"),
    *("json", "red,green,blue", "class,none,true1", "on,off"),
)
DEFAULTS = {
    "str": ("x y", "it's", "100 % of {x}: \\ /", "é ü 日本", "true"),
    "str:10000": ("x" * 60,),
    "text": ('a "quoted" text', 'it\'s "both"', "'single'", "\\n %s :name {}"),
    "int": ("-7", "0", "2147483647", "-2147483648"),
    "float": ("2.5", "0", "-3"),
    "bool": ("true", "false"),
    "money": ("9.90", "-5", "0", "0.5"),
    "decimal": ("0.25", "-0.0001"),
    "decimal:1": ("7",),
    "decimal:12": ("0.000000000001",),
    "red,green,blue": ("green", "red"),
    "on,off": ("off",),
}
SINGLE = (
    *("str", "str:20", "str:1", "str:2", "int", "float", "datetime", "date", "money", "uuid"),
    *("decimal", "decimal:3", "decimal:12"),
)
"""Types that can be unique."""
CHILDREN = ("lines", "parts", "boxes", "entries", "people")
STATUSES = (
    ("status:draft,placed,paid", "place,pay"),
    ("status:draft,placed,paid", "place,pay,cancel"),
    ("state:draft,placed,paid", "skip:draft+placed>paid"),
    ("status:open,closed", "close,reopen:closed>open"),
    ("phase:new,approved=approved", "approve,withdraw:approved>withdrawn"),
)


def random_entities(seed: int, count: int) -> list[Entity]:
    """Entities that may refer to those before them, the same for the same seed."""
    random = Random(seed)
    made: list[Entity] = []
    for name in _names(random, count):
        others = [each.name for each in made]
        made.append(random_entity(random, name, others))
        while any("generated code has a" in fault for fault in _faults(made)):
            made[-1] = random_entity(random, name, others)  # two of its names meet in one class
    return made


def _faults(entities: list[Entity]) -> list[str]:
    known = {"User": USER} | {each.name: known_of(each, "shop") for each in entities}
    return list(faults_of(entities, Taken(known=known)))


def _names(random: Random, count: int) -> list[str]:
    names = random.sample((*NOUNS, *AWKWARD), min(count, len(NOUNS) + len(AWKWARD)))
    names += [f"{NOUNS[number % len(NOUNS)]}Number{number}" for number in range(count - len(names))]
    if random.random() < 0.3:
        names[-1] = _long(random, "Extraordinary").title().replace("_", "")
    return names


def _long(random: Random, start: str) -> str:
    """A name as long as a name may be, the plural of which is not longer."""
    letters = "".join(random.choice("bcdfgklmnprt") for _ in range(LONGEST - len(start) - 2))
    return f"{start}_{letters}".lower()


def random_entity(random: Random, name: str, others: list[str]) -> Entity:
    """An entity with nothing wrong about it."""
    most = 24 if random.random() < 0.1 else 6
    fields = _fields(random, random.randint(1, most))
    if random.random() < 0.1:
        fields.append(_field(random, _long(random, "extraordinary")))
    for target in random.sample(others, min(len(others), random.choice((0, 0, 1, 2)))):
        marks = random.choice(("", "?", "!", "?!"))
        fields.append(f"{snake(target)[:27]}:ref({target}){marks}")
    if random.random() < 0.2:
        fields.append(f"above:ref({name})?")
    if random.random() < 0.3:
        fields.append(f"keeper:ref(User){random.choice(('', '?', '!'))}")
    transitions = ""
    if random.random() < 0.3:
        told, transitions = random.choice(STATUSES)
        fields = [each for each in fields if each.partition(":")[0] not in {"status", "state"}]
        fields.insert(random.randint(0, len(fields)), told)
        fields.append("remarks:text?")
    entity, problems = entity_of(
        name,
        fields,
        owned=random.random() < 0.6,
        soft_delete=random.random() < 0.5,
        children=_children(random, name),
        transitions=transitions,
    )
    assert problems == []
    return replace(entity, integer_key=random.random() < 0.15)


def _children(random: Random, entity: str) -> list[str]:
    if random.random() < 0.7:
        return []
    made = []
    for name in random.sample(CHILDREN, random.choice((1, 1, 2))):
        if name != plural(snake(entity)):
            fields = _fields(random, random.randint(1, 5))
            told = [each.replace("!", "") for each in fields if "=" not in each]
            made.append(f"{name}:{','.join(['word:str', *told])}")
    return made


def _fields(random: Random, count: int) -> list[str]:
    return [_field(random, name) for name in random.sample(FIELDS, count)]


def _field(random: Random, name: str) -> str:
    kind = random.choice([each for each in TYPES if (name, each) != ("format", "json")])
    how = random.random()
    if how < 0.3:
        return f"{name}:{kind}?"
    if how < 0.5 and kind in DEFAULTS:
        marks = random.choice(("", "", "?"))
        return f"{name}:{kind}{marks}={random.choice(DEFAULTS[kind])}"
    if how < 0.65 and kind in SINGLE:
        return f"{name}:{kind}!{random.choice(('', '', '?'))}"
    return f"{name}:{kind}"


def known_with(entities: list[Entity], project: str = "shop") -> dict[str, Known]:
    """What these entities may refer to."""
    known = {"User": USER} | {each.name: known_of(each, project) for each in entities}
    faults = faults_of(entities, Taken(known=known))
    assert not faults, faults
    return known
