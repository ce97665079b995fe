"""Links to Redis, and how time passes for those who use them."""

from tests.redis.conftest import linked, patient, standing, wire, without_beats

__all__ = ["linked", "patient", "standing", "wire", "without_beats"]
