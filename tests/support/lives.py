"""Random lives of orders, lived once through the real API; their events can be used many times."""

import random
import uuid
from dataclasses import dataclass
from decimal import Decimal

from tests.support.disputes import charge_back, given_dispute, win
from tests.support.fixtures import (
    advance,
    ask,
    charges,
    event_log,
    get_order,
    given_captured,
    settle,
)
from tests.support.http import Api, Doc, expect
from tests.support.returns import ACCEPTED, ask_return, update_return
from tests.support.service import Service

# Cards that work and one that fails, two sources at once, one that needs bank details, one slow.
NAMES = ("A", "A", "B", "G", "H", "J", "R", "S", "F")
MONTH = 31 * 24 * 3600
STEPS = 6


@dataclass(frozen=True, repr=False)
class Life:
    """What became of one order; order, refunds (newest first), charges, sales: as the API says."""

    events: list[Doc]
    order: Doc
    refunds: list[Doc]
    charges: list[Doc]
    sales: list[Doc]


def live(service: Service, api: Api, count: int, seed: int) -> list[Life]:
    """count: orders. The same seed makes the same choices."""
    choice = random.Random(seed)
    orders = [given_captured(api, choice.choice(NAMES)) for _ in range(count)]
    for _ in range(STEPS):
        for order in orders:
            _act(service, api, order, choice)
        advance(api, choice.choice((0, 1, 60)))
    advance(api, MONTH if choice.random() < 0.5 else 1)
    events: dict[str, list[Doc]] = {}
    for event in event_log(api):
        events.setdefault(order_of(event), []).append(event)
    return [_life(api, order, events[order["id"]]) for order in orders]


def order_of(event: Doc) -> str:
    """The id of the order that an event is about."""
    shown = event["data"]["object"]
    if "orderDetails" in shown:
        return shown["orderId"]
    return shown.get("orderId") or shown["id"]


def status_of(life: Life) -> str:
    """The refund status by the table of the contract, from what the API reports."""
    order, states = life.order, [refund["state"] for refund in life.refunds]
    seen = any(event["type"] == "order.chargeback" for event in life.events)
    if seen or life.sales:
        return "charged_back" if order["availableToRefundAmount"] == 0 else "partially_charged_back"
    waiting = {"pending", "pending_information"} & set(states)
    if order["refundedAmount"] > 0:
        done = order["availableToRefundAmount"] == 0 and not waiting
        return "refunded" if done else "partially_refunded"
    for state in ("pending_information", "pending"):
        if state in states:
            return state
    return "refund_failed" if states and states[0] in ("failed", "expired") else "none"


def _act(service: Service, api: Api, order: Doc, choice: random.Random) -> None:
    """One thing that may happen to an order; some are refused, as in life."""
    match choice.randrange(8):
        case 0 | 1 | 2:
            amount = Decimal(choice.randrange(1, 9))
            ask(api, order, amount=float(amount))
        case 3:
            ask(api, order, percent=choice.choice((25, 50, 100)))
        case 4:
            _fail_late(service, api, order, choice)
        case 5 if get_order(api, order)["state"] == "complete":
            if choice.random() < 0.5:
                charge_back(api, order, _some(api, order))
            else:
                win(api, given_dispute(api, order))
        case 6 if get_order(api, order)["availableToRefundAmount"] > 0:
            _return_one(api, order)
        case 7:
            settle(api)
        case _:
            pass


def _some(api: Api, order: Doc) -> float | None:
    """An amount that a bank may take; None: what is left."""
    left = get_order(api, order)["capturedAmount"] - get_order(api, order)["refundedAmount"]
    return 1.0 if left >= 1 else None


def _return_one(api: Api, order: Doc) -> None:
    made = ask_return(api, order, 1)
    if made.status_code == 201:
        update_return(api, made.json(), ACCEPTED)


def _fail_late(service: Service, api: Api, order: Doc, choice: random.Random) -> None:
    """The bank sends back what a record has paid."""
    records = [
        record
        for charge in charges(api, order).values()
        for record in charge.get("refunds", [])
        if record["state"] == "complete"
    ]
    if records:
        record = choice.choice(records)
        data = {"operationId": record["id"], "failureReason": "account_closed"}
        expect(service.notify("refund.failed", data, str(uuid.uuid4())))


def _life(api: Api, order: Doc, events: list[Doc]) -> Life:
    order_id = order["id"]
    now = get_order(api, order)
    return Life(
        events=events,
        order=now,
        refunds=expect(api.get(f"/refunds?orderId={order_id}&limit=100"))["data"],
        charges=list(charges(api, now).values()),
        sales=expect(api.get(f"/sales-transactions?orderId={order_id}&limit=100"))["data"],
    )
