"""Templates, and how money, times and states are written on pages."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from refundry.domain.money import Currency, to_major
from refundry.http.answer import Answer

_HTML = "text/html; charset=utf-8"
# What a page may do: no script and no style in the page itself, and nothing from elsewhere.
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self';"
    " img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    # For browsers that do not know frame-ancestors.
    "X-Frame-Options": "DENY",
}
_ASSET_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
                "svg": "image/svg+xml"}  # fmt: skip


def amount(minor: int, currency: Currency) -> str:
    """An amount as pages show it: `27.01 USD`, `3301 JPY`."""
    return f"{plain_amount(minor, currency)} {currency.code}"


def plain_amount(minor: int, currency: Currency) -> str:
    """An amount without its currency, as the fields of forms hold it: `27.01`."""
    return format(to_major(minor, currency), "f")


def moment(at: datetime) -> str:
    """A time to the second: `31 May 2024 10:20:05 UTC`."""
    return f"{at.day} {at:%b %Y %H:%M:%S} UTC"


def to_the_minute(at: datetime) -> str:
    """A time that lies far off: `31 May 2024 10:20 UTC`."""
    return f"{at.day} {at:%b %Y %H:%M} UTC"


def iso(at: datetime) -> str:
    """A time for machines."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def words(name: str) -> str:
    """A name of the API in words: `pending_payment` -> `Pending payment`."""
    return name.replace("_", " ").replace("-", " ").capitalize()


@cache
def asset(name: str) -> tuple[bytes, str]:
    """A file of `static/`: its bytes and its type."""
    body = (resources.files("refundry.portal") / "static" / name).read_bytes()
    return body, _ASSET_TYPES[name.rsplit(".", 1)[-1]]


@cache
def asset_address(name: str) -> str:
    """Where a file of `static/` is: a new address for each new content, so it can be kept."""
    return f"/dashboard/static/{hashlib.sha256(asset(name)[0]).hexdigest()[:12]}/{name}"


@cache
def environment() -> Environment:
    """The templates. What is not defined is an error, and everything is escaped."""
    made = Environment(
        loader=PackageLoader("refundry.portal"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    made.filters |= {"moment": moment, "to_the_minute": to_the_minute, "iso": iso, "words": words}
    names: dict[str, Any] = made.globals  # jinja2 types it by what it puts there itself
    names.update(amount=amount, plain_amount=plain_amount, asset=asset_address)
    return made


def page(template: str, context: Mapping[str, Any], *, status: int = 200) -> Answer:
    """A page from its template."""
    text = environment().get_template(template).render(context)
    return Answer(status, text.encode(), dict(HEADERS), _HTML)
