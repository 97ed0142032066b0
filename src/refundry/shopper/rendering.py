"""Draws the pages for shoppers, in their language."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from refundry.http.answer import Answer
from refundry.languages.language import LANGUAGES, Language

_HTML = "text/html; charset=utf-8"
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors {framed_by}"
)
HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    # The address holds a secret: no other site may learn it.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "Vary": "Accept-Language",
}
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


def page(
    template: str, language: Language, context: Mapping[str, Any], *, status: int = 200,
    framed: bool = False,
) -> Answer:  # fmt: skip
    """A page from its template. framed: to stand in a frame of any other page."""
    names: dict[str, Any] = {
        "_": language.text, "language": language, "languages": LANGUAGES, "framed": framed,
    }  # fmt: skip
    text = _environment().get_template(template).render(names | dict(context))
    policy = _POLICY.format(framed_by="*" if framed else "'none'")
    headers = dict(HEADERS) | {
        "Content-Security-Policy": policy,
        "Content-Language": language.code,
    }
    return Answer(status, text.encode(), headers, _HTML)


@cache
def asset(name: str) -> tuple[bytes, str]:
    """A file of `static/`: its bytes and its type."""
    body = (resources.files("refundry.shopper") / "static" / name).read_bytes()
    return body, _TYPES[name.rsplit(".", 1)[-1]]


@cache
def asset_address(name: str) -> str:
    """Where a file of `static/` is: a new address for each new content, so it can be kept."""
    return f"/shopper/{hashlib.sha256(asset(name)[0]).hexdigest()[:12]}/{name}"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("refundry.shopper"), undefined=StrictUndefined, autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    names: dict[str, Any] = made.globals  # jinja2 types it by what it puts there itself
    names.update(asset=asset_address)
    return made
