"""The form in which Braintree's stand-in speaks: XML as the official SDKs send and read it, and
webhooks signed with the keys of the gateway.

Braintree documents its API by its SDKs alone; names of fields are those of the pages "Transaction",
"Dispute" (responses), "All Validation Errors" and "Webhooks: Parse", with dashes for underscores.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.contract.connectors.stand import Sent
from tests.contract.servers.loopback import Answer, Request

MERCHANT = "merchant-of-the-stand-in"
PUBLIC_KEY = "public-of-the-stand-in"
PRIVATE_KEY = "private-of-the-stand-in"

Value = str | int | bool | datetime | list[str] | None
Fields = Mapping[str, "Value | Fields"]

# "All Validation Errors", Transaction.
ERRORS = {
    "81503": "Amount is an invalid format.",
    "81531": "Amount must be greater than zero.",
    "91501": "Order ID is too long.",
    "91504": "Transaction can only be voided if status is authorized or submitted for settlement.",
    "91506": "Cannot refund transaction unless it is settled.",
    "91507": "Cannot submit for settlement unless status is authorized.",
    "91512": "Transaction has already been fully refunded.",
    "91521": "Refund amount is too large.",
    "91522": "Settlement amount is too large.",
    "91547": "Merchant account does not support refunds.",
    "915231": "The API request key is not allowed.",
    "915232": "The API request key can be reused only with the same request.",
}


def xml(name: str, value: "Value | Fields") -> str:
    """An element, with its type where Braintree tells it."""
    if isinstance(value, Mapping):
        inner = "".join(xml(key, one) for key, one in value.items())
        return f"<{name}>{inner}</{name}>"
    match value:
        case None:
            return f'<{name} nil="true"/>'
        case bool():
            return f'<{name} type="boolean">{str(value).lower()}</{name}>'
        case int():
            return f'<{name} type="integer">{value}</{name}>'
        case datetime():
            return f'<{name} type="datetime">{value:%Y-%m-%dT%H:%M:%SZ}</{name}>'
        case list():
            items = "".join(xml("item", one) for one in value)
            return f'<{name} type="array">{items}</{name}>'
        case str():
            return f"<{name}>{escape(value)}</{name}>"


def answer(status: int, document: str) -> Answer:
    """An answer with a document."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return Answer(
        status, (head + document).encode(), {"Content-Type": "application/xml; charset=utf-8"}
    )


def nothing(status: int) -> Answer:
    """An answer that is its status alone."""
    return Answer(status, b"", {"Content-Type": "application/xml; charset=utf-8"})


def invalid(code: str) -> Answer:
    """A validation error of a transaction: 422."""
    error = f"<error>{xml('code', code)}<attribute type='symbol'>base</attribute>" + (
        f"{xml('message', ERRORS[code])}</error>"
    )
    errors = (
        "<errors><errors type='array'/><transaction>"
        f"<errors type='array'>{error}</errors></transaction></errors>"
    )
    message = xml("message", ERRORS[code])
    return answer(422, f"<api-error-response>{errors}<params/>{message}</api-error-response>")


def declined(transaction: str, words: str) -> Answer:
    """A transaction that the processor declined: 422, without validation errors."""
    errors = "<errors><errors type='array'/></errors>"
    message = xml("message", words)
    return answer(
        422, f"<api-error-response>{errors}<params/>{message}{transaction}</api-error-response>"
    )


def authorized(request: Request) -> bool:
    """Whether a request has the gateway's keys."""
    pair = base64.b64encode(f"{PUBLIC_KEY}:{PRIVATE_KEY}".encode()).decode()
    return request.headers.get("authorization") == f"Basic {pair}"


def asked_for(request: Request) -> dict[str, str]:
    """The fields of a transaction in a request; none where it has no body."""
    if not request.body:
        return {}
    root = ElementTree.fromstring(request.body)
    assert root.tag == "transaction"
    return {one.tag: one.text or "" for one in root}


def criteria(request: Request) -> ElementTree.Element:
    """What a search asks for."""
    root = ElementTree.fromstring(request.body)
    assert root.tag == "search"
    return root


def webhook(kind: str, at: datetime, subject: str, private_key: str = PRIVATE_KEY) -> Sent:
    """A webhook as it is sent ("Webhooks: Parse": bt_signature and bt_payload)."""
    document = f"<notification>{xml('kind', kind)}{xml('timestamp', at)}" + (
        f"<subject>{subject}</subject></notification>"
    )
    payload = base64.encodebytes(document.encode()).decode()
    return _form(f"{PUBLIC_KEY}|{_signature(payload, private_key)}", payload)


def altered(body: bytes, fields: Mapping[str, list[str]]) -> Sent:
    """The webhook with another document, under its old signature."""
    document = base64.b64decode(fields["bt_payload"][0]).replace(b"<kind>", b"<kind> ", 1)
    assert document not in body
    return _form(fields["bt_signature"][0], base64.encodebytes(document).decode())


def resigned(fields: Mapping[str, list[str]], private_key: str) -> Sent:
    """The webhook signed with another key."""
    payload = fields["bt_payload"][0]
    return _form(f"{PUBLIC_KEY}|{_signature(payload, private_key)}", payload)


def unsigned(fields: Mapping[str, list[str]]) -> Sent:
    """The webhook without its signature."""
    return Sent(_FORM, urlencode({"bt_payload": fields["bt_payload"][0]}).encode())


_FORM = {"content-type": "application/x-www-form-urlencoded"}


def _form(signature: str, payload: str) -> Sent:
    return Sent(_FORM, urlencode({"bt_signature": signature, "bt_payload": payload}).encode())


def _signature(payload: str, private_key: str) -> str:
    key = hashlib.sha1(private_key.encode()).digest()
    return hmac.new(key, payload.encode(), hashlib.sha1).hexdigest()
