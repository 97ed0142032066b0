"""Configuration: defaults, then a TOML file, then `REFUNDRY_...` variables, then options."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

_PREFIX = "REFUNDRY_"
_SECRET_FIELDS = frozenset(
    {"encryption_key", "sandbox_secret", "processor_secret", "test_processor_secret"}
)


class BadSettings(Exception):
    """A setting that cannot be used; the message names it and where it came from."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Field `x_y` is also `REFUNDRY_X_Y` and `x_y` in TOML."""

    host: str = "127.0.0.1"
    port: int = 8080
    data_dir: Path = Path("refundry-data")
    database_url: str | None = None
    pgbouncer: bool = False
    pool_size: int = 10
    processes: int = 1
    postgres_user: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    rate_limit_test: int = 25
    rate_limit_live: int = 250
    encryption_key: str | None = None
    test_clock: bool = False
    sandbox_delay: float = 60
    refund_batch_window: float = 0
    sandbox_secret: str | None = None
    processor: Literal["manual", "http"] = "manual"
    processor_url: str | None = None
    processor_secret: str | None = None
    test_processor: Literal["sandbox", "http"] = "sandbox"
    test_processor_url: str | None = None
    test_processor_secret: str | None = None
    processor_timeout: float = 10

    def __post_init__(self) -> None:
        self._check_http("processor", self.processor, self.processor_url, self.processor_secret)
        self._check_http(
            "test_processor",
            self.test_processor,
            self.test_processor_url,
            self.test_processor_secret,
        )
        if self.processes < 1 or self.pool_size < 1:
            raise BadSettings("processes and pool_size must be at least 1")

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
        raise BadSettings(str(error)) from error


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
        if name == "database_url" and value:
            value = _without_password(value)
        shown[name] = value
    return shown


def _without_password(url: str) -> str:
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
