"""Configuration: defaults, then a TOML file, then `REFUNDRY_...` variables, then options."""

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from refundry.domain.checking import Rhythm, read_rhythm

_PREFIX = "REFUNDRY_"
_SECRET_FIELDS = frozenset(
    {"encryption_key", "sandbox_secret", "processor_secret", "test_processor_secret", "smtp_url"}
)


# One server of a database URL: its name, address or nothing, and perhaps its port.
_URL_SERVER = re.compile(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::\d{1,5})?", re.ASCII)
_PASSWORD_PARAMETER = re.compile(r"(password=)[^&]*", re.IGNORECASE)
_VALIDATION_PATH = re.compile(r"(?P<what>.*) - at `\$\.(?P<name>\w+)`")

# smtps: TLS from the start; smtp: STARTTLS where the server offers it.
_SMTP_URL = re.compile(r"smtps?://(?:[^@/]+@)?[^@/:]+(?::\d{1,5})?/?", re.ASCII)

_PUBLIC_URL = re.compile(r"https?://[^\s/?#@]+/?", re.ASCII)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Count = Annotated[int, Meta(ge=1)]
PerSecond = Annotated[int, Meta(ge=0)]
# A year: what is longer was meant otherwise, and far longer ones no clock can add.
Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
Timeout = Annotated[float, Meta(gt=0, le=31_536_000)]


class BadSettings(Exception):
    """A setting that cannot be used; the message names it and where it came from."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Field `x_y` is also `REFUNDRY_X_Y` and `x_y` in TOML."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    data_dir: Path = Path("refundry-data")
    database_url: str | None = None
    pgbouncer: bool = False
    direct_url: str | None = None
    pool_size: Count = 10
    max_requests: Count = 64
    queue_timeout: Timeout = 1
    database_timeout: Timeout = 5
    processes: Count = 1
    max_connections: Count = 1000
    postgres_user: str | None = None
    public_url: str | None = None
    admin_email: str = "admin@example.com"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    rate_limit_test: PerSecond = 25
    rate_limit_live: PerSecond = 250
    encryption_key: str | None = None
    test_clock: bool = False
    sandbox_delay: Seconds = 60
    refund_batch_window: Seconds = 0
    sandbox_secret: str | None = None
    processor: Literal["manual", "http"] = "manual"
    processor_url: str | None = None
    processor_secret: str | None = None
    test_processor: Literal["sandbox", "http"] = "sandbox"
    test_processor_url: str | None = None
    test_processor_secret: str | None = None
    processor_timeout: Timeout = 10
    # When operations without an outcome are looked up: docs/processors.md.
    check_unknown: str = "5m, 1h, 1d"
    check_pending: str = "1h, 1d"
    list_refunds_every: str = "1h"
    webhook_allow_http: bool = False
    webhook_allow_networks: str | None = None
    smtp_url: str | None = None
    mail_from: str = "refundry@localhost"
    # Days. Less than a quarter would take from a shop what it has not read yet.
    retain_events: Annotated[int, Meta(ge=90, le=36_500)] = 365
    api_log: bool = True
    # Days. A month is promised to those who look for what went wrong.
    retain_api_log: Annotated[int, Meta(ge=30, le=36_500)] = 30
    # Days. A month is what somebody on leave may miss.
    retain_drafts: Annotated[int, Meta(ge=30, le=36_500)] = 90
    retain_bulk: Annotated[int, Meta(ge=30, le=36_500)] = 365

    def __post_init__(self) -> None:
        self._check_http("processor", self.processor, self.processor_url, self.processor_secret)
        self._check_http(
            "test_processor",
            self.test_processor,
            self.test_processor_url,
            self.test_processor_secret,
        )
        for name, url in (("database_url", self.database_url), ("direct_url", self.direct_url)):
            if url is not None and not _is_postgres_url(url):
                raise BadSettings(
                    f"{name} is not of the form postgresql://user:password@host:port/database"
                )
        if self.direct_url is not None and self.database_url is None:
            raise BadSettings("direct_url needs a database_url")
        if self.public_url is not None and not _PUBLIC_URL.fullmatch(self.public_url):
            raise BadSettings("public_url is not of the form https://host:port")
        self.webhook_networks()
        self.rhythm("")
        if self.smtp_url is not None and not _SMTP_URL.fullmatch(self.smtp_url):
            raise BadSettings("smtp_url is not of the form smtp://user:password@host:port")

    def public_address(self) -> str:
        """Where people's browsers find the service; without `public_url`, where it listens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")

    def is_over_tls(self) -> bool:
        """Whether browsers come over TLS, which ends before us.

        No header says so: anybody could send it who reaches the port.
        """
        return self.public_address().startswith("https:")

    def webhook_networks(self) -> tuple[Network, ...]:
        """The networks that are open to webhooks although they are not public."""
        names = [name.strip() for name in (self.webhook_allow_networks or "").split(",")]
        try:
            return tuple(ipaddress.ip_network(name) for name in names if name)
        except ValueError as error:
            raise BadSettings(f"webhook_allow_networks: {error}") from error

    def rhythm(self, processor: str) -> Rhythm:
        """When operations of a processor are looked up."""
        return Rhythm(
            self._steps("check_unknown", self.check_unknown, processor),
            self._steps("check_pending", self.check_pending, processor),
            self._steps("list_refunds_every", self.list_refunds_every, processor)[0],
        )

    @staticmethod
    def _steps(name: str, text: str, processor: str) -> tuple[timedelta, ...]:
        try:
            rhythms = read_rhythm(text)
        except ValueError as error:
            raise BadSettings(f"{name}: {error}") from error
        return rhythms.get(processor, rhythms[""])

    @staticmethod
    def _check_http(name: str, choice: str, url: str | None, secret: str | None) -> None:
        if choice == "http" and not (url and secret):
            raise BadSettings(f"{name} = http needs {name}_url and {name}_secret")


def load_settings(environment: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
    """The settings in force. overrides: from the command line; None counts as not given.

    The file is the one that REFUNDRY_CONFIG names, else refundry.toml in the working directory
    if there is one. Raises BadSettings.
    """
    values: dict[str, Any] = _from_file(environment)
    for name in Settings.__struct_fields__:
        text = environment.get(_PREFIX + name.upper())
        if text is not None and text != "":
            values[name] = text
    values |= {name: value for name, value in overrides.items() if value is not None}
    try:
        return msgspec.convert(values, Settings, strict=False, dec_hook=_convert_path)
    except msgspec.ValidationError as error:
        raise BadSettings(_named(error)) from error


def _named(error: msgspec.ValidationError) -> str:
    """The message with the setting's name in front, where msgspec puts a path behind."""
    match = _VALIDATION_PATH.fullmatch(str(error))
    return f"{match['name']}: {match['what']}" if match else str(error)


def _is_postgres_url(url: str) -> bool:
    """Whether the driver will find a server in it; it may name several."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    servers = parts.netloc.rpartition("@")[2].split(",")
    known = parts.scheme in ("postgresql", "postgres")
    return known and all(map(_URL_SERVER.fullmatch, servers))


def _convert_path(kind: type, value: Any) -> Any:
    assert kind is Path
    return Path(value)


def masked(settings: Settings) -> dict[str, object]:
    """Every setting by name, with secrets and passwords replaced by stars."""
    shown: dict[str, object] = {}
    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        if name in _SECRET_FIELDS and value:
            value = "********"
        if name in ("database_url", "direct_url") and value:
            value = _without_password(value)
        shown[name] = value
    return shown


def _without_password(url: str) -> str:
    address, mark, parameters = url.partition("?")
    hidden = _PASSWORD_PARAMETER.sub(r"\1********", parameters)
    return f"{_without_user_password(address)}{mark}{hidden}"


def _without_user_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    scheme, colon, user = head.partition("://")
    if not at or ":" not in user:
        return url
    return f"{scheme}{colon}{user.split(':', 1)[0]}:********@{tail}"


def _from_file(environment: Mapping[str, str]) -> dict[str, Any]:
    named = environment.get(_PREFIX + "CONFIG")
    path = Path(named or "refundry.toml")
    if not named and not path.exists():
        return {}
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadSettings(f"{path}: {error}") from error
    unknown = sorted(set(values) - set(Settings.__struct_fields__))
    if unknown:
        raise BadSettings(f"{path}: unknown setting {unknown[0]}")
    return values


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings as variables, for a process that is to have the same ones."""
    found: dict[str, str] = {}
    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        if isinstance(value, Path):
            value = value.absolute()
        if value is not None:
            found[_PREFIX + name.upper()] = (
                str(int(value)) if isinstance(value, bool) else str(value)
            )
    return found
