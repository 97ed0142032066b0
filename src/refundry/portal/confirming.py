"""The page between a form and its effect, and the effect itself, which comes about once."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from refundry.access.forms import find_form
from refundry.errors import BadFields, Refused, required
from refundry.http.answer import Answer
from refundry.http.problems import message_of
from refundry.ids import new_web_token
from refundry.portal.forms import Form, Wrong
from refundry.portal.pages import Visit
from refundry.portal.receipts import AlreadySubmitted, FormReceipt


class Changed(Exception):
    """What would be done is not what was shown; the message says what is different."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of what will happen. id: its test id; empty if it has none. sum: of those above."""

    label: str
    text: str
    id: str = ""
    sum: bool = False


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What will happen if the button is pressed. crumbs: addresses with their labels.

    text: the sentence that matters. hidden: the fields that the form sends on. back: where to go
    instead.
    """

    title: str
    crumbs: Sequence[tuple[str, str]]
    figures: Sequence[Figure]
    text: str
    action: str
    button: str
    back: str
    hidden: Sequence[tuple[str, str]] = field(default=())


def confirm(visit: Visit, confirmation: Confirmation) -> Answer:
    """Show what will happen and ask for it."""
    return visit.show("confirm.html", confirmation=confirmation, form_token=new_web_token())


async def do_once(
    visit: Visit, receipt: FormReceipt, work: Callable[[FormReceipt], Awaitable[bytes]], done: str
) -> Answer:
    """Do what a form asks, unless it is done, and show it. done: which of `FLASHES` to show.

    Raises what `work` raises.
    """
    if (location := await _result(visit, receipt)) is not None:
        return visit.go(location, done=done)
    try:
        await work(receipt)
    except AlreadySubmitted as already:
        return visit.go(required(already.location), done=done)
    except Refused:
        # Of two submissions at once the second waits, and may be refused for what the first did.
        if (location := await _result(visit, receipt)) is not None:
            return visit.go(location, done=done)
        raise
    visit.services.wake()
    return visit.go(receipt.location, done=done)


async def _result(visit: Visit, receipt: FormReceipt) -> str | None:
    known = await find_form(visit.database, visit.user, receipt.token)
    return known.location if known is not None else None


def sent_on(form: Form, names: Iterable[str]) -> list[tuple[str, str]]:
    """The named fields of a form as hidden ones of the next; empty ones are left out."""
    return [(name, text) for name in names if (text := form.text(name))]


Problem = Wrong | BadFields | Refused | Changed
PROBLEMS = (Wrong, BadFields, Refused, Changed)
"""What a form is answered with an error for; nothing was changed then."""


def problem_text(error: Problem) -> str:
    """Why something was not done, in the API's words."""
    match error:
        case BadFields():
            return " ".join(problem.message for problem in error.problems)
        case Refused():
            return message_of(error.refusal)
        case Wrong() | Changed():
            return str(error)
