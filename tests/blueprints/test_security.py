"""Shows which generated files lack a security fix, and that the changelog names them readably."""

from pathlib import Path

import pytest

from backstay.blueprints import changelog, records, security
from backstay.blueprints.changelog import SECURITY, Section, generated, released
from backstay.blueprints.kinds import KINDS
from backstay.blueprints.records import Record
from backstay.blueprints.tree import Plan

ENTRY = "Rows were counted wrongly: `entity:*/queries.py`, see `Reader.count`."
QUERIES, MODEL = "src/shop/rigs/queries.py", "src/shop/rigs/model.py"


def test_a_file_lacks_a_fix_until_it_is_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {QUERIES: "fixed = True\n", MODEL: "more = True\n"}
    sections = {"99.0.0": Section("99.0.0", None, {SECURITY: [ENTRY, "Of the package alone."]})}
    monkeypatch.setattr(security, "released", lambda: sections)
    monkeypatch.setattr(records, "__version__", "99.0.0")
    monkeypatch.setattr(security, "KINDS", {"entity": lambda *_: now})
    old = {QUERIES: "fixed = False\n", MODEL: "more = False\n"}
    Plan.of(tmp_path, old, Record("entity", "Rig", release="98.0.0")).apply()
    told = f"{QUERIES} lacks a security fix: {ENTRY} Run: backstay upgrade"
    assert list(security.unfixed(tmp_path)) == [told]
    Plan.of(tmp_path, now, Record("entity", "Rig", release="99.0.0")).apply()
    assert list(security.unfixed(tmp_path)) == []


def test_entries_name_generated_files_of_known_blueprints() -> None:
    assert generated(ENTRY) == [("entity", "*/queries.py")]
    named = [
        blueprint
        for section in released().values()
        for entry in section.entries.get(changelog.SECURITY, ())
        for blueprint, _ in generated(entry)
    ]
    assert set(named) <= set(KINDS)
