"""Shows the cost of hashes, and what happens to waiting sign-ins when the server stops."""

import asyncio
import subprocess
import sys
import threading

import pytest
from pwdlib.hashers.argon2 import Argon2Hasher

from backstay.core.errors import Unavailable
from backstay.security.passwords import Argon2Passwords

pytestmark = pytest.mark.anyio


async def test_sign_ins_waiting_at_a_stop_are_refused_as_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_end = threading.Event()
    monkeypatch.setattr(Argon2Hasher, "verify", lambda *_: may_end.wait())
    passwords = Argon2Passwords(threads=1)
    waiting = [asyncio.create_task(passwords.verify("secret", None)) for _ in range(20)]
    await asyncio.sleep(0)
    passwords.close()
    may_end.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
    assert len(refused) == 19
    assert all(outcome is False for outcome in outcomes if outcome not in refused)
    with pytest.raises(Unavailable, match="stopping"):
        await passwords.hash("secret")


async def test_a_caller_that_leaves_while_waiting_is_cancelled() -> None:
    passwords = Argon2Passwords(threads=1)
    first, second = (asyncio.create_task(passwords.hash("secret")) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (await first).startswith("$argon2id$")
    passwords.close()


def test_hashes_cost_what_owasp_asks_for() -> None:
    code = (
        "import asyncio; from backstay.security.passwords import Argon2Passwords as P;"
        "print(asyncio.run(P().hash('secret')))"
    )
    hashed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert b"$m=19456,t=2,p=1$" in hashed
