"""Shows that one page names every type that a handler can take, and no other."""

import re
from collections.abc import Mapping
from inspect import isclass
from pathlib import Path
from typing import Any, get_args

import pytest

import backstay
from backstay.composition import compose, pipelines
from backstay.core.bus import Bus, Step
from backstay.core.messages import Command, Message
from backstay.core.registry import Provider
from backstay.testing import settings_with
from tests.architecture.test_docs import differences, tables
from tests.architecture.tree import ROOT

Provided = dict[type[Any], tuple[Any, ...]]
"""By commands and queries: the types that their handlers can take."""
COMMANDS_ONLY = "Commands only"
PAGE = tables((ROOT / "docs/guides/parameters-of-handlers.md").read_text("utf-8"))


@pytest.fixture
def provided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Provided:
    """What handlers of commands and of queries can take."""
    found: Provided = {}

    class RecordingBus(Bus):
        def route(
            self,
            kind: type[Message[Any]],
            pipeline: tuple[Step, ...],
            providers: Mapping[Any, Provider],
        ) -> None:
            found[kind] = tuple(providers)
            super().route(kind, pipeline, providers)

    monkeypatch.setattr(pipelines, "Bus", RecordingBus)
    compose(settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path))
    return found


def documented(kind: Any) -> str:
    """The name of a type as the page writes it."""
    named, *_ = get_args(kind) or (kind,)
    name = kind.__name__ if isclass(kind) and kind is named else str(kind)
    return re.sub(r"[\w.]+\.(?=\w)", "", name).replace("|", r"\|")


def test_the_page_names_every_type_that_a_handler_can_take(provided: Provided) -> None:
    named = {name: "" for table in PAGE.values() for name in table}
    known = {documented(kind): "" for kind in provided[Command]}
    assert differences(named, known) == []


def test_a_project_imports_each_of_them_from_the_package(provided: Provided) -> None:
    types = {(get_args(kind) or (kind,))[0] for kind in provided[Command]}
    assert [each for each in types if vars(backstay)["_FROM"].get(each.__name__) is None] == []
    assert [each for each in types if getattr(backstay, each.__name__) is not each] == []


def test_the_page_sets_apart_what_only_commands_provide(provided: Provided) -> None:
    commands, queries = ({documented(kind) for kind in kinds} for kinds in provided.values())
    assert PAGE[COMMANDS_ONLY].keys() == commands - queries


def test_each_type_is_in_one_table() -> None:
    names = [name for table in PAGE.values() for name in table]
    assert len(names) > 30
    assert sorted(names) == sorted(set(names))
