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
    with pytest.raises(BackupError, match="sealed with another key than BACKUP_KEY"):
        other.restore("latest")


def test_latest_is_none_that_is_older_than_a_locked_one(on_file: Place) -> None:
    plain = on_file.having(BACKUP_KEY="")
    older, newer = plain.proven(), on_file.proven()
    for key, told in (("", "was made with BACKUP_KEY"), (new_identity(), "with another key than")):
        other = on_file.having(BACKUP_KEY=key)
        with pytest.raises(BackupError, match=told) as refused:
            other.restore("latest")
        assert newer.name in str(refused.value)
    with pytest.raises(BackupError, match=f"Only an older one, {older.name}, can be read: name it"):
        plain.restore("latest")
    plain.restore(older.name)
    on_file.restore("latest")


def test_what_another_environment_sealed_is_in_nobodys_way(on_file: Place) -> None:
    mine = on_file.proven()
    other = on_file.having(BACKUP_KEY=new_identity())
    manifest = other.proven().model_copy(update={"environment": "staging"})
    other.catalogue.write(manifest)
    assert on_file.catalogue.find("latest", "backstay", "local", "sqlite").name == mine.name


def test_latest_is_of_the_kind_of_the_database(on_file: Place) -> None:
    on_file.proven()
    with pytest.raises(BackupError, match=r"There is no backup of .* from PostgreSQL in"):
        on_file.catalogue.find("latest", "backstay", "local", "postgresql")


def test_latest_is_never_one_that_lacks_the_seal(on_file: Place) -> None:
    """Whoever may write into the storage, but has no key, cannot have a database restored."""
    on_file.having(BACKUP_KEY="").proven()
    with pytest.raises(BackupError, match=r"No backup in .* is proven"):
        on_file.restore("latest")


def test_a_killed_restore_leaves_one_whole_database(on_file: Place) -> None:
    assert sum(killed_restores(on_file, 1, Random(1))) == 1
