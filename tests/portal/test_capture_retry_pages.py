"""Retry capture and Retry cancel on the page of an order."""

import uuid

from tests.portal.conftest import SignIn
from tests.support.disputes import given_dispute
from tests.support.fixtures import (
    cancel,
    card,
    credit,
    fulfil,
    get_order,
    given_accepted,
    paid_by,
    settle,
)
from tests.support.http import Api, Doc, expect, money
from tests.support.portal import Screen, Visitor
from tests.support.service import Account, Service

CAPTURE_FAILS = "4000 0000 0000 4103"
CAPTURE_WAITS = "4024 0071 2057 9635"
CANCEL_FAILS = "4000 0000 0000 4442"


def address(order: Doc) -> str:
    return f"/dashboard/orders/{order['id']}"


def page(visitor: Visitor, order: Doc) -> Screen:
    return visitor.get(address(order))


def given_failed_capture(api: Api) -> Doc:
    """A, shipped as a whole and paid by a card that fails every capture."""
    order = given_accepted(api, "A", payment=paid_by(card(27.01, CAPTURE_FAILS)))
    fulfil(api, order, 2)
    settle(api)
    return get_order(api, order)


def review(visitor: Visitor, order: Doc, kind: str = "capture") -> Screen:
    """The confirmation that the button leads to."""
    return visitor.get(str(page(visitor, order).find(f"retry-{kind}")["href"]))


def submit(visitor: Visitor, order: Doc, reviewed: Screen) -> Screen:
    return visitor.post(f"{address(order)}/retry", reviewed.fields())


def captures(api: Api, order: Doc) -> list[Doc]:
    return get_order(api, order)["payment"]["charges"][0]["captures"]


def states(api: Api, order: Doc) -> list[str]:
    return [each["state"] for each in captures(api, order)]


def test_a_failed_capture_is_retried_once_and_may_fail_again(
    account: Account, api: Api, sign_in: SignIn
) -> None:
    order = given_failed_capture(api)
    (failed,) = captures(api, order)
    staff = sign_in("customer_service")
    reviewed = review(staff, order)
    assert reviewed.read("review-total") == "27.01 USD"
    assert "Captured from Visa •••• 4103 27.01 USD" in reviewed.text
    assert reviewed.read("submit") == "Retry capture (27.01 USD)"
    assert states(api, order) == ["failed"], "a confirmation changes nothing"
    for _ in range(2):
        done = submit(staff, order, reviewed)
        assert done.path == address(order)
        assert done.read("flash") == "The capture is being retried."
    settle(api)
    assert states(api, order) == ["failed", "failed"]
    assert [each for each in account.audited() if each[1] == "capture.retry"] == [
        (account.audited()[0][0], "capture.retry", failed["id"])
    ]
    screen = page(staff, order)
    assert "Retried." in screen.text
    assert len(screen.soup.select("[data-testid='retry-capture']")) == 1
    submit(staff, order, review(staff, order))
    settle(api)
    assert states(api, order) == ["failed"] * 3


def test_two_confirmations_of_one_capture_retry_it_once(api: Api, admin: Visitor) -> None:
    order = given_failed_capture(api)
    first, second = review(admin, order), review(admin, order)
    submit(admin, order, first)
    refused = submit(admin, order, second)
    assert (refused.status, refused.error) == (400, "It was retried already.")
    stale = admin.get(str(first.response.url))
    assert (stale.status, stale.error) == (400, "It was retried already.")
    settle(api)
    assert len(captures(api, order)) == 2


def test_a_failed_cancel_is_retried(account: Account, api: Api, admin: Visitor) -> None:
    order = given_accepted(api, "A", payment=paid_by(card(27.01, CANCEL_FAILS)))
    cancel(api, order, 2)
    settle(api)
    reviewed = review(admin, order, "cancel")
    assert "Given up of Visa •••• 4442 27.01 USD" in reviewed.text
    assert submit(admin, order, reviewed).read("flash") == "The cancel is being retried."
    settle(api)
    cancels = get_order(api, order)["payment"]["charges"][0]["cancels"]
    assert [each["state"] for each in cancels] == ["failed", "failed"]
    assert account.audited()[0][1:] == ("cancel.retry", cancels[0]["id"])


def test_in_dispute_the_button_says_why_not(api: Api, admin: Visitor) -> None:
    order = given_accepted(api, "G", payment=paid_by(card(6.89, CAPTURE_FAILS), credit(20.00)))
    fulfil(api, order, 2)
    settle(api)
    reviewed = review(admin, order)
    assert "Captured from Visa •••• 4103 6.89 USD" in reviewed.text
    given_dispute(api, get_order(api, order))
    screen = page(admin, order)
    button = screen.find("retry-capture")
    assert button.has_attr("disabled")
    assert button["title"] == "There is a dispute on the order."
    assert "Retry capture There is a dispute on the order." in screen.text
    refused = submit(admin, order, reviewed)
    assert (refused.status, refused.error) == (400, "There is a dispute on the order.")


def test_what_names_no_failed_record_is_answered_with_the_order(api: Api, admin: Visitor) -> None:
    order = given_accepted(api, "A")
    fulfil(api, order, 2)
    settle(api)
    (capture,) = captures(api, order)
    assert not page(admin, order).has("retry-capture")
    assert admin.get(f"{address(order)}/retry").path == address(order)
    said = {
        capture["id"]: "Only a failed capture or cancel of a fulfillment can be retried.",
        "x%27%3Cb%3E": "The order has no such capture or cancel.",
    }
    for operation_id, error in said.items():
        refused = admin.get(f"{address(order)}/retry?operation={operation_id}")
        assert (refused.status, refused.error) == (400, error)
    fields = {"csrf_token": admin.csrf(), "operation": "x"}
    refused = admin.post(f"{address(order)}/retry", fields)
    assert (refused.status, refused.error) == (
        400, "Choose a failed capture or cancel of the order.",
    )  # fmt: skip
    refused = admin.post(f"{address(order)}/retry", fields | {"operation": capture["id"]})
    assert refused.error == "Only a failed capture or cancel of a fulfillment can be retried."
    assert states(api, order) == ["complete"]


def test_roles_without_the_right_see_no_button(api: Api, sign_in: SignIn) -> None:
    order = given_failed_capture(api)
    (failed,) = captures(api, order)
    for role in ("finance_manager", "developer"):
        visitor = sign_in(role)
        screen = page(visitor, order)
        assert "Failed to operate on charge" in screen.text
        assert not screen.has("retry-capture")
        fields = {"csrf_token": visitor.csrf(), "operation": failed["id"]}
        assert visitor.post(f"{address(order)}/retry", fields).status == 403
    assert states(api, order) == ["failed"]


def test_a_retry_that_succeeds_completes_the_order(
    service: Service, api: Api, admin: Visitor
) -> None:
    order = given_accepted(api, "A", payment=paid_by(card(27.01, CAPTURE_WAITS)))
    made = fulfil(api, order, 2)
    settle(api)
    say(service, captures(api, order)[0], "failed")
    assert get_order(api, order)["state"] == "fulfilled"
    submit(admin, order, review(admin, order))
    settle(api)
    assert states(api, order) == ["failed", "pending"]
    say(service, captures(api, order)[1], "complete")
    after = get_order(api, order)
    assert (after["state"], after["capturedAmount"]) == ("complete", money("27.01"))
    assert after["availableToRefundAmount"] == money("27.01")
    assert not page(admin, order).has("retry-capture")
    fulfillment = expect(api.get(f"/fulfillments/{made['id']}"))
    ids = [each["id"] for each in captures(api, order)]
    assert fulfillment["chargeOperationIds"] == ids


def say(service: Service, operation: Doc, word: str) -> None:
    data = {"operationId": operation["id"]}
    expect(service.notify(f"capture.{word}", data, str(uuid.uuid4())))
