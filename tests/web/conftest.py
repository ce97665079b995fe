"""What every test of the edge takes for granted."""

from tests.patient import settings, still_limits  # noqa: F401
