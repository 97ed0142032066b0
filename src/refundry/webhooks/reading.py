"""From the bodies of `/webhooks` to what is to be stored, field by field."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from refundry.http.document import JsonValue
from refundry.http.fields import Fields
from refundry.webhooks.types import (
    API_VERSIONS,
    EXPANDABLE,
    SUBSCRIBABLE,
    Grant,
    Transport,
)

MOST_TYPES = 500
MOST_SECRET = 1024
MOST_ADDRESS = 2048
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?"
_PORT = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
ADDRESS = (
    rf"[Hh][Tt][Tt][Pp][Ss]?://(?:{_HOST}|\[[0-9A-Fa-f:.]{{2,45}}\])(?::{_PORT})?(?:[/?#][!-~]*)?"
)
"""An absolute URL in ASCII with nothing but host and port between its slashes: no user."""

_ADDRESS = re.compile(ADDRESS)
_HOST_OF = re.compile(r"//(?:\[([^\]]*)\]|([^:/?#]*))")
# Basic separates the name by a colon; neither part may hold control characters (RFC 7617).
USER_NAME = r"[^\x00-\x1f\x7f:]+"
SECRET = r"[^\x00-\x1f\x7f]+"  # noqa: S105 - a pattern
_STARS = "********"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the surroundings of a webhook allow. refused_hosts: lead where nobody may."""

    live: bool
    allow_http: bool
    expands: bool
    refused_hosts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Basic:
    """User name and password in clear."""

    user_name: str
    password: str


@dataclass(frozen=True, slots=True)
class OAuth:
    """How to get a bearer token; secrets in clear."""

    token_end_point: str
    client_id: str
    client_secret: str
    user_name: str | None
    password: str | None
    grant_type: str


@dataclass(frozen=True, slots=True)
class WebhookAsk:
    """What a body says of a webhook; None where it says nothing.

    bare: takes all credentials away, which no body can say.
    """

    types: tuple[str, ...] | None
    address: str | None
    api_version: str | None
    enabled: bool | None
    transport: Transport | None
    authentication: Basic | None
    oauth: OAuth | None
    expanded_types: tuple[str, ...] | None
    bare: bool = False


def named_hosts(document: Mapping[str, JsonValue]) -> set[str]:
    """The hosts in a body's addresses, for the guard to look at before the body is read."""
    oauth = document.get("oauth")
    token_end_point = (
        cast("dict[str, JsonValue]", oauth).get("tokenEndPoint")
        if isinstance(oauth, dict)
        else None
    )
    found = (host_of(value) for value in (document.get("address"), token_end_point))
    return {host for host in found if host is not None}


def host_of(value: JsonValue) -> str | None:
    """The host in an address, a name or an IP address; None if it is no address."""
    if not isinstance(value, str) or len(value) > MOST_ADDRESS or not _ADDRESS.fullmatch(value):
        return None
    match = _HOST_OF.search(value)
    assert match is not None
    if match[1] is None:
        return match[2].lower()
    try:
        return str(ipaddress.IPv6Address(match[1]))
    except ValueError:
        return None


def read_webhook(body: Fields, rules: Rules, current: Transport | None) -> WebhookAsk:
    """The request in a body. Raises BadFields with every bad field, in the table's order.

    current: the transport of the webhook that is to be changed; None for a new one.
    """
    types = _names(body, "types", SUBSCRIBABLE, required=current is None)
    address = _address(body, "address", rules, required=current is None)
    api_version = _choice(body, "apiVersion", API_VERSIONS)
    enabled = body.flag("enabled")
    transport = body.enum("transportType", Transport)
    # With a transport that cannot be read there is no telling which credentials belong to it.
    readable = transport is not None or not body.has("transportType")
    used = (transport or current or Transport.HTTP) if readable else None
    ask = WebhookAsk(
        types=types,
        address=address,
        api_version=api_version,
        enabled=enabled,
        transport=transport,
        authentication=_read_authentication(body, used, current),
        oauth=_read_oauth(body, rules, used, current),
        expanded_types=_read_expanded(body, rules),
    )
    body.unknown()
    body.finish()
    return ask


def _address(body: Fields, name: str, rules: Rules, *, required: bool) -> str | None:
    value = body.value(name)
    if value is None:
        if required:
            body.missing(name)
        return None
    host = host_of(value)
    if host is None or host in rules.refused_hosts or not _is_safe(value, rules):
        body.invalid(name, value)
        return None
    return value


def _is_safe(address: str, rules: Rules) -> bool:
    return not rules.live or rules.allow_http or address[:6].lower() == "https:"


def _read_authentication(
    body: Fields, used: Transport | None, current: Transport | None
) -> Basic | None:
    if used is Transport.OAUTH:
        _unwanted(body, "authentication")
        return None
    changes = current is Transport.OAUTH and used is Transport.HTTP
    part = body.object("authentication", required=changes)
    if part is None:
        return None
    user_name = _read_user_name(part)
    password = _secret(part, "password", required=True)
    part.unknown()
    return Basic(user_name, password) if user_name and password else None


def _read_user_name(part: Fields) -> str | None:
    """The user name in either spelling, or in both if they agree, as answers have it."""
    second = part.value("username")
    spelling = "userName" if part.has("userName") or second is None else "username"
    user_name = part.text(spelling, required=True, pattern=re.compile(USER_NAME))
    if part.has("userName") and second is not None and second != user_name:
        part.invalid("username", second)
    return user_name


def _read_oauth(
    body: Fields, rules: Rules, used: Transport | None, current: Transport | None
) -> OAuth | None:
    if used is Transport.HTTP:
        _unwanted(body, "oauth")
        return None
    changes = used is Transport.OAUTH and current is not Transport.OAUTH
    part = body.object("oauth", required=changes)
    if part is None:
        return None
    token_end_point = _address(part, "tokenEndPoint", rules, required=True)
    client_id = part.text("clientID", required=True)
    client_secret = _secret(part, "clientSecret", required=True)
    user_name = part.text("userName")
    password = _secret(part, "password", required=False)
    grant = part.enum("grantType", Grant) or Grant.PASSWORD
    part.unknown()
    if token_end_point is None or client_id is None or client_secret is None:
        return None
    return OAuth(token_end_point, client_id, client_secret, user_name, password, grant.value)


def _read_expanded(body: Fields, rules: Rules) -> tuple[str, ...] | None:
    if not rules.expands:
        _unwanted(body, "expandedTypes")
        return None
    return _names(body, "expandedTypes", EXPANDABLE, required=False, least=0)


def _unwanted(body: Fields, name: str) -> None:
    if body.value(name) is not None:
        body.unknown_field(body.at(name))


def _secret(part: Fields, name: str, *, required: bool) -> str | None:
    """A text that no message repeats, even where it cannot be taken."""
    value = part.value(name)
    if value is None:
        if required:
            part.missing(name)
        return None
    if not isinstance(value, str) or not re.fullmatch(SECRET, value) or len(value) > MOST_SECRET:
        part.wrong(name, f"'{_STARS}' is not a valid {part.at(name)}.")
        return None
    return value


def _choice(body: Fields, name: str, allowed: Sequence[str]) -> str | None:
    value = body.value(name)
    found = _match(value, allowed)
    if value is not None and found is None:
        body.invalid(name, value)
    return found


def _names(
    body: Fields, name: str, allowed: Sequence[str], *, required: bool, least: int = 1
) -> tuple[str, ...] | None:
    """An array of names, each once, in the order in which they were sent."""
    value = body.value(name)
    if value is None:
        if required:
            body.missing(name)
        return None
    if (
        not isinstance(value, list)
        or not least <= len(cast("list[JsonValue]", value)) <= MOST_TYPES
    ):
        body.invalid(name, value)
        return None
    found: dict[str, None] = {}
    for index, sent in enumerate(cast("list[JsonValue]", value)):
        known = _match(sent, allowed)
        if known is None:
            body.invalid(f"{name}[{index}]", sent)
        else:
            found[known] = None
    return tuple(found)


def _match(value: JsonValue, allowed: Sequence[str]) -> str | None:
    """The allowed name that a value is, in whatever case."""
    if not isinstance(value, str):
        return None
    return next((name for name in allowed if name.lower() == value.lower()), None)
