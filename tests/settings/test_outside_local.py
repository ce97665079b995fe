"""Shows which settings are refused outside `local`, and accepted in `local`."""

import pytest

from tests.settings.reading import Read, faulty

SEVERAL = {"SERVER_WORKERS": "2", "DB_URL": "postgresql://host/name"}
REDIS = {"REDIS_URL": "redis://host"}

REFUSED = [
    ("APP_DEBUG", {"APP_DEBUG": "true"}),
    ("SERVER_TRUSTED_PROXIES", {"SERVER_TRUSTED_PROXIES": "*"}),
    ("SERVER_TRUSTED_PROXIES", {"SERVER_TRUSTED_PROXIES": "10.0.0.0/8,0.0.0.0/0"}),
    ("SERVER_TRUSTED_PROXIES", {"SERVER_TRUSTED_PROXIES": "::/0"}),
    ("SERVER_TRUSTED_PROXIES", {"SERVER_TRUSTED_PROXIES": "0.0.0.0/1,128.0.0.0/1"}),
    ("SERVER_WORKERS", {"SERVER_WORKERS": "2", **REDIS}),
    ("SERVER_WORKERS", {"SERVER_WORKERS": "auto", **REDIS}),
    ("SERVER_WORKERS", {"SERVER_WORKERS": "2", "DB_DRIVER": "sqlite", **REDIS}),
    ("DB_FALLBACK_TO_SQLITE", {"DB_FALLBACK_TO_SQLITE": "true", "DB_NAME": "shop"}),
    ("REDIS_URL", {**SEVERAL, "REDIS_URL": "memory://"}),
    ("REDIS_URL", {**SEVERAL, "REDIS_URL": "memory://", "RATE_LIMIT_ENABLED": "false"}),
    ("REDIS_RATE_LIMIT_URL", {**SEVERAL, **REDIS, "REDIS_RATE_LIMIT_URL": "memory://"}),
    ("REDIS_CACHE_URL", {**SEVERAL, **REDIS, "REDIS_CACHE_URL": "memory://"}),
]


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize(("variable", "environ"), REFUSED)
def test_unsafe_settings_are_refused_outside_local(
    read: Read,
    production: dict[str, str],
    environment: str,
    variable: str,
    environ: dict[str, str],
) -> None:
    loaded = read(production | environ, ENVIRONMENT=environment)
    assert faulty(loaded) == [variable]
    assert loaded.settings is None


def test_several_workers_without_postgresql_and_redis_are_refused(
    read: Read, production: dict[str, str]
) -> None:
    assert faulty(read(production, SERVER_WORKERS="2")) == ["SERVER_WORKERS", "REDIS_URL"]


@pytest.mark.parametrize(("variable", "environ"), REFUSED)
def test_unsafe_settings_are_accepted_in_local(
    read: Read, variable: str, environ: dict[str, str]
) -> None:
    loaded = read(environ)
    assert loaded.errors == ()
    assert loaded.warnings == ()
    assert loaded.origins[variable] == "environment"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"SERVER_WORKERS": "1"},
        {**SEVERAL, **REDIS},
        {"SERVER_WORKERS": "auto", "DB_NAME": "shop", "REDIS_HOST": "host"},
        {**SEVERAL, "REDIS_CACHE_URL": "redis://host", "REDIS_RATE_LIMIT_URL": "redis://host"},
        {"SERVER_TRUSTED_PROXIES": "10.0.0.0/8"},
        {"APP_DEBUG": "false", "DB_FALLBACK_TO_SQLITE": "false"},
    ],
)
def test_safe_settings_are_accepted_outside_local(
    read: Read, production: dict[str, str], environ: dict[str, str]
) -> None:
    loaded = read(production | environ)
    assert loaded.errors == ()
    assert loaded.settings is not None
