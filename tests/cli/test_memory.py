"""Shows that garbage collection is off while a command is imported, and on afterwards."""

import gc

from backstay.core.startup import hurry_imports, settle_memory


def test_garbage_collection_runs_again_after_the_imports() -> None:
    hurry_imports()
    assert not gc.isenabled()
    settle_memory()
    assert gc.isenabled()
    assert gc.get_threshold()[0] == 10_000
