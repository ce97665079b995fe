"""Shows that storage that speaks S3 holds whole backups alone, and never more than it must."""

import os
import tracemalloc
from contextlib import suppress

import obstore
import pytest
from obstore.exceptions import BaseError

from backstay.backups import bucket
from backstay.backups.storage import storage_of
from backstay.core.backups import BackupError
from tests.backups.rigs import Place
from tests.services.seaweed import SeaweedServer

PART = 5 << 20


@pytest.fixture(autouse=True)
def _no_foreign_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)


def test_a_bucket_holds_backups_like_a_folder(on_file: Place, bucket_server: SeaweedServer) -> None:
    place = on_file.having(**bucket_server.variables)
    manifest = place.proven()
    assert place.made().location == "s3://backups/shop"
    on_file.run("UPDATE users SET name = 'changed'")
    place.restore(manifest.name, drop_old=True)
    assert on_file.run("SELECT name FROM users") != [("changed",)]
    assert place.having(BACKUP_KEEP="1").made().removed
    assert [entry.name for entry in place.catalogue.entries()][1:] == []


def test_a_broken_upload_is_never_seen(
    on_file: Place, bucket_server: SeaweedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_PART", PART)
    storage = storage_of(on_file.having(**bucket_server.variables).settings.backup)
    with suppress(InterruptedError), storage.writing("big.bin") as sink:
        for _ in range(3):
            sink.write(os.urandom(PART))
        assert "big.bin" not in storage.names()
        raise InterruptedError
    assert "big.bin" not in storage.names()


def test_an_upload_of_many_parts_is_streamed(
    on_file: Place, bucket_server: SeaweedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_PART", PART)
    storage = storage_of(on_file.having(**bucket_server.variables).settings.backup)
    data = os.urandom(1 << 20)
    tracemalloc.start()
    with storage.writing("big.bin") as sink:
        for _ in range(70):
            sink.write(data)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 50 << 20
    with storage.reading("big.bin") as source:
        assert sum(len(part) for part in iter(lambda: source.read(1 << 20), b"")) == 70 << 20
    storage.delete("big.bin")


def test_wrong_keys_are_told_in_a_sentence(on_file: Place, bucket_server: SeaweedServer) -> None:
    variables = bucket_server.variables | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    report = on_file.having(**variables).made()
    assert report.state == "failed"
    assert report.reason.startswith("The storage s3://backups/shop refuses: ")
    assert "wrong" not in report.reason


def test_an_address_with_keys_is_no_place_for_backups(on_file: Place) -> None:
    with pytest.raises(BackupError, match="without keys"):
        storage_of(on_file.settings.backup, "s3://id:secret@bucket/prefix")


def test_missing_credentials_are_named(on_file: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library then asks the machine for them, as if it were one of AWS."""

    def refuse(*_: object) -> None:
        raise BaseError("Error performing PUT http://169.254.169.254/latest/api/token")

    monkeypatch.setattr(obstore, "list_with_delimiter", refuse)
    with pytest.raises(BackupError, match="no credentials for s3://x/y: set BACKUP_S3_ACCESS_KEY"):
        storage_of(on_file.settings.backup, "s3://x/y").names()
