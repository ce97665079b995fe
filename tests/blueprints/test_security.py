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


def test_a_fix_left_out_of_a_conflict_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {QUERIES: "first = True\nmiddle = 0\nfixed = True\n"}
    monkeypatch.setattr(records, "__version__", "99.0.0")
    sections = {"99.0.0": Section("99.0.0", None, {SECURITY: [ENTRY]})}
    monkeypatch.setattr(security, "released", lambda: sections)
    monkeypatch.setattr(security, "KINDS", {"entity": lambda *_: now})
    old = {QUERIES: "first = True\nmiddle = 0\nfixed = False\n"}
    Plan.of(tmp_path, old, Record("entity", "Rig", release="98.0.0")).apply()
    (tmp_path / QUERIES).write_text("first = True\nmiddle = 0\nfixed = None\n")
    new = Record("entity", "Rig", release="99.0.0")
    Plan.of(tmp_path, now, new).apply()
    (tmp_path / f"{QUERIES}.conflict").unlink()
    [told] = security.unfixed(tmp_path)
    assert told.startswith(f"{QUERIES} may lack a security fix, since lines were left out of")
    Plan.of(tmp_path, now, new).apply()
    assert [*security.unfixed(tmp_path)] == [told]
    (tmp_path / QUERIES).write_text("first = 1\nmiddle = 0\nfixed = True\n")
    assert list(security.unfixed(tmp_path)) == []
    Plan.of(tmp_path, now, new).apply()
    (tmp_path / QUERIES).write_text("first = 1\nmiddle = 0\nfixed = None\n")
    assert list(security.unfixed(tmp_path)) == []  # another change, which was no conflict


def test_entries_name_generated_files_of_known_blueprints() -> None:
    assert generated(ENTRY) == [("entity", "*/queries.py")]
    named = [
        blueprint
        for section in released().values()
        for entry in section.entries.get(changelog.SECURITY, ())
        for blueprint, _ in generated(entry)
    ]
    assert set(named) <= set(KINDS)
