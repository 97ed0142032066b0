"""What the form of a new refund says, and the request that it makes. Pure."""

from dataclasses import dataclass, field, replace

from refundry.domain.choices import (
    FULL_ONLY,
    Choice,
    Units,
    choice_of,
    items_ask,
    unit_amount,
    units_worth,
    whole_ask,
)
from refundry.domain.money import Currency, parse_numeral, to_minor
from refundry.domain.order import Line, Order
from refundry.domain.refund import Refund, RefundAsk
from refundry.http.document import JsonValue
from refundry.http.fields import metadata_text
from refundry.portal.forms import Form, Wrong, whole
from refundry.portal.rendering import plain_amount

_LONGEST_REASON = 64
_LONGEST_KEY = 40
_LONGEST_VALUE = 500


@dataclass(slots=True)
class Draft:
    """What a form says. ask: None while it says too little or something wrong.

    problems: for the person who filled it in.
    """

    choice: Choice | None = None
    ask: RefundAsk | None = None
    lines: dict[int, Units] = field(default_factory=dict[int, Units])
    problems: list[str] = field(default_factory=list[str])


def read_draft(order: Order, form: Form) -> Draft:
    """The request that a form makes; of a retry, in the place of the refund that failed."""
    draft = Draft()
    name = form.text("kind")
    if name not in set(Choice):
        draft.problems.append("Choose what to refund.")
        return draft
    draft.choice = Choice(name)
    read = _read_items if draft.choice is Choice.ITEMS else _read_whole
    ask = read(order, form, draft)
    reason = form.text("reason")
    if len(reason) > _LONGEST_REASON:
        draft.problems.append(f"The reason is longer than {_LONGEST_REASON} characters.")
    metadata = read_metadata(form)
    if ask is not None and not draft.problems:
        draft.ask = replace(
            ask, reason=reason or None, metadata=metadata_text(metadata),
            replaces=form.text("replaces") or None,
        )  # fmt: skip
    return draft


def _read_whole(order: Order, form: Form, draft: Draft) -> RefundAsk | None:
    choice = draft.choice
    assert choice is not None
    minor = 0
    if choice not in FULL_ONLY:
        text = form.text(f"amount-of-{choice}") or form.text("amount")
        minor = _read_amount(text, order.currency, draft) or 0
    return None if draft.problems else whole_ask(order, choice, minor)


def _read_amount(text: str, currency: Currency, draft: Draft) -> int | None:
    """An amount above nothing in minor units; a problem of the draft if it is none."""
    number = parse_numeral(text.replace(",", ".") if text.count(",") == 1 else text)
    minor = to_minor(number, currency) if number is not None else None
    if not minor:
        draft.problems.append(
            f"'{text}' is not an amount in {currency.code}." if text else "Enter an amount."
        )
    return minor


def _read_items(order: Order, form: Form, draft: Draft) -> RefundAsk | None:
    for line in order.lines:
        quantity = whole(form.text(f"qty-{line.id}") or "0")
        if quantity is None or quantity > line.quantity:
            draft.problems.append(f"The quantity of {line.id} goes from 0 to {line.quantity}.")
        elif quantity:
            minor = _line_total(order, line, quantity, form.text(f"amount-{line.id}"), draft)
            draft.lines[line.position] = Units(line.position, quantity, minor)
    if not draft.lines and not draft.problems:
        draft.problems.append("Choose how many of which items to refund.")
    return None if draft.problems else items_ask(order, list(draft.lines.values()))


def _line_total(order: Order, line: Line, quantity: int, text: str, draft: Draft) -> int:
    """Units times amount; with the proposed amount, what is proposed for so many."""
    worth = units_worth(order, line.position, quantity)
    if not text and not worth:
        name = line.sku_id or line.id
        draft.problems.append(f"{quantity} of {name} are worth less than can be paid.")
    if not text:
        return worth
    minor = _read_amount(text, order.currency, draft) or 0
    return worth if minor == unit_amount(order, line.position) else quantity * minor


def read_metadata(form: Form, *, removing: bool = False) -> dict[str, JsonValue]:
    """The rows of metadata. removing: a name without a value is to be removed. Raises Wrong."""
    found: dict[str, JsonValue] = {}
    for number, key in form.numbered("meta-key-"):
        value = form.text(f"meta-value-{number}")
        if not key and not value:
            continue
        empty = removing and not value
        if (
            not 0 < len(key) <= _LONGEST_KEY
            or len(value) > _LONGEST_VALUE
            or (not value and not empty)
        ):
            raise Wrong(
                f"Metadata needs a name of at most {_LONGEST_KEY} characters and a value of at"
                f" most {_LONGEST_VALUE}."
            )
        found[key] = None if empty else value
    return found


def form_of(refund: Refund) -> Form:
    """The form that would make the same request again, in the place of the first one."""
    choice = choice_of(refund)
    pairs = [("kind", choice.value), ("reason", refund.reason or "")]
    pairs.append(("replaces", refund.replaces or refund.id))
    if choice is Choice.ITEMS:
        for element in refund.elements:
            unit = plain_amount(element.amount // element.quantity, refund.currency)
            pairs.append((f"qty-{element.item_id}", str(element.quantity)))
            pairs.append((f"amount-{element.item_id}", unit))
    elif choice not in FULL_ONLY:
        pairs.append((f"amount-of-{choice}", plain_amount(refund.amount, refund.currency)))
    return Form(pairs)
