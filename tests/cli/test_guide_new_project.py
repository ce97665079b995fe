"""The commands of the guide "A new project" work as they are printed."""

import re
import shlex
from pathlib import Path

from tests.architecture.tree import ROOT
from tests.cli.conftest import Call
from tests.cli.test_new import PERSON

GUIDE = (ROOT / "docs" / "guides" / "new-project.md").read_text("utf-8")
COMMANDS = re.findall(r"^backstay (new .*)$", GUIDE, re.M)


def test_every_printed_command_begins_a_project(tmp_path: Path, call: Call) -> None:
    for command in COMMANDS:
        made = call(*shlex.split(command), **PERSON)
        assert made.code == 0, made.errors
    made_in = sorted(path.parent.name for path in tmp_path.rglob("Makefile"))
    assert made_in == ["own_shop", "shop", "tool", "web_shop"]
