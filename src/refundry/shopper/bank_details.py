"""The form in which a shopper says where a refund is to be paid, alone or in a merchant's page."""

from collections.abc import Sequence
from dataclasses import dataclass

from refundry.errors import BadFields, FieldProblem
from refundry.http.answer import Answer
from refundry.languages.language import COUNTRIES, Language, message
from refundry.shopper.pages import TOO_OFTEN, Page, Visit
from refundry.tokens.commands import (
    CountryUnknown,
    TokenBusy,
    TokenDead,
    TokenUnknown,
    Waiting,
    find_owner,
    find_waiting,
    submit_details,
)
from refundry.tokens.countries import Field, fixed_country

DEAD = message("This link is no longer valid.")
SUCCESS = message("Your bank details were received. Your refund is being processed.")
_MISSING = message("Please fill this in.")
_WRONG = message("This is not right. Please compare it with a statement or your bank's app.")


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field with what was typed into it, and what is wrong with that."""

    field: Field
    label: str
    hint: str
    value: str
    error: str
    options: list[tuple[str, str]]


async def show_form(visit: Visit) -> Answer:
    """The form on a page of its own."""
    return await _form(visit, framed=False)


async def show_element(visit: Visit) -> Answer:
    """The form as it stands in a merchant's page."""
    return await _form(visit, framed=True)


async def post_form(visit: Visit) -> Answer:
    """Take what was filled in."""
    return await _submit(visit, framed=False)


async def post_element(visit: Visit) -> Answer:
    """Take what was filled in, in a merchant's page."""
    return await _submit(visit, framed=True)


async def _form(visit: Visit, *, framed: bool) -> Answer:
    waiting = await _find(visit, visit.query.get("country"), framed=framed)
    if isinstance(waiting, Answer):
        return waiting
    return _drawn(visit, waiting, [], framed=framed)


async def _submit(visit: Visit, *, framed: bool) -> Answer:
    waiting = await _find(visit, visit.form.get("country"), framed=framed)
    if isinstance(waiting, Answer):
        return waiting
    values = {field.name: visit.form.get(field.name) for field in waiting.fields}
    try:
        await submit_details(visit.services, waiting, values)
    except BadFields as error:
        return _drawn(visit, waiting, error.problems, framed=framed)
    except TokenDead:
        return visit.tell(DEAD, status=410, framed=framed, state="dead")
    return visit.show(
        "told.html", framed=framed, text=visit.language.text(SUCCESS), state="done", success=True
    )


async def _find(visit: Visit, country: str | None, *, framed: bool) -> Waiting | Answer:
    """What the link asks for, or the page that says why it asks for nothing."""
    try:
        owner = await find_owner(visit.services, visit.path["token"])
        return await find_waiting(visit.services, owner, country or None)
    except TokenUnknown:
        return visit.tell(DEAD, status=404, framed=framed, state="dead")
    except TokenDead:
        return visit.tell(DEAD, status=410, framed=framed, state="dead")
    except TokenBusy as busy:
        answer = visit.tell(TOO_OFTEN, status=429, framed=framed)
        answer.headers["Retry-After"] = str(busy.wait_seconds)
        return answer
    except CountryUnknown as unknown:
        text = f"'{unknown}' is not a valid country."
        raise BadFields([FieldProblem("invalid_parameter", "country", text)]) from unknown


def _drawn(
    visit: Visit, waiting: Waiting, problems: Sequence[FieldProblem], *, framed: bool
) -> Answer:
    language = visit.language
    refund = waiting.stored.refund
    path = f"/offline-refund/{visit.path['token']}" + ("/element" if framed else "")
    return visit.show(
        "bank_details.html",
        status=400 if problems else 200,
        framed=framed,
        path=path,
        merchant=waiting.owner.merchant,
        live=waiting.owner.tenant.live,
        amount=language.money(waiting.amount, refund.currency),
        until=language.moment(waiting.expires_at),
        left=language.until(waiting.expires_at - waiting.owner.now),
        country=waiting.country or "",
        countries=[] if fixed_country(waiting.method) else _countries(language),
        fields=_shown_fields(visit, waiting, problems),
        failed=bool(problems),
    )


def _countries(language: Language) -> list[tuple[str, str]]:
    return sorted(((code, language.country(code)) for code in COUNTRIES), key=lambda each: each[1])


def _shown_fields(
    visit: Visit, waiting: Waiting, problems: Sequence[FieldProblem]
) -> list[ShownField]:
    text = visit.language.text
    wrong = {problem.parameter: problem.code for problem in problems}
    errors = {"missing_parameter": text(_MISSING), "invalid_parameter": text(_WRONG)}
    return [
        ShownField(
            field,
            text(field.label),
            text(field.hint) if field.hint else "",
            visit.form.get(field.name, ""),
            errors.get(wrong.get(f"fields.{field.name}", ""), ""),
            _options(visit.language, field),
        )
        for field in waiting.fields
    ]


def _options(language: Language, field: Field) -> list[tuple[str, str]]:
    found = [(option.value, language.option(option.label)) for option in field.options]
    return sorted(found, key=lambda each: each[1]) if len(found) == len(COUNTRIES) else found


_PATH = "/offline-refund/{token}"
PAGES = (
    Page("GET", _PATH, show_form),
    Page("POST", _PATH, post_form),
    Page("GET", f"{_PATH}/element", show_element, framed=True),
    Page("POST", f"{_PATH}/element", post_element, framed=True),
)
