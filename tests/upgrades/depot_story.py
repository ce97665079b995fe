"""A depot: without mail and tasks, with items as its own, and files renamed and edited."""

from tests.upgrades.story import (
    GOAL,
    HAND,
    LABELS,
    TEST,
    Story,
    appended,
    changed,
    command,
    moved,
    together,
    written,
)

_COPY = "src/depot/features/items"

DEPOT = Story(
    "depot",
    ("--without", "mail,tasks"),
    together(
        command("eject", "--as-own", "items"),
        command("add", "Pallet", "code:str:20!", "weight:float?", "--owned", "--soft-delete"),
        command("add", "setting", "bays:int=4", "--to", "pallets"),
        command("add", "role", "keeper", "--to", "pallets"),
    ),
    together(
        written("src/depot/labels.py", LABELS),
        appended(f"{_COPY}/queries.py", HAND),
        moved("tests/test_application.py", "tests/start/test_it_starts.py"),
        appended("tests/start/test_it_starts.py", TEST),
        changed("Makefile", "ARGS ?=\n", "ARGS ?=\nDEPOT ?= north\n"),
        appended("Makefile", GOAL.format("depot")),
        changed(".github/workflows/ci.yml", "timeout-minutes: 20", "timeout-minutes: 45"),
        changed("pyproject.toml", 'name = "depot"\nversion', 'name = "depot-north"\nversion'),
        changed("README.md", "## Two commands\n", "## Three commands\n"),
        written(".editorconfig", "[*.py]\nindent_size = 4\n"),
        changed(
            "src/depot/features/pallets/commands.py",
            '"""Replace a pallet as',
            '"""Swap a pallet as',
        ),
        changed(".gitignore", "/uploads/\n", "/uploads/\n/scans/\n"),
    ),
    between={
        2: (command("add", "Scan", "pallet:ref(Pallet)", "at:datetime"),),
        4: (
            changed(f"{_COPY}/queries.py", '"""Written by hand."""', '"""By hand, and twice."""'),
            changed("src/depot/features/scans/model.py", '"""A scan', '"""A look: a scan'),
        ),
        6: (command("add", "Pallet", "height:float?"),),
    },
    settle={
        1: {
            "src/depot/features/pallets/commands.py": changed(
                "src/depot/features/pallets/commands.py",
                "Swap a pallet as a whole",
                "Swap a pallet",
            )
        },
    },
)
"""Without mail and tasks, with items as its own, and files renamed and edited everywhere."""
