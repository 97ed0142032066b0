"""Takes secrets, bank details and tokens out of what is kept of a call.

A body is read token by token, so that the first part of a long one can be masked without the rest,
and reading stops where it is not JSON: what a parser would not understand is not kept. Most bodies
hold nothing that could be secret, which a quick look tells; those are kept as they are.
"""

import hashlib
import json
import re
from collections import OrderedDict
from typing import Any

import msgspec

MASK = "***"
# Of a body. What is longer is a list or an order of hundreds of lines; its beginning tells enough.
KEPT_BYTES = 16 * 1024

# A name is secret if it holds one of these, in any spelling: `AccountNumber`, `account_number`.
_SECRET_PARTS = (
    "password", "passwd", "passphrase", "secret", "credential", "authorization", "apikey",
    "privatekey", "token", "iban", "accountnumber", "accountholder", "bankaccount", "routingnumber",
    "sortcode", "transitnumber", "institutionnumber", "bankcode", "branchcode", "bankdetail",
    "swift", "taxid", "cardnumber", "cvv", "cvc", "securitycode",
)  # fmt: skip
_SECRET_NAMES = frozenset({"bic", "bsb", "pin", "pan", "clabe"})
# An object of this name holds what a shopper has typed into the form for bank details.
_SECRET_OBJECTS = frozenset({"fields"})
_SEPARATORS = str.maketrans("", "", "_- .")

# All but what addresses, escapes, quotations and parameters are made with.
_PLAIN_BYTES = bytes(n for n in range(256) if chr(n) not in "/\\'=?")
# The two characters beyond ASCII that are letters of it where case does not count: ſ and the
# Kelvin sign.
_FOLDED = (b"\xc5\xbf", b"\xe2\x84\xaa")


def _class_of(n: int) -> int:
    character = chr(n)
    if n > 127 or not character.isalnum():
        return n
    return ord("9") if character.isdigit() else ord("a")


# The shape of a text: every letter an a, every digit a 9.
_SHAPE = bytes(map(_class_of, range(256)))
_IBAN_SHAPE = re.compile(rb"aa99(?=(?: ?[a9]){11})")
# The shortest card number has 12 digits, but so do the ids of orders: 13 and more are looked at.
_MANY_DIGITS = b"9" * 13
_CARD_SHAPE = re.compile(rb"9(?:[ -]?9){12}")
_NAME = re.compile(rb'"([^"]*)":')
_WIDE_COLON = re.compile(rb'"[ \t\r\n]+:')
_CLIENT_SECRET = re.compile(rb'"clientSecret":"[^"\\]*"')
_HIDDEN_CLIENT_SECRET = b'"clientSecret":"***"'

_STRING = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
# A plain value ends where something else begins: what a cut has shortened is not to be judged.
_TOKEN = re.compile(
    rf"(?P<name>{_STRING}\s*:)|(?P<text>{_STRING})|(?P<open>[\[{{])|(?P<close>[\]}}])"
    r"|(?P<comma>,)|(?P<blank>[ \t\r\n]+)"
    r"|(?P<plain>(?:-?\d[\d.eE+-]*|true|false|null)(?=[\s,\]}]))",
    re.ASCII,
)
_PAIRS = {"{": "}", "[": "]"}

_KEY = re.compile(r"\b([spr]k_(?:test|live)_)[0-9a-f]{32}", re.ASCII | re.IGNORECASE)
_BEARER = re.compile(r"\b((?:bearer|basic) +)[^\s\"']+", re.IGNORECASE)
_USER_INFO = re.compile(r"(://)[^/?#\s@\"']*@")
_PARAMETER = re.compile(r"([?&;])([^=&;?#\s\"']+)=([^&;#\s\"']*)")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]){11,30}", re.ASCII)
_CARD = re.compile(r"(?<![\d.])(?:\d[ -]?){12,18}\d(?![\d.])", re.ASCII)
# Where none of this is, there is nothing of the above.
_SUSPECT = re.compile(
    r"://|[?&;][^=]*=|'|bearer|basic|[spr]k_|[a-z0-9 ]{13}|\d[\d -]{11,}\d",
    re.ASCII | re.IGNORECASE,
)
_QUOTED = re.compile(r"'(?P<value>.*)' (?P<rest>is .*)", re.DOTALL)
_PARAMETER_OF = re.compile(r"not a valid (?P<parameter>\S+?)\.?$")


def is_secret(name: str) -> bool:
    """Whether what stands under a name is not kept."""
    lower = name.lower()
    plain = lower.translate(_SEPARATORS)
    return lower in _SECRET_NAMES or any(part in plain for part in _SECRET_PARTS)


def masked_body(body: bytes, length: int, *, known: "HarmlessBodies | None" = None) -> str | None:
    """What is kept of a body of `length` bytes that begins with `body`; None if there was none.

    body: at most KEPT_BYTES of it. known: where bodies are noted that may come again.
    """
    if not length:
        return None
    whole = len(body) == length
    if whole:
        # Each order shows one: to read all of its body for that would cost more than to make it.
        kept = _CLIENT_SECRET.sub(_HIDDEN_CLIENT_SECRET, body)
        if known is not None and known.has(body):
            return kept.decode()
        quickly = quickly_masked(kept, kept.replace(_HIDDEN_CLIENT_SECRET, b'"session":""'))
        if quickly is not None:
            if known is not None and quickly.encode() == kept:
                known.add(body)
            return quickly
    masking = Masking(body.decode("utf-8", "replace"))
    kept = masking.run()
    if not whole:
        return f"{kept} [cut: {length} bytes in all]"
    return kept if masking.complete else f"{kept} [no JSON from here: {length} bytes in all]"


class HarmlessBodies:
    """Bodies in which nothing but the secret of an order's session was found, by their hashes.

    What is read is read again and again, and mostly as it was.
    """

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._hashes: OrderedDict[bytes, None] = OrderedDict()

    def has(self, body: bytes) -> bool:
        """Whether a body was noted, and not forgotten for others."""
        return _hash(body) in self._hashes

    def add(self, body: bytes) -> None:
        """Note a body."""
        self._hashes[_hash(body)] = None
        if len(self._hashes) > self._most:
            self._hashes.popitem(last=False)


def _hash(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


def quickly_masked(body: bytes, looked_at: bytes) -> str | None:
    """A whole body, masked; None where it has to be read token by token.

    looked_at: the body without what is masked already.
    """
    if b"\\" in body or _FOLDED[0] in body or _FOLDED[1] in body or _WIDE_COLON.search(body):
        return None
    # With no escapes in it, every quotation mark begins or ends a text. Where a text begins with a
    # colon, a name could be overlooked; then there are more colons than names.
    names = _NAME.findall(looked_at)
    if len(names) != looked_at.count(b'":'):
        return None
    if not _harmless.issuperset(names) and not _learn(set(names)):
        return None
    try:
        _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not _is_suspect(looked_at):
        return body.decode()
    parts = body.decode().split('"')
    if _CARD.search(" ".join(parts[::2])):
        return None
    parts[1::2] = map(masked_text, parts[1::2])
    return '"'.join(parts)


_decode = msgspec.json.Decoder(dict[str, Any]).decode


def _is_suspect(body: bytes) -> bool:
    """Whether a text in a body may hold what is masked by its form; False if certainly none."""
    other = body.translate(None, _PLAIN_BYTES)
    if other and (other.strip(b"/") or b"://" in body):
        return True
    lower = body.lower()
    if b"k_test_" in lower or b"k_live_" in lower or b"bearer " in lower or b"basic " in lower:
        return True
    shape = body.translate(_SHAPE)
    text = body.decode("latin-1")
    if (
        _MANY_DIGITS in shape.translate(None, b" -")
        and _CARD_SHAPE.search(shape)
        and _CARD.sub(_masked_card, text) != text
    ):
        return True
    for begin in _IBAN_SHAPE.finditer(shape):
        found = _IBAN.match(text, begin.start())
        if found and _masked_iban(found) != found[0]:
            return True
    return False


# Names that were found to be no secret ones; most calls have the same.
_harmless: set[bytes] = set()
_MOST_NAMES = 2000


def _learn(names: set[bytes]) -> bool:
    """Whether none of the names is secret; those that are not are known from now on."""
    for name in names - _harmless:
        text = name.decode("utf-8", "replace")
        if is_secret(text) or text.lower() in _SECRET_OBJECTS:
            return False
    if len(_harmless) < _MOST_NAMES:
        _harmless.update(names)
    return True


class Masking:
    """The reading of one JSON text. complete: whether all of it was JSON, as far as it goes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._kept: list[str] = []
        self._closers: list[str] = []
        self._hidden_below: int | None = None  # so many brackets were open around a secret value
        self._awaited: frozenset[str] = frozenset()  # the next value is secret, if it begins so
        self._ended = False  # a value has ended, so that a comma or a bracket must follow
        self.complete = False

    def run(self) -> str:
        """The text, masked, up to where it is no JSON or has been cut."""
        at = 0
        while found := _TOKEN.match(self._text, at):
            kind, part = str(found.lastgroup), found[0]
            if not self._fits(kind, part):
                break
            at = found.end()
            self._take(kind, part)
        self.complete = at == len(self._text) and not self._closers
        return "".join(self._kept)

    def _fits(self, kind: str, part: str) -> bool:
        """Whether a token may stand here, as far as that tells what belongs to which name."""
        if kind in ("name", "text", "plain", "open") and self._ended:
            return False
        if kind == "open":
            self._closers.append(_PAIRS[part])
        elif kind == "close":
            return bool(self._closers) and self._closers.pop() == part
        return True

    def _take(self, kind: str, part: str) -> None:
        """Keep a token, masked, unless it belongs to a secret value."""
        if kind != "blank":
            self._ended = kind in ("text", "plain", "close")
        if self._hidden_below is not None:
            if kind == "close" and len(self._closers) == self._hidden_below:
                self._hidden_below = None
        elif kind in ("text", "plain", "open") and part[:1] in self._awaited:
            self._kept.append(f'"{MASK}"')
            self._hidden_below = len(self._closers) - 1 if kind == "open" else None
            self._awaited = frozenset()
        else:
            if kind != "blank":
                self._awaited = _secret_begin(part) if kind == "name" else frozenset()
            self._kept.append(_masked_token(kind, part))


# With what a value of JSON, and an object, may begin.
_ANY = frozenset('{["-0123456789tfn')
_OBJECT = frozenset("{")


def _secret_begin(part: str) -> frozenset[str]:
    """With what the value behind a name begins if it is secret."""
    name = str(json.loads(part.rstrip(": \t\r\n")))
    if is_secret(name):
        return _ANY
    return _OBJECT if name.lower() in _SECRET_OBJECTS else frozenset()


def _masked_token(kind: str, part: str) -> str:
    if kind == "plain":
        masked = _CARD.sub(_masked_card, part)
        return part if masked == part else f'"{masked}"'
    if kind == "name":
        literal = part.rstrip(": \t\r\n")
        return _masked_literal(literal) + part[len(literal) :]
    return _masked_literal(part) if kind == "text" else part


def _masked_literal(literal: str) -> str:
    """A JSON string with what is secret in it masked; as it stands if there is nothing."""
    value = str(json.loads(literal)) if "\\" in literal else literal[1:-1]
    masked = masked_text(value)
    # Letters that were sent as such stay so; an escape may be half of a letter, and stays one.
    return literal if masked == value else json.dumps(masked, ensure_ascii="\\" in literal)


def masked_text(text: str) -> str:
    """A text of any kind without keys, passwords in addresses, IBANs and card numbers."""
    if _SUSPECT.search(text) is None:
        return text
    text = _KEY.sub(rf"\1{MASK}", text)
    text = _BEARER.sub(rf"\1{MASK}", text)
    text = _USER_INFO.sub(rf"\1{MASK}@", text)
    text = _PARAMETER.sub(_masked_parameter, text)
    text = _IBAN.sub(_masked_iban, text)
    text = _CARD.sub(_masked_card, text)
    return _masked_message(text)


def masked_query(query: str) -> str:
    """The query of an address, without the values of secret parameters."""
    return masked_text(f"?{query}")[1:]


def _masked_message(text: str) -> str:
    """A refusal of ours that quotes a secret value, without it.

    A structure is quoted as JSON, cut, so nobody can tell any more where a value in it ends.
    """
    found = _QUOTED.fullmatch(text)
    if found is None:
        return text
    names = _PARAMETER_OF.search(found["rest"])
    secret = names is not None and any(map(is_secret, names["parameter"].split(".")))
    structure = found["value"][:1] in ("{", "[") and '"' in found["value"]
    shopper = names is not None and names["parameter"].split(".")[0] in _SECRET_OBJECTS
    return f"'{MASK}' {found['rest']}" if secret or structure or shopper else text


def _masked_parameter(found: re.Match[str]) -> str:
    mark, name, value = found.groups()
    return f"{mark}{name}={MASK if is_secret(name) and value else value}"


def _masked_iban(found: re.Match[str]) -> str:
    """What has an IBAN's check digits, but for its last four characters; the rest as it is."""
    text = found[0]
    plain = [n for n, character in enumerate(text) if character.isalnum()]
    for count in range(len(plain), 14, -1):
        end = plain[count - 1] + 1
        if _checks("".join(text[n] for n in plain[:count])):
            kept = text[plain[count - 4] : end]
            return f"{MASK}{kept}{text[end:]}"
    return text


def _checks(iban: str) -> bool:
    """ISO 13616: with its first four characters last and letters as numbers, 1 modulo 97."""
    digits = "".join(str(int(character, 36)) for character in iban[4:] + iban[:4])
    return int(digits) % 97 == 1


def _masked_card(found: re.Match[str]) -> str:
    """What has a card number's check digit, but for its last four digits; the rest as it is."""
    digits = [int(digit) for digit in found[0] if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    if (sum(digits[-1::-2]) + sum(doubled)) % 10:
        return found[0]
    return f"{MASK}{found[0][-4:]}"
