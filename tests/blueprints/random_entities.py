"""Random descriptions of entities, as somebody might write them on the command line."""

from dataclasses import replace
from random import Random

from backstay.blueprints.entities.checks import Taken, faults_of
from backstay.blueprints.entities.command_line import entity_of
from backstay.blueprints.entities.description import USER, Entity, Known, known_of

NOUNS = (
    *("Anchor", "Boat", "Buoy", "Cable", "Crane", "Dock", "Engine", "Ferry", "Gauge", "Hull"),
    *("Invoice", "Jetty", "Keel", "Lantern", "Mast", "Needle", "Oar", "Pulley", "Quay", "Rope"),
    *("Survey", "Tug", "Uniform", "Vessel", "Winch", "Yard", "Box", "Company", "Person", "Hour"),
)
FIELDS = (
    *("name", "title", "note", "depth", "weight", "colour", "code", "number", "label", "serial"),
    *(
        "built_on",
        "seen_at",
        "price",
        "tax",
        "ratio",
        "extra",
        "is_open",
        "remark",
        "level",
        "text",
    ),
)
TYPES = (
    *("str", "str:20", "str:1", "text", "int", "float", "bool", "datetime", "date", "money"),
    *("decimal", "decimal:3", "decimal:12", "uuid", "json", "red,green,blue"),
)
DEFAULTS = {
    "str": "x y",
    "text": 'a "quoted" text',
    "int": "-7",
    "float": "2.5",
    "bool": "true",
    "money": "9.90",
    "decimal": "0.25",
    "red,green,blue": "green",
}
SINGLE = ("str", "str:20", "int", "float", "datetime", "date", "money", "decimal:3", "uuid")
"""Types that can be unique."""


def random_entities(seed: int, count: int) -> list[Entity]:
    """Entities that may refer to those before them, the same for the same seed."""
    random = Random(seed)
    made: list[Entity] = []
    for number in range(count):
        noun = NOUNS[number % len(NOUNS)]
        name = noun if number < len(NOUNS) else f"{noun}Number{number}"
        made.append(random_entity(random, name, [each.name for each in made]))
    return made


def random_entity(random: Random, name: str, others: list[str]) -> Entity:
    """An entity with nothing wrong about it."""
    fields = [_field(random, each) for each in random.sample(FIELDS, random.randint(1, 6))]
    for target in random.sample(others, min(len(others), random.choice((0, 0, 1, 2)))):
        fields.append(f"{target.lower()}:ref({target}){random.choice(('', '?', '!'))}")
    if random.random() < 0.2:
        fields.append(f"above:ref({name})?")
    if random.random() < 0.2:
        fields.append("keeper:ref(User)?")
    transitions = ""
    if random.random() < 0.3:
        fields.append("status:draft,placed,paid")
        fields = [each for each in fields if "red,green" not in each]
        fields.append("remarks:text?")
        transitions = random.choice(("place,pay", "place,pay,cancel", "skip:draft+placed>paid"))
    children = ["parts:word:str,amount:money?,size:int=1"] if random.random() < 0.3 else []
    entity, problems = entity_of(
        name,
        fields,
        owned=random.random() < 0.6,
        soft_delete=random.random() < 0.5,
        children=children,
        transitions=transitions,
    )
    assert problems == []
    return replace(entity, integer_key=random.random() < 0.15)


def _field(random: Random, name: str) -> str:
    kind = random.choice(TYPES)
    how = random.random()
    if how < 0.3:
        return f"{name}:{kind}?"
    if how < 0.45 and kind in DEFAULTS:
        return f"{name}:{kind}={DEFAULTS[kind]}"
    if how < 0.6 and kind in SINGLE:
        return f"{name}:{kind}!"
    return f"{name}:{kind}"


def known_with(entities: list[Entity], project: str = "shop") -> dict[str, Known]:
    """What these entities may refer to."""
    known = {"User": USER} | {each.name: known_of(each, project) for each in entities}
    faults = faults_of(entities, Taken(known=known))
    assert not faults, faults
    return known
