import json
from typing import Any, get_args

import pytest

from refundry.domain import refusal as no
from refundry.errors import BadFields, FieldProblem, NotFound
from refundry.http.problems import bad_fields, not_found, problem, refused

INVALID = "invalid_parameter"
CASES: list[tuple[no.Refusal, int, str, str | None, str]] = [
    (no.AmountUnavailable(), 400, INVALID, "amountRequested",
     "The requested refund amount is greater than the available amount."),
    (no.OnlyFullTax(), 400, INVALID, "percentRequested", "Only full tax refunds are supported."),
    (no.CurrencyNotSupported("EUR"), 400, INVALID, "currency", "Currency EUR is not supported."),
    (no.RefundDuringDispute(), 400, INVALID, "order",
     "A refund cannot be performed while there is a dispute on the order."),
    (no.OrderUnknown("7"), 400, INVALID, "orderId", "Order '7' not found."),
    (no.InvoiceUnknown("7"), 400, INVALID, "invoiceId", "Invoice '7' not found."),
    (no.ItemUnknown("items[1].skuId", "7"), 400, INVALID, "items[1].skuId", "Item '7' not found."),
    (no.SkuAmbiguous("items[1].skuId", "7"), 400, INVALID, "items[1].skuId",
     "SKU '7' matches more than one item."),
    (no.QuantityAboveOrder("items[1].quantity"), 400, INVALID, "items[1].quantity",
     "The requested refund quantity is greater than the order quantity."),
    (no.BelowSmallestAmount(), 400, INVALID, "amountRequested",
     "The requested refund amount is less than the smallest refundable amount."),
    (no.InvalidField("totalAmount", "1.0"), 400, INVALID, "totalAmount",
     "'1.0' is not a valid totalAmount."),
    (no.UnknownField("a.b"), 400, "unknown_parameter", "a.b", "'a.b' is an unknown parameter."),
    (no.OrderNotSubmitted("7"), 409, "order_not_submitted", "orderId",
     "Order '7' has not been submitted."),
    (no.OrderFulfilled("7"), 409, "order_fulfilled", "orderId", "Resource '7' is fulfilled."),
    (no.OrderCancelled("7"), 409, "order_cancelled", "orderId", "Resource '7' is cancelled."),
    (no.FulfillmentTooLarge("items[1].quantity"), 409, "quantity_too_large", "items[1].quantity",
     "Fulfillment quantity is larger than order quantity"),
    (no.SourceDeclined(), 409, "failed-request", None, "Failed to charge source."),
    (no.OrderExists("7"), 409, "order_already_exists", "id", "Order '7' already exists."),
    (no.RefundNotFailed("re_1"), 409, "invalid_state", "state", "Refund re_1 has not failed."),
    (no.RefundReplaced("re_1", "re_2"), 409, "invalid_state", "state",
     "Refund re_2 stands in the place of re_1 already."),
    (no.RefundPaidAfterAll("re_1"), 409, "invalid_state", "state",
     "The processor says that it paid re_1 after all. It can only be recorded as paid by hand."),
    (no.KeyReused(), 409, "idempotency_key_reused", "Idempotency-Key",
     "The idempotency key was used with a different request."),
    (no.KeyInUse(), 409, "idempotency_key_in_use", "Idempotency-Key",
     "A request with this idempotency key is in progress."),
    (no.ReturnDuringDispute(), 409, "invalid_parameter", "order",
     "A return cannot be performed while there is a dispute on the order."),
    (no.ReturnTooLarge("items[1].qty"), 409, "quantity_too_large", "items[1].qty",
     "Return quantity is larger than order quantity"),
    (no.ReturnAccepted("ret_1"), 409, "invalid_state", "state", "Return ret_1 is accepted."),
    (no.ChargeInDispute("4711"), 409, "invalid_state", "state", "Order 4711 is in dispute."),
    (no.NotDisputable("blocked"), 409, "invalid_state", "state",
     "'blocked' orders cannot be disputed."),
    (no.DisputeClosed("dp_1"), 409, "invalid_state", "state", "Dispute dp_1 is closed."),
    (no.NotRetriable("o1", no.RetryBar.UNKNOWN), 409, "invalid_state", "state",
     "The order has no such capture or cancel."),
    (no.NotRetriable("o1", no.RetryBar.NOT_FAILED), 409, "invalid_state", "state",
     "Only a failed capture or cancel of a fulfillment can be retried."),
    (no.NotRetriable("o1", no.RetryBar.RETRIED), 409, "invalid_state", "state",
     "It was retried already."),
    (no.NotRetriable("o1", no.RetryBar.DISPUTE), 409, "invalid_state", "state",
     "There is a dispute on the order."),
    (no.NotRetriable("o1", no.RetryBar.CLOSED), 409, "invalid_state", "state",
     "The order is not in a state in which it can be retried."),
    (no.NotRetriable("o1", no.RetryBar.RETURNED), 409, "invalid_state", "state",
     "The units were returned, so there is nothing to capture."),
    (no.NotRetriable("o1", no.RetryBar.NO_ROOM), 409, "invalid_state", "state",
     "The charges of the order do not have that much open."),
    (no.ConcurrentUpdate(), 409, "concurrent_update", "orderId",
     "The order is being updated by another request."),
    (no.EventUnknown("e1"), 400, "invalid_parameter", "eventId", "Event 'e1' not found."),
    (no.WebhookDisabled("w1"), 409, "invalid_state", "enabled", "Webhook w1 is disabled."),
    (no.ApprovalRequired("draft_1"), 409, "approval_required", None,
     "The refund needs an approval. It waits as 'draft_1'."),
    (no.ApprovalRequired(), 409, "approval_required", None, "The refund needs an approval."),
]  # fmt: skip
TYPES = {400: "bad_request", 409: "conflict"}


def element(code: str, parameter: str | None, message: str) -> dict[str, Any]:
    named = {} if parameter is None else {"parameter": parameter}
    return {"code": code, **named, "message": message}


@pytest.mark.parametrize(("refusal", "status", "code", "parameter", "message"), CASES)
def test_each_refusal_has_the_words_of_the_contract(
    refusal: no.Refusal, status: int, code: str, parameter: str | None, message: str
) -> None:
    answer = refused(refusal)
    assert answer.status == status
    assert json.loads(answer.body) == {
        "type": TYPES[status],
        "errors": [element(code, parameter, message)],
    }


def test_every_refusal_has_a_case() -> None:
    assert {type(case[0]) for case in CASES} == set(get_args(no.Refusal))


def test_bad_fields_are_listed_in_their_order() -> None:
    found = [FieldProblem("a", "x", "X."), FieldProblem("b", None, "Y.")]
    answer = bad_fields(BadFields(found))
    assert answer.status == 400
    assert json.loads(answer.body)["errors"] == [
        element("a", "x", "X."),
        element("b", None, "Y."),
    ]


def test_an_object_that_is_not_there_is_named() -> None:
    answer = not_found(NotFound("Refund", "re_x"))
    assert answer.status == 404
    assert json.loads(answer.body) == {
        "type": "not_found",
        "errors": [element("not_found", "id", "Refund 're_x' not found.")],
    }


@pytest.mark.parametrize(
    ("status", "type", "error"),
    [
        (401, "unauthorized", {"message": "An authorization error has occurred."}),
        (403, "forbidden", element(
            "forbidden", None, "The API key is not permitted to perform this operation.")),
        (404, "not_found", element("not_found", None, "The item requested was not found.")),
        (405, "method_not_allowed", element(
            "method_not_allowed", None,
            "The method is not allowed. Provide a valid method value and try again.")),
        (406, "not_acceptable", element(
            "not_acceptable", None, "Only application/json responses are available.")),
        (408, "request_timeout", element(
            "request_timeout", None, "The request was not received in time.")),
        (429, "too_many_requests", element("too_many_requests", None, "Too many requests.")),
        (500, "internal_server_error", element(
            "internal_error", None, "An unexpected error occurred.")),
        (503, "service_unavailable", element("service_unavailable", None, "service_unavailable")),
    ],
)  # fmt: skip
def test_each_status_has_its_default_error(status: int, type: str, error: dict[str, str]) -> None:
    answer = problem(status, headers={"Retry-After": "1"})
    assert (answer.status, answer.headers) == (status, {"Retry-After": "1"})
    assert json.loads(answer.body) == {"type": type, "errors": [error]}
