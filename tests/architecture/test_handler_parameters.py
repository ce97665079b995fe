"""Shows that one page names every type that a handler can take, and no other."""

import re
from collections.abc import Mapping
from inspect import isclass
from pathlib import Path
from typing import Any, get_args

import pytest

from backstay.composition import compose, pipelines
from backstay.core.bus import Bus, Step
from backstay.core.messages import Command, Message
from backstay.core.registry import Provider
from backstay.testing import settings_with
from tests.architecture.test_docs import differences, tables
from tests.architecture.tree import ROOT

COMMANDS_ONLY = "Commands only"
PAGE = tables((ROOT / "docs/guides/parameters-of-handlers.md").read_text("utf-8"))


@pytest.fixture
def provided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[type[Any], dict[str, str]]:
    """What handlers of commands and of queries can take: the name of each type, and its module."""
    found: dict[type[Any], dict[str, str]] = {}

    class RecordingBus(Bus):
        def route(
            self,
            kind: type[Message[Any]],
            pipeline: tuple[Step, ...],
            providers: Mapping[Any, Provider],
        ) -> None:
            found[kind] = dict(map(documented, providers))
            super().route(kind, pipeline, providers)

    monkeypatch.setattr(pipelines, "Bus", RecordingBus)
    compose(settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path))
    return found


def documented(kind: Any) -> tuple[str, str]:
    """The name of a type as the page writes it, and where handlers import it from."""
    named, *_ = get_args(kind) or (kind,)
    module = named.__module__
    if module.startswith("backstay.settings."):
        module = "backstay.settings"
    name = kind.__name__ if isclass(kind) and kind is named else str(kind)
    return re.sub(r"[\w.]+\.(?=\w)", "", name).replace("|", r"\|"), module


def test_the_page_names_every_type_that_a_handler_can_take(
    provided: dict[type[Any], dict[str, str]],
) -> None:
    named = {name: module for table in PAGE.values() for name, module in table.items()}
    assert differences(named, provided[Command]) == []


def test_the_page_sets_apart_what_only_commands_provide(
    provided: dict[type[Any], dict[str, str]],
) -> None:
    commands, queries = provided.values()
    assert PAGE[COMMANDS_ONLY].keys() == commands.keys() - queries.keys()


def test_each_type_is_in_one_table() -> None:
    names = [name for table in PAGE.values() for name in table]
    assert len(names) > 30
    assert sorted(names) == sorted(set(names))
