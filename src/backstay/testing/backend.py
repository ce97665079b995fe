"""Asynchronous tests run on asyncio.

The kit registers this module after all plugins are loaded: the fixture of the last one is used, and
that of anyio would run each test on every installed library.
"""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The library on which asynchronous tests run."""
    return "asyncio"
