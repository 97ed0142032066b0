"""From a refusal to its answer: status, code, parameter and message in the contract's words."""

from typing import assert_never

from refundry.domain import refusal as no
from refundry.errors import BadFields, FieldProblem, NotFound
from refundry.http.answer import Answer
from refundry.http.document import to_json

TYPES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    409: "conflict",
    410: "gone",
    429: "too_many_requests",
    500: "internal_server_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}

_DEFAULTS: dict[int, FieldProblem] = {
    403: FieldProblem("forbidden", None, "The API key is not permitted to perform this operation."),
    404: FieldProblem("not_found", None, "The item requested was not found."),
    405: FieldProblem(
        "method_not_allowed",
        None,
        "The method is not allowed. Provide a valid method value and try again.",
    ),
    406: FieldProblem("not_acceptable", None, "Only application/json responses are available."),
    408: FieldProblem("request_timeout", None, "The request was not received in time."),
    429: FieldProblem("too_many_requests", None, "Too many requests."),
    500: FieldProblem("internal_error", None, "An unexpected error occurred."),
    503: FieldProblem("service_unavailable", None, "service_unavailable"),
    504: FieldProblem("gateway_timeout", None, "gateway_timeout"),
}


def problem(status: int, *problems: FieldProblem, headers: dict[str, str] | None = None) -> Answer:
    """The error envelope: `type` by status, and at least one element."""
    if status == 401:
        errors = [{"message": "An authorization error has occurred."}]
    else:
        errors = [problem_element(each) for each in problems or (_DEFAULTS[status],)]
    body = to_json({"type": TYPES[status], "errors": errors})
    return Answer(status, body, headers or {})


def problem_element(each: FieldProblem) -> dict[str, str]:
    """One bad field as an element of the error envelope."""
    element = {"code": each.code}
    if each.parameter is not None:
        element["parameter"] = each.parameter
    return element | {"message": each.message}


def unavailable() -> Answer:
    """503: nothing was done, and the same request may be sent again in a second."""
    return problem(503, headers={"Retry-After": "1"})


def bad_fields(error: BadFields) -> Answer:
    """400 with every bad field."""
    return problem(400, *error.problems)


def not_found(error: NotFound) -> Answer:
    """404 for an object."""
    message = f"{error.noun} '{error.object_id}' not found."
    return problem(404, FieldProblem("not_found", "id", message))


def refused(refusal: no.Refusal) -> Answer:
    """The answer to a refusal (contract, HTTP conventions, section 5.3)."""
    status, code, parameter, message = _words(refusal)
    return problem(status, FieldProblem(code, parameter, message))


def error_of(refusal: no.Refusal) -> dict[str, str]:
    """A refusal as an element of the error envelope."""
    _, code, parameter, message = _words(refusal)
    return problem_element(FieldProblem(code, parameter, message))


def message_of(refusal: no.Refusal) -> str:
    """A refusal in words, for people."""
    return _words(refusal)[3]


_Words = tuple[int, str, str | None, str]


def _words(refusal: no.Refusal) -> _Words:
    match refusal:
        case (
            no.InvalidField()
            | no.UnknownField()
            | no.AmountUnavailable()
            | no.OnlyFullTax()
            | no.BelowSmallestAmount()
            | no.CurrencyNotSupported()
            | no.RefundDuringDispute()
            | no.OrderUnknown()
            | no.InvoiceUnknown()
            | no.ItemUnknown()
            | no.SkuAmbiguous()
            | no.QuantityAboveOrder()
            | no.EventUnknown()
        ):
            return 400, *_bad_request(refusal)
        case _:
            return 409, *_conflict(refusal)


_BadRequest = (
    no.InvalidField
    | no.UnknownField
    | no.AmountUnavailable
    | no.OnlyFullTax
    | no.BelowSmallestAmount
    | no.CurrencyNotSupported
    | no.RefundDuringDispute
    | no.OrderUnknown
    | no.InvoiceUnknown
    | no.ItemUnknown
    | no.SkuAmbiguous
    | no.QuantityAboveOrder
    | no.EventUnknown
)
_AfterSale = (
    no.ReturnDuringDispute
    | no.ReturnTooLarge
    | no.ReturnAccepted
    | no.ChargeInDispute
    | no.NotDisputable
    | no.DisputeClosed
    | no.NotRetriable
)
_Replacement = no.RefundNotFailed | no.RefundReplaced | no.RefundPaidAfterAll
_Conflict = (
    no.FulfillmentTooLarge
    | no.OrderNotSubmitted
    | no.OrderFulfilled
    | no.OrderCancelled
    | no.OrderExists
    | no.SourceDeclined
    | _AfterSale
    | no.ConcurrentUpdate
    | no.WebhookDisabled
    | no.KeyReused
    | no.KeyInUse
    | no.ApprovalRequired
    | _Replacement
)


_RETRY_BARS = {
    no.RetryBar.UNKNOWN: "The order has no such capture or cancel.",
    no.RetryBar.NOT_FAILED: "Only a failed capture or cancel of a fulfillment can be retried.",
    no.RetryBar.RETRIED: "It was retried already.",
    no.RetryBar.DISPUTE: "There is a dispute on the order.",
    no.RetryBar.CLOSED: "The order is not in a state in which it can be retried.",
    no.RetryBar.RETURNED: "The units were returned, so there is nothing to capture.",
    no.RetryBar.NO_ROOM: "The charges of the order do not have that much open.",
}


def _bad_request(refusal: _BadRequest) -> tuple[str, str, str]:
    invalid = "invalid_parameter"
    match refusal:
        case no.InvalidField(parameter, value):
            return invalid, parameter, f"'{value}' is not a valid {parameter}."
        case no.UnknownField(parameter):
            return "unknown_parameter", parameter, f"'{parameter}' is an unknown parameter."
        case no.AmountUnavailable():
            message = "The requested refund amount is greater than the available amount."
            return invalid, "amountRequested", message
        case no.OnlyFullTax():
            return invalid, "percentRequested", "Only full tax refunds are supported."
        case no.BelowSmallestAmount():
            message = "The requested refund amount is less than the smallest refundable amount."
            return invalid, "amountRequested", message
        case no.CurrencyNotSupported(currency):
            return invalid, "currency", f"Currency {currency} is not supported."
        case no.RefundDuringDispute():
            message = "A refund cannot be performed while there is a dispute on the order."
            return invalid, "order", message
        case no.OrderUnknown(order_id):
            return invalid, "orderId", f"Order '{order_id}' not found."
        case no.InvoiceUnknown(invoice_id):
            return invalid, "invoiceId", f"Invoice '{invoice_id}' not found."
        case no.ItemUnknown(parameter, value):
            return invalid, parameter, f"Item '{value}' not found."
        case no.SkuAmbiguous(parameter, sku_id):
            return invalid, parameter, f"SKU '{sku_id}' matches more than one item."
        case no.QuantityAboveOrder(parameter):
            message = "The requested refund quantity is greater than the order quantity."
            return invalid, parameter, message
        case no.EventUnknown(event_id):
            return invalid, "eventId", f"Event '{event_id}' not found."
        case _:
            assert_never(refusal)


def _conflict(refusal: _Conflict) -> tuple[str, str | None, str]:
    match refusal:
        case no.FulfillmentTooLarge(parameter):
            message = "Fulfillment quantity is larger than order quantity"
            return "quantity_too_large", parameter, message
        case no.OrderNotSubmitted(order_id):
            message = f"Order '{order_id}' has not been submitted."
            return "order_not_submitted", "orderId", message
        case no.OrderFulfilled(order_id):
            return "order_fulfilled", "orderId", f"Resource '{order_id}' is fulfilled."
        case no.OrderCancelled(order_id):
            return "order_cancelled", "orderId", f"Resource '{order_id}' is cancelled."
        case no.OrderExists(order_id):
            return "order_already_exists", "id", f"Order '{order_id}' already exists."
        case no.SourceDeclined():
            return "failed-request", None, "Failed to charge source."
        case (
            no.ReturnDuringDispute()
            | no.ReturnTooLarge()
            | no.ReturnAccepted()
            | no.ChargeInDispute()
            | no.NotDisputable()
            | no.DisputeClosed()
            | no.NotRetriable()
        ):
            return _after_sale(refusal)
        case no.ConcurrentUpdate():
            message = "The order is being updated by another request."
            return "concurrent_update", "orderId", message
        case no.WebhookDisabled(webhook_id):
            return "invalid_state", "enabled", f"Webhook {webhook_id} is disabled."
        case no.KeyReused():
            message = "The idempotency key was used with a different request."
            return "idempotency_key_reused", "Idempotency-Key", message
        case no.KeyInUse():
            message = "A request with this idempotency key is in progress."
            return "idempotency_key_in_use", "Idempotency-Key", message
        case no.ApprovalRequired(draft_id):
            waits = f" It waits as '{draft_id}'." if draft_id else ""
            return "approval_required", None, f"The refund needs an approval.{waits}"
        case no.RefundNotFailed() | no.RefundReplaced() | no.RefundPaidAfterAll():
            return "invalid_state", "state", _replacement(refusal)
        case _:
            assert_never(refusal)


def _replacement(refusal: _Replacement) -> str:
    match refusal:
        case no.RefundNotFailed(refund_id):
            return f"Refund {refund_id} has not failed."
        case no.RefundReplaced(refund_id, other_id):
            return f"Refund {other_id} stands in the place of {refund_id} already."
        case no.RefundPaidAfterAll(refund_id):
            return (
                f"The processor says that it paid {refund_id} after all."
                " It can only be recorded as paid by hand."
            )
        case _:
            assert_never(refusal)


def _after_sale(refusal: _AfterSale) -> tuple[str, str, str]:
    match refusal:
        case no.ReturnDuringDispute():
            message = "A return cannot be performed while there is a dispute on the order."
            return "invalid_parameter", "order", message
        case no.ReturnTooLarge(parameter):
            return "quantity_too_large", parameter, "Return quantity is larger than order quantity"
        case no.ReturnAccepted(return_id):
            return "invalid_state", "state", f"Return {return_id} is accepted."
        case no.ChargeInDispute(order_id):
            return "invalid_state", "state", f"Order {order_id} is in dispute."
        case no.NotDisputable(state):
            return "invalid_state", "state", f"'{state}' orders cannot be disputed."
        case no.DisputeClosed(dispute_id):
            return "invalid_state", "state", f"Dispute {dispute_id} is closed."
        case no.NotRetriable(_, bar):
            return "invalid_state", "state", _RETRY_BARS[bar]
        case _:
            assert_never(refusal)
