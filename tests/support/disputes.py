"""The steps of a dispute: opened, won or lost, by an operator or by the processor."""

import uuid

import httpx

from tests.support.fixtures import charges, get_order
from tests.support.http import Api, Doc, assert_bad, assert_conflict, expect
from tests.support.service import Service

NOTED = {"received": True, "duplicate": False}
LOST = ["sales_transaction.created", "order.chargeback", "order.dispute.resolved"]


def ask_dispute(api: Api, order: Doc, **fields: object) -> httpx.Response:
    return api.post(f"/refundry/v1/orders/{order['id']}/disputes", fields)


def given_dispute(api: Api, order: Doc, **fields: object) -> Doc:
    """An open dispute; without fields of the primary charge, for all that is left of it."""
    dispute = expect(ask_dispute(api, order, **fields), 201)
    assert dispute["state"] == "open"
    assert get_order(api, order)["state"] == "dispute"
    return dispute


def dispute_of(api: Api, order: Doc, source_type: str) -> Doc:
    """An open dispute of the charge with a type of source."""
    return given_dispute(api, order, chargeId=charges(api, order)[source_type]["id"])


def close(api: Api, dispute: Doc, **fields: object) -> httpx.Response:
    return api.post(f"/refundry/v1/disputes/{dispute['id']}", fields)


def win(api: Api, dispute: Doc) -> Doc:
    return expect(close(api, dispute, outcome="won"))


def ask_to_lose(
    api: Api, dispute: Doc, amount: object = None, fraud: object = True
) -> httpx.Response:
    fields = {"outcome": "lost", "amount": amount, "fraud": fraud}
    return close(api, dispute, **{k: v for k, v in fields.items() if v is not None})


def lose(api: Api, dispute: Doc, amount: float | None = None, *, fraud: bool = True) -> Doc:
    """amount: major units; None: what is left."""
    return expect(ask_to_lose(api, dispute, amount, fraud))


def charge_back(
    api: Api, order: Doc, amount: float | None = None, *, fraud: bool = True, **fields: object
) -> Doc:
    """A dispute, opened and lost; the closed dispute."""
    return lose(api, given_dispute(api, order, **fields), amount, fraud=fraud)


def get_dispute(api: Api, dispute: Doc) -> Doc:
    return expect(api.get(f"/refundry/v1/disputes/{dispute['id']}"))


def disputes_of(api: Api, order: Doc) -> list[Doc]:
    """Newest first."""
    return expect(api.get(f"/refundry/v1/disputes?orderId={order['id']}"))["data"]


def sales_of(api: Api, order: Doc) -> list[Doc]:
    """The order's sales transactions, in the order of their making."""
    return expect(api.get(f"/sales-transactions?orderId={order['id']}"))["data"][::-1]


def tell(service: Service, type: str, **data: object) -> Doc:
    """A new notification of the processor; the answer to it."""
    return expect(service.notify(type, data, str(uuid.uuid4())))


def assert_refund_in_dispute(response: httpx.Response) -> None:
    message = "A refund cannot be performed while there is a dispute on the order."
    assert_bad(response, "invalid_parameter", "order", message)


def assert_state_refused(response: httpx.Response, message: str) -> None:
    assert_conflict(response, "invalid_state", "state", message)
