"""What `refundry-sync` is told: environment variables, checked before anything begins."""

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, cast

from refundry_sync.sync.databases import place_at
from refundry_sync.sync.settings import Settings
from refundry_sync.sync.store import Store

PREFIX = "REFUNDRY_SYNC_"


class Misconfigured(Exception):
    """A variable is missing or wrong; the message names it."""


@dataclass(frozen=True)
class Configuration:
    """One shop's. public_url: where Refundry reaches the endpoint, if the doctor is to know.

    on_change, notify: `module:function` of the shop's own code; None: the calls are printed.
    """

    url: str
    key: str = field(repr=False)
    tokens: tuple[str, ...] = field(repr=False)
    store: str
    mode: Literal["test", "live"]
    host: str
    port: int
    path: str
    public_url: str | None
    on_change: str | None
    notify: str | None
    basic_auth: tuple[str, str] | None = field(repr=False)
    bearer_token: str | None = field(repr=False)
    replay_window_seconds: float
    lease_seconds: int
    open_refunds_seconds: int
    missed_seconds: int
    full_seconds: int

    def settings(self) -> Settings:
        return Settings(
            tokens=self.tokens,
            mode=self.mode,
            replay_window_seconds=self.replay_window_seconds,
            basic_auth=self.basic_auth,
            bearer_token=self.bearer_token,
            lease=timedelta(seconds=self.lease_seconds),
            open_refunds_every=timedelta(seconds=self.open_refunds_seconds),
            missed_every=timedelta(seconds=self.missed_seconds),
            full_every=timedelta(seconds=self.full_seconds),
        )

    def open_store(self) -> Store:
        """The store, its tables made. Raises Misconfigured."""
        try:
            store = Store(place_at(self.store))
        except ValueError as error:
            raise Misconfigured(f"{PREFIX}STORE: {error}") from None
        store.create()
        return store


def load_configuration(environment: Mapping[str, str] = os.environ) -> Configuration:
    """Raises Misconfigured with every variable that is wrong."""
    given = {
        name.removeprefix(PREFIX): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and value
    }
    missing = [PREFIX + name for name in ("URL", "KEY", "TOKENS") if name not in given]
    if missing:
        raise Misconfigured("not set: " + ", ".join(missing))
    mode = given.get("MODE") or ("live" if "_live_" in given["KEY"] else "test")
    if mode not in ("test", "live"):
        raise Misconfigured(f"{PREFIX}MODE: '{mode}' is neither test nor live")
    return Configuration(
        url=given["URL"],
        key=given["KEY"],
        tokens=tuple(each.strip() for each in given["TOKENS"].split(",") if each.strip()),
        store=given.get("STORE", "sqlite:///refundry-sync.db"),
        mode=mode,
        host=given.get("HOST", "127.0.0.1"),
        port=_number(given, "PORT", 8090),
        path=given.get("PATH", "/webhooks/digitalriver"),
        public_url=given.get("PUBLIC_URL"),
        on_change=given.get("ON_CHANGE"),
        notify=given.get("NOTIFY"),
        basic_auth=_credentials(given.get("BASIC_AUTH")),
        bearer_token=given.get("BEARER_TOKEN"),
        replay_window_seconds=_number(given, "REPLAY_WINDOW_SECONDS", 300),
        lease_seconds=_number(given, "LEASE_SECONDS", 60),
        open_refunds_seconds=_number(given, "OPEN_REFUNDS_SECONDS", 900),
        missed_seconds=_number(given, "MISSED_SECONDS", 3600),
        full_seconds=_number(given, "FULL_SECONDS", 86400),
    )


def load_function(name: str) -> Callable[..., Any]:
    """The function at `module:function`. Raises Misconfigured."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise Misconfigured(f"'{name}' is no module:function: {error}") from None
    return cast(Callable[..., Any], found)


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise Misconfigured(f"{PREFIX}{name}: '{text}' is no whole number")
    return int(text)


def _credentials(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    user, colon, password = text.partition(":")
    if not colon:
        raise Misconfigured(f"{PREFIX}BASIC_AUTH: write it as user:password")
    return user, password
