"""The operations that a token authorises: no key is needed, and any page may call them."""

from typing import Any, cast

from refundry.access.guards import KeyRing
from refundry.errors import BadFields, FieldProblem
from refundry.http import problems
from refundry.http.answer import Answer
from refundry.http.call import Call, Operation
from refundry.http.document import milliseconds, money, shown, to_json
from refundry.languages.language import Language, choose
from refundry.tokens import schemas
from refundry.tokens.commands import (
    CountryUnknown,
    TokenBusy,
    TokenDead,
    TokenUnknown,
    Waiting,
    find_owner,
    find_waiting,
    note_refusal,
    submit_details,
)
from refundry.tokens.countries import Field

PATH = "/refundry/v1/refund-tokens/{token}"
# Any page may ask, and no browser sends its cookies along.
_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After, X-Request-Id",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language",
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "authorization, content-type, digitalriver-version",
    "Access-Control-Max-Age": "600",
}
UNKNOWN = FieldProblem("not_found", "token", "Refund token not found.")
DEAD = FieldProblem("refund_token_expired", "token", "The refund token is no longer valid.")


async def get_form(call: Call) -> Answer:
    """See what a token asks a shopper for. `country` asks for another country's fields."""
    try:
        waiting = await _find(call, call.query.one("country"))
    except (TokenUnknown, TokenDead, TokenBusy, CountryUnknown, _BadKey) as error:
        return _refused(error)
    language = choose(None, call.headers.get("accept-language"))
    return Answer(200, to_json(_form_view(waiting, language)))


async def submit_bank_details(call: Call) -> Answer:
    """Give a shopper's bank details; the refund goes on and the token ends."""
    try:
        waiting = await _find(call, None)
        waiting, values = await _read(call, waiting)
        await submit_details(call.services, waiting, values)
    except (TokenUnknown, TokenDead, TokenBusy, CountryUnknown, _BadKey) as error:
        return _refused(error)
    refund_id = waiting.stored.refund.id
    return Answer(200, to_json({"complete": True, "refundId": refund_id, "state": "pending"}))


async def preflight(_call: Call) -> Answer:
    """Tell a browser that any page may call."""
    return Answer(204, b"", dict(_PREFLIGHT))


class _BadKey(Exception):
    """A key was sent that is none."""


async def _find(call: Call, country: str | None) -> Waiting:
    """The refund of the token. A key is not needed; one that is sent must be of its account."""
    header = call.headers.get("authorization")
    key = None
    if header is not None:
        clock = call.services.clock
        key = await KeyRing(call.database, clock, remember=False).find(header)
        if key is None:
            raise _BadKey
    owner = await find_owner(call.services, call.path["token"])
    if key is not None and key.tenant != owner.tenant:
        raise TokenUnknown
    call.belongs_to(owner.tenant)
    return await find_waiting(call.services, owner, country)


async def _read(call: Call, waiting: Waiting) -> tuple[Waiting, dict[str, object]]:
    """The refund with the fields of the country that was sent, and the values. Counts what is
    refused. Raises BadFields and CountryUnknown."""
    try:
        body = call.fields()
        country = body.text("country")
        fields = body.value("fields")
        if fields is None:
            body.missing("fields")
        elif not isinstance(fields, dict):
            body.wrong("fields", "The fields are not an object.")
        body.unknown()
        body.finish()
        if country is not None:
            waiting = waiting.moved_to(country)
    except (BadFields, CountryUnknown):
        await note_refusal(call.services, waiting.owner)
        raise
    return waiting, cast("dict[str, object]", fields)


def _refused(error: Exception) -> Answer:
    match error:
        case TokenUnknown():
            return problems.problem(404, UNKNOWN)
        case TokenDead():
            return problems.problem(410, DEAD)
        case TokenBusy(wait_seconds=wait):
            return problems.problem(429, headers={"Retry-After": str(wait)})
        case CountryUnknown():
            text = f"'{shown(error.args[0])[:100]}' is not a valid country."
            return problems.problem(400, FieldProblem("invalid_parameter", "country", text))
        case _:
            return problems.problem(401, headers={"WWW-Authenticate": "Bearer"})


def _form_view(waiting: Waiting, language: Language) -> dict[str, Any]:
    refund = waiting.stored.refund
    view: dict[str, Any] = {
        "refundId": refund.id,
        "amount": money(waiting.amount, refund.currency.exponent),
        "currency": refund.currency.code,
        "expiresTime": milliseconds(waiting.expires_at),
        "method": waiting.method,
    }
    if waiting.country is not None:
        view["country"] = waiting.country
    view["fields"] = [_field_view(field, language) for field in waiting.fields]
    view["liveMode"] = waiting.owner.tenant.live
    return view


def _field_view(field: Field, language: Language) -> dict[str, Any]:
    view: dict[str, Any] = {
        "name": field.name,
        "label": language.text(field.label),
        "type": field.kind,
        "required": field.required,
    }
    if field.pattern:
        view["pattern"] = field.pattern
    view["maxLength"] = field.most
    if field.options:
        view["options"] = [
            {"value": option.value, "label": language.option(option.label)}
            for option in field.options
        ]
    return view


OPERATIONS = (
    Operation(
        "GET", PATH, get_form, "Read what a token asks for", "Bank details",
        schemas.BankDetailsForm, open=True, headers=_HEADERS,
        description="For the shopper's browser: the token is the permission, a key is not needed."
        " Twenty requests a minute.",
    ),
    Operation(
        "POST", PATH, submit_bank_details, "Give bank details", "Bank details",
        schemas.BankDetailsTaken, body=schemas.BankDetails, open=True, headers=_HEADERS,
        example={
            "fields": {"accountHolderName": "Max Muster", "iban": "DE89 3704 0044 0532 0130 00"}
        },
        description="Takes the details, once, and lets the refund go on. After ten submissions"
        " that were refused the token is locked for an hour.",
    ),
)  # fmt: skip
PREFLIGHT = Operation(
    "OPTIONS", PATH, preflight, "", "", None, open=True, documented=False, any_media=True,
    headers=_HEADERS,
)  # fmt: skip
