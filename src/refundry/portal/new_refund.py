"""Create refund: the choices, the preview beside them, and the submission.

Source of choices and names: contract, dashboard, section 3. One page: the review is the same page
with the preview filled in, so that nothing has to be remembered from one step to the next.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from refundry.access.forms import find_form
from refundry.access.rights import Right
from refundry.access.tokens import new_web_token
from refundry.domain.choices import FULL_ONLY, Choice, Units, items_ask, offers, unit_amount, whole_ask
from refundry.domain.money import Currency, parse_numeral, to_minor
from refundry.domain.order import Line, Order, OrderState
from refundry.domain.preview import Preview, preview_refund
from refundry.domain.refund import Refund, RefundAsk, base_of_item
from refundry.errors import Refused
from refundry.http.answer import Answer
from refundry.http.document import to_json_text
from refundry.http.problems import message_of
from refundry.orders.store import StoredOrder
from refundry.portal.forms import Form, whole
from refundry.portal.order_lines import line_name
from refundry.portal.orders import COMPONENT_LABELS, IN_DISPUTE, load_order
from refundry.portal.pages import Page, Visit
from refundry.portal.receipts import AlreadySubmitted, FormReceipt
from refundry.portal.refund_rows import refund_row
from refundry.portal.rendering import amount as amount_text
from refundry.portal.rendering import page, plain_amount
from refundry.portal.sources import source_label
from refundry.refunds.commands import RefundRequest, create_refund
from refundry.refunds.store import find_refunds, refunds_of_order

_LONGEST_REASON = 64
_METADATA_ROWS = 3
_LIKE_WITHIN = timedelta(hours=24)
# Less than this share of what was captured would be left.
_NEARLY = 20


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
    """The request that a form makes. Pure."""
    draft = Draft()
    name = form.text("kind")
    if name not in set(Choice):
        draft.problems.append("Choose what to refund.")
        return draft
    draft.choice = Choice(name)
    ask = _read_items(order, form, draft) if draft.choice is Choice.ITEMS else _read_whole(
        order, form, draft
    )  # fmt: skip
    reason = form.text("reason")
    if len(reason) > _LONGEST_REASON:
        draft.problems.append(f"The reason is longer than {_LONGEST_REASON} characters.")
    metadata = _read_metadata(form, draft)
    if ask is not None and not draft.problems:
        draft.ask = replace(ask, reason=reason or None, metadata=metadata)
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
    """Units times amount; of all units with the proposed amount, everything that is left."""
    proposed = unit_amount(order, line.position)
    minor = proposed if not text else _read_amount(text, order.currency, draft) or 0
    if quantity == line.quantity and minor == proposed:
        return base_of_item(line, None)
    return quantity * minor


def _read_metadata(form: Form, draft: Draft) -> str | None:
    found: dict[str, str] = {}
    for number, key in form.numbered("meta-key-"):
        value = form.text(f"meta-value-{number}")
        if not key and not value:
            continue
        if not 0 < len(key) <= 40 or not 0 < len(value) <= 500:
            draft.problems.append("Metadata needs a name (40 characters) and a value (500).")
        found[key] = value
    return to_json_text(found) if found else None


async def new_refund(visit: Visit) -> Answer:
    """The empty form."""
    stored = await load_order(visit)
    return _form_page(visit, stored, Draft())


async def review_refund(visit: Visit) -> Answer:
    """The form with its preview; with the script only the preview is asked for."""
    stored = await load_order(visit)
    draft = read_draft(stored.order, visit.form)
    panel = await _panel(visit, stored, draft)
    if visit.headers.get("x-part") == "panel":
        return page("refund_panel.html", panel | {"csrf_field": visit.csrf_field})
    error = " ".join(panel["problems"])
    return _form_page(visit, stored, draft, error=error, status=400 if error else 200, **panel)


async def _panel(visit: Visit, stored: StoredOrder, draft: Draft) -> dict[str, object]:
    """What the preview shows."""
    shown: dict[str, object] = {"problems": draft.problems, "preview": None, "order": stored.order}
    if draft.ask is None:
        return shown
    preview = preview_refund(stored.order, draft.ask, now=visit.now)
    shown |= {
        "preview": preview,
        "problems": [message_of(refusal) for refusal in preview.refusals],
        "lines": [
            (each.id, line_name(stored, each.position), draft.lines[each.position])
            for each in stored.order.lines
            if each.position in draft.lines
        ],
        "shares": [(source_label(stored, s.charge), s.amount) for s in preview.shares],
        "left_out": [(COMPONENT_LABELS_BY_INDEX[o.component], o.amount) for o in preview.left_out],
        "warnings": await _warnings(visit, stored.order, preview),
        "button": _button(stored, preview),
        "form_token": visit.form.text("form_token") or new_web_token(),
    }
    return shown


COMPONENT_LABELS_BY_INDEX = list(COMPONENT_LABELS.values())


def _button(stored: StoredOrder, preview: Preview) -> str:
    """What the final button does, in full."""
    if preview.refund is None:
        return ""
    names = [source_label(stored, share.charge) for share in preview.shares]
    where = f" to {' and '.join(names)}" if names else ""
    return f"Refund {amount_text(preview.refund.amount, stored.order.currency)}{where}"


async def _warnings(visit: Visit, order: Order, preview: Preview) -> list[str]:
    """What should make a person look twice; nothing of it forbids the refund."""
    if preview.refund is None:
        return []
    found: list[str] = []
    ids = await refunds_of_order(visit.database, visit.tenant, order.id)
    for each in await find_refunds(visit.database, visit.tenant, ids):
        if _is_like(each.refund, preview.refund) and visit.now - each.refund.created_at < _LIKE_WITHIN:
            row = refund_row(each.refund)
            found.append(
                f"A like refund of {amount_text(each.refund.amount, order.currency)} was made "
                f"within the last 24 hours: {each.refund.id} ({row.state})."
            )
            break
    left = preview.after.available_to_refund
    if 0 < left * _NEARLY < order.captured:
        found.append(f"After this, only {amount_text(left, order.currency)} can be refunded.")
    return found


def _is_like(earlier: Refund, new: Refund) -> bool:
    kinds = [(e.item_id, e.type) for e in earlier.elements]
    return (
        earlier.amount == new.amount
        and earlier.type is new.type
        and kinds == [(e.item_id, e.type) for e in new.elements]
    )


def _form_page(
    visit: Visit, stored: StoredOrder, draft: Draft, *, error: str = "", status: int = 200,
    **panel: object,
) -> Answer:  # fmt: skip
    order = stored.order
    made = offers(order)
    return visit.show(
        "new_refund.html",
        status=status,
        error=error or (IN_DISPUTE if order.state is OrderState.DISPUTE else ""),
        stored=stored,
        facts=stored.facts,
        offers=made,
        left={offer.choice.value: offer.available for offer in made},
        chosen=draft.choice.value if draft.choice else "",
        full_only={choice.value for choice in FULL_ONLY},
        names=[line_name(stored, line.position) for line in order.lines],
        unit_amounts=[unit_amount(order, line.position) for line in order.lines],
        bases=[base_of_item(line, None) for line in order.lines],
        metadata_rows=range(_METADATA_ROWS),
        form=visit.form,
        **({"order": order, "preview": None, "problems": []} | panel),
    )


async def submit_refund(visit: Visit) -> Answer:
    """Make the refund that was reviewed, once; otherwise show why not."""
    token = visit.form.text("form_token")
    stored = await load_order(visit)
    address = f"/dashboard/orders/{stored.order.id}"
    known = await find_form(visit.database, visit.user, token) if token else None
    if known is not None and known.location:
        return visit.go(known.location, done="refunded")
    draft = read_draft(stored.order, visit.form)
    panel = await _panel(visit, stored, draft)
    problems = list(panel["problems"]) or _changes(stored.order, visit.form, panel["preview"])  # type: ignore[call-overload, arg-type]
    if problems:
        error = " ".join(problems)
        return _form_page(visit, stored, draft, error=error, status=409, **panel)
    assert draft.ask is not None
    preview = panel["preview"]
    assert isinstance(preview, Preview)
    assert preview.refund is not None
    request = RefundRequest(
        ask=draft.ask,
        now=visit.now,
        batch_window=timedelta(seconds=visit.services.settings.refund_batch_window),
        receipt=FormReceipt(visit, token or new_web_token(), address),
        expected=preview.refund.amount,
    )
    try:
        await create_refund(visit.database, visit.tenant, request)
    except AlreadySubmitted as already:
        return visit.go(already.location or address, done="refunded")
    except Refused as refused:
        error = message_of(refused.refusal)
        return _form_page(visit, stored, draft, error=error, status=409, **panel)
    visit.services.wake()
    return visit.go(address, done="refunded")


def _changes(order: Order, form: Form, preview: Preview) -> list[str]:
    """What is different from what was reviewed; nothing if it is the same."""
    assert preview.refund is not None
    found: list[str] = []
    for name, now, what in (
        ("seen_amount", preview.refund.amount, "the refund comes to"),
        ("seen_left", order.available_to_refund, "available on the order is"),
    ):
        seen = whole(form.text(name))
        if seen is not None and seen != now:
            found.append(
                f"The balance changed while you were looking: {what} "
                f"{amount_text(now, order.currency)}, not {plain_amount(seen, order.currency)}."
                " Nothing was sent; check the amounts again."
            )
    return found


PAGES = (
    Page("GET", "/orders/{id}/refunds/new", new_refund, Right.CREATE_REFUND),
    Page("POST", "/orders/{id}/refunds/review", review_refund, Right.CREATE_REFUND),
    Page("POST", "/orders/{id}/refunds", submit_refund, Right.CREATE_REFUND),
)
