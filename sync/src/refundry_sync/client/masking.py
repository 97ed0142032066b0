"""Takes secrets out of what is told of a call: keys, passwords, tokens, cards and bank details."""

import re
from typing import Any, cast

import msgspec

from refundry_sync.errors import BadAnswer
from refundry_sync.models import parse

MASK = "***"
# A name is secret if it holds one of these, in any spelling.
_SECRET_PARTS = (
    "password", "secret", "credential", "authorization", "apikey", "token", "iban",
    "accountnumber", "accountholder", "routingnumber", "sortcode", "bankcode", "cardnumber", "cvv",
    "cvc", "securitycode", "taxid",
)  # fmt: skip
# `number` is a card's; `fields` is what a shopper has typed into the form for bank details.
_SECRET_NAMES = frozenset({"number", "bic", "pin", "fields"})
_KEY = re.compile(r"\b([spr]k_(?:test|live)_)\w+", re.ASCII | re.IGNORECASE)
_SEPARATORS = str.maketrans("", "", "_- .")


def masked_key(api_key: str) -> str:
    """What tells keys apart: kind, mode and the last four characters."""
    kind = _KEY.match(api_key)
    return f"{kind[1] if kind else ''}{MASK}{api_key[-4:] if len(api_key) >= 16 else ''}"


def masked_text(text: str) -> str:
    """A text in which keys are masked."""
    return _KEY.sub(rf"\1{MASK}", text)


def masked_body(body: bytes | None) -> str | None:
    """A body as text, its secrets masked; of what is not JSON, only the length."""
    if not body:
        return None
    try:
        return msgspec.json.Encoder(decimal_format="number").encode(_masked(parse(body))).decode()
    except BadAnswer:
        return f"({len(body)} bytes that are not JSON)"


def _masked(value: Any) -> Any:
    match value:
        case dict():
            members = cast("dict[str, Any]", value)
            return {
                name: MASK if _is_secret(name) and each is not None else _masked(each)
                for name, each in members.items()
            }
        case list():
            return [_masked(each) for each in cast("list[Any]", value)]
        case str():
            return masked_text(value)
        case _:
            return value


def _is_secret(name: str) -> bool:
    lower = name.lower()
    plain = lower.translate(_SEPARATORS)
    return lower in _SECRET_NAMES or any(part in plain for part in _SECRET_PARTS)
