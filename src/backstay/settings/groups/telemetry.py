"""The settings of traces and of error reports: the standard names of OpenTelemetry and Sentry."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated, ClassVar, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr

from backstay.settings.errors import SettingError
from backstay.settings.fields import Name, Setting, SettingsGroup, web_address

_PAIRS = "list of name=value, with commas"
_Address = Annotated[
    Annotated[str, AfterValidator(web_address)] | None, Setting(kind="web address")
]


def _pairs(value: str | None) -> str | None:
    if value and any("=" not in pair for pair in value.split(",") if pair.strip()):
        raise SettingError("holds something that is no name=value", "Write name=value,other=value.")
    return value


def _secret_pairs(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        _pairs(value.get_secret_value())
    return value


def pairs_of(value: str | None) -> dict[str, str]:
    """The pairs of a list ``name=value,…``, whose values are percent-encoded (W3C Baggage)."""
    pairs = (pair.partition("=") for pair in (value or "").split(",") if pair.strip())
    return {name.strip(): unquote(text.strip()) for name, _, text in pairs}


class OtelSettings(SettingsGroup, title="Traces"):
    """Where traces go, by the standard names of OpenTelemetry. Without an endpoint there are none.

    Its SDK reads further ones, such as `OTEL_BSP_SCHEDULE_DELAY` or
    `OTEL_EXPORTER_OTLP_CERTIFICATE`, from the environment, but not from `.env`.
    """

    env_prefix: ClassVar = "OTEL_"
    others_read_it: ClassVar = True

    exporter_otlp_endpoint: _Address = Field(
        None,
        description="Collector that receives traces (OTLP over HTTP), such as "
        "http://localhost:4318. Needs the extra `otel`.",
    )
    exporter_otlp_traces_endpoint: _Address = Field(
        None, description="Where traces go if it is not `/v1/traces` of that address."
    )
    exporter_otlp_headers: Annotated[
        Annotated[SecretStr, AfterValidator(_secret_pairs)] | None, Setting(kind=_PAIRS)
    ] = Field(None, description="Header fields for the collector, such as a token.")
    exporter_otlp_protocol: Literal["http/protobuf"] = Field(
        "http/protobuf", description="How traces are sent; there is no other way."
    )
    traces_exporter: Literal["otlp", "console", "none"] | None = Field(
        None,
        description="`console` prints spans, `none` turns traces off, `otlp` sends them, to "
        "http://localhost:4318 without an endpoint.",
    )
    traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = Field("parentbased_always_on", description="Which requests and schedules are traced.")
    traces_sampler_arg: Annotated[
        Annotated[float, Field(ge=0, le=1)], Setting(kind="number from 0 to 1")
    ] = Field(1.0, description="The share of them, for `traceidratio`.")
    trust_traceparent: bool = Field(
        False,
        description="Let the `traceparent` of a request decide whether it is traced. Only behind "
        "a proxy that writes it: otherwise any client could have each of its requests traced.",
    )
    service_name: Name | None = Field(None, description="Name of the service; else `APP_NAME`.")
    resource_attributes: Annotated[
        Annotated[str, AfterValidator(_pairs)] | None, Setting(kind=_PAIRS)
    ] = Field(None, description="What else each trace says of this service.")
    sdk_disabled: bool = Field(False, description="Turn traces off, whatever else is set.")

    @property
    def is_on(self) -> bool:
        """Whether spans are recorded."""
        if self.sdk_disabled or self.traces_exporter == "none":
            return False
        endpoint = self.exporter_otlp_traces_endpoint or self.exporter_otlp_endpoint
        return bool(endpoint or self.traces_exporter)

    @property
    def endpoint(self) -> str:
        """The address that takes spans."""
        base = self.exporter_otlp_endpoint or "http://localhost:4318"
        return self.exporter_otlp_traces_endpoint or f"{base}/v1/traces"

    @property
    def headers(self) -> dict[str, str] | None:
        """Header fields for the collector."""
        given = self.exporter_otlp_headers
        return None if given is None else pairs_of(given.get_secret_value())


def _dsn(value: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(value.get_secret_value())
        has_key = bool(parts.scheme in {"http", "https"} and parts.username and parts.hostname)
        is_sound = has_key and parts.port != 0 and parts.path.rpartition("/")[2].isdecimal()
    except ValueError:
        is_sound = False
    if not is_sound:
        raise SettingError(
            "is not a DSN", "Copy it from the project's settings: https://key@host/number."
        )
    return value


class SentrySettings(SettingsGroup, title="Error reports"):
    """Where unexpected errors are reported: to Sentry, or what speaks its protocol."""

    env_prefix: ClassVar = "SENTRY_"
    others_read_it: ClassVar = True

    dsn: Annotated[Annotated[SecretStr, AfterValidator(_dsn)] | None, Setting(kind="DSN")] = Field(
        None, description="Key and address of the project in Sentry. Needs the extra `sentry`."
    )
    environment: Name | None = Field(
        None, description="Environment that reports name; else `ENVIRONMENT`."
    )
    release: Name | None = Field(
        None, description="Release that reports name; else `APP_NAME@APP_VERSION`."
    )


def missing_extras(otel: OtelSettings, sentry: SentrySettings) -> Iterator[SettingError]:
    """What is asked for although its packages are not installed."""
    wanted = (
        (otel.is_on, "otel", ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")),
        (sentry.dsn is not None, "sentry", ("sentry_sdk",)),
    )
    named = {"otel": _asking(otel), "sentry": "SENTRY_DSN"}
    for is_wanted, extra, modules in wanted:
        if is_wanted and not all(map(_is_installed, modules)):
            yield SettingError(
                f"is set, and the extra {extra} of the package is not installed",
                f"Install backstay[{extra}], or do not set it.",
                named[extra],
            )


def _asking(otel: OtelSettings) -> str:
    if otel.traces_exporter:
        return "OTEL_TRACES_EXPORTER"
    is_own = otel.exporter_otlp_endpoint is None
    return "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" if is_own else "OTEL_EXPORTER_OTLP_ENDPOINT"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even a package above it
        return False
