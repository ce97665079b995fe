"""Commands that are killed anywhere leave a project as before, as after, or to be continued.

`make kills` does the same 50 times with every command.
"""

from pathlib import Path

import pytest

from tests.blueprints.kills import trials


@pytest.mark.parametrize("name", ["new", "eject", "uneject"])
def test_a_killed_command_loses_nothing(name: str, tmp_path: Path) -> None:
    for trial in trials(name, tmp_path, most=1):
        for seed in range(2):
            trial.kill(tmp_path / f"killed-{seed}", seed, timed=False)
