"""What persons do in projects, and the words for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.upgrades.grown import Grown

Deed = Callable[[Grown], None]
"""Something that a person does in a project, without a commit."""


@dataclass(frozen=True)
class Story:
    """A project and its person.

    Attributes:
        name: of the project.
        options: of `new`.
        begin: what is generated; each command is committed.
        edit: what the person changes by hand, before the first release.
        between: by release: what the person does after the upgrade to it.
        settle: by release: the files with conflicts, and what the person makes of each.
    """

    name: str
    options: Sequence[str]
    begin: Deed
    edit: Deed
    between: Mapping[int, Sequence[Deed]] = field(default_factory=dict)
    settle: Mapping[int, Mapping[str, Deed]] = field(default_factory=dict)


def command(*arguments: str) -> Deed:
    """A command that writes, and its commit."""

    def run(project: Grown) -> None:
        project.remember()
        project.call(*arguments)
        project.commit()

    return run


def changed(path: str, old: str, new: str) -> Deed:
    return lambda project: project.replace(path, old, new)


def appended(path: str, text: str) -> Deed:
    def write(project: Grown) -> None:
        (project.root / path).write_text(project.text(path) + text, "utf-8")

    return write


def written(path: str, text: str) -> Deed:
    def write(project: Grown) -> None:
        (project.root / path).parent.mkdir(parents=True, exist_ok=True)
        (project.root / path).write_text(text, "utf-8")

    return write


def together(*deeds: Deed) -> Deed:
    def do(project: Grown) -> None:
        for deed in deeds:
            deed(project)

    return do


def moved(old: str, new: str) -> Deed:
    def move(project: Grown) -> None:
        (project.root / new).parent.mkdir(parents=True, exist_ok=True)
        (project.root / old).rename(project.root / new)

    return move


HAND = '''

def described(context: TagContext) -> str:
    """Written by hand."""
    return f"{context!r}"
'''
LATER = (
    '\n\ndef longer(text: str) -> str:\n    """Written by hand."""\n    return f"{text} and more"\n'
)
LABELS = '''"""Labels, in nobody's feature."""

from backstay import Scope, TagContext, View, columns_of


class Label(View):
    """What is printed."""

    name: str


def label_of(context: TagContext) -> str:
    """What is printed."""
    return f"label of {context!r}"  # as the printer wants it


def is_own(context: TagContext) -> bool:
    """Whether the caller sees own rows only."""
    return context.grant.scope is Scope.OWN


COLUMNS = columns_of
'''
TEST = """

async def test_by_hand(client: AsyncClient) -> None:
    assert (await client.get("/health")).status_code == 200
"""
GOAL = "\n.PHONY: labels\nlabels: install ## print the labels\n\t$(BIN)/python -m {}.labels\n"
