"""Shows that no changed bit and no missing byte of a backup goes unnoticed: a sample."""

from random import Random

import pytest

from backstay.core.backups import BackupError
from backstay.settings.age import new_identity
from tests.backups.chaos import damage, killed_restores, noticed
from tests.backups.rigs import Place


@pytest.mark.parametrize("seed", range(6))
def test_damage_is_noticed_and_nothing_changes(on_file: Place, seed: int) -> None:
    manifest = on_file.proven()
    before = on_file.run("SELECT count(*) FROM users")
    what = damage(Random(seed), on_file.backups, manifest)
    assert noticed(on_file, manifest.name), what
    assert on_file.run("SELECT count(*) FROM users") == before


def test_another_key_is_told_apart_from_damage(on_file: Place) -> None:
    manifest = on_file.proven()
    other = on_file.having(BACKUP_KEY=new_identity())
    with pytest.raises(BackupError, match="sealed with another key than BACKUP_KEY"):
        other.restore(manifest.name)
    with pytest.raises(BackupError, match="There is no backup of backstay"):
        other.restore("latest")


def test_latest_is_never_one_that_lacks_the_seal(on_file: Place) -> None:
    """Whoever may write into the storage, but has no key, cannot have a database restored."""
    on_file.having(BACKUP_KEY="").proven()
    with pytest.raises(BackupError, match=r"No backup in .* is proven"):
        on_file.restore("latest")


def test_a_killed_restore_leaves_one_whole_database(on_file: Place) -> None:
    assert sum(killed_restores(on_file, 1, Random(1))) == 1
