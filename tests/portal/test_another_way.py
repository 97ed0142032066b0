"""A failed refund paid another way, from its page."""

import uuid

import pytest

from tests.portal.conftest import SignIn, Stranger
from tests.support.fixtures import given_captured, refund, settle, settled_refund
from tests.support.http import Api, Doc, expect
from tests.support.portal import Screen, Visitor
from tests.support.service import Account, Service

FORM = "form[action$=another-way]"


def page_of(made: Doc) -> str:
    return f"/dashboard/refunds/{made['id']}"


def failed(api: Api) -> Doc:
    made = settled_refund(api, given_captured(api, "R"), amount=5, reason="late_delivery")
    assert made["state"] == "failed"
    return made


def pay(visitor: Visitor, made: Doc, way: str, reason: str = "card lost") -> Screen:
    fields = visitor.get(page_of(made)).fields(FORM)
    return visitor.post(f"{page_of(made)}/another-way", fields | {"way": way, "reason": reason})


def refund_on(screen: Screen) -> str:
    return screen.path.rpartition("/")[2]


@pytest.mark.parametrize(
    ("way", "told"), [("store_credit", "as store credit"), ("by_hand", "by hand")]
)
def test_what_is_recorded_as_paid_stands_in_the_place(
    api: Api, admin: Visitor, account: Account, way: str, told: str
) -> None:
    first = failed(api)
    screen = pay(admin, first, way)
    assert screen.read("flash") == "This refund stands in the place of the one that failed."
    assert screen.read("state") == "Succeeded"
    assert f"recorded as paid {told}" in screen.read("timeline")
    assert "card lost" in screen.read("timeline")
    made = expect(api.get(f"/refunds/{refund_on(screen)}"))
    assert (made["replaces"], made["payoutWay"]) == (first["id"], way)
    assert (made["amount"], made["reason"]) == (5.0, "late_delivery")
    before = admin.get(page_of(first))
    assert not before.has("pay-another-way")
    assert not before.has("retry")
    assert made["id"] in before.read("chain")
    actions = {action for _, action, _ in account.audited()}
    assert "refund.another_way" in actions


def test_a_form_that_comes_twice_pays_once(api: Api, admin: Visitor) -> None:
    first = failed(api)
    fields = admin.get(page_of(first)).fields(FORM) | {"way": "by_hand", "reason": "cash"}
    once = admin.post(f"{page_of(first)}/another-way", fields)
    again = admin.post(f"{page_of(first)}/another-way", fields)
    assert again.path == once.path
    other = fields | {"form_token": "another-form"}
    refused = admin.post(f"{page_of(first)}/another-way", other)
    assert refused.status == 400
    assert f"stands in the place of {first['id']} already" in refused.text


def test_it_takes_a_reason_and_a_way(api: Api, admin: Visitor) -> None:
    first = failed(api)
    assert pay(admin, first, "by_hand", "").status == 400
    assert pay(admin, first, "cheque").status == 400
    assert not admin.get(page_of(first)).has("chain")


def test_it_takes_a_right_of_its_own(api: Api, sign_in: SignIn) -> None:
    first = failed(api)
    staff = sign_in("customer_service", in_refund_set=True)
    page = staff.get(page_of(first))
    assert page.has("retry")
    assert not page.has("pay-another-way")
    fields = {"csrf_token": staff.csrf(), "form_token": "x", "way": "by_hand", "reason": "x"}
    assert staff.post(f"{page_of(first)}/another-way", fields).status == 403
    assert pay(sign_in("finance_manager"), first, "by_hand").read("state") == "Succeeded"


def test_a_bank_transfer_asks_the_shopper(
    service: Service, api: Api, admin: Visitor, stranger: Stranger
) -> None:
    first = failed(api)
    status = str(admin.get(page_of(first)).find("status-link")["value"])
    screen = pay(admin, first, "bank_transfer")
    assert screen.read("state") == "Waiting for bank details"
    made = expect(api.get(f"/refunds/{refund_on(screen)}"))
    token = made["tokenInformation"]["token"]
    assert str(screen.find("shopper-link")["value"]).endswith(token)
    shopper = stranger()
    assert shopper.get(status).read("reference") == made["id"]
    details = {"accountHolderName": "Max Muster", "iban": "DE89370400440532013000"}
    body = {"country": "DE", "fields": details}
    expect(service.api(None).post(f"/refundry/v1/refund-tokens/{token}", body))
    settle(api)
    assert admin.get(page_of(made)).read("state") == "Succeeded"
    paid = shopper.get(status)
    assert (paid.read("state"), paid.read("methods")) == ("Paid", "Bank transfer")


def test_a_retry_stands_in_the_place_of_what_failed(api: Api, admin: Visitor) -> None:
    first = failed(api)
    form = admin.get(str(admin.get(page_of(first)).find("retry")["href"]))
    fields = form.fields()
    assert fields["replaces"] == first["id"]
    address = f"/dashboard/orders/{first['orderId']}/refunds"
    review = admin.post(f"{address}/review", fields)
    assert admin.post(address, review.fields()).read("flash") == "Refund submitted."
    again = admin.get(page_of(first))
    assert not again.has("retry")
    second = expect(api.get(f"/refunds/{again.read('replacement')}"))
    assert second["replaces"] == first["id"]
    assert "payoutWay" not in second
    late = admin.post(f"{address}/review", fields)
    assert "stands in the place of" in late.error
    settle(api)
    page = admin.get(page_of(second))
    assert page.read("state") == "Failed"
    assert admin.get(str(page.find("retry")["href"])).fields()["replaces"] == first["id"]


def test_a_retry_of_another_orders_refund_is_none(api: Api, admin: Visitor) -> None:
    first, order = failed(api), given_captured(api, "A")
    form = admin.get(f"/dashboard/orders/{order['id']}/refunds/new").fields()
    fields = form | {"kind": "order", "amount-of-order": "2.00", "replaces": first["id"]}
    address = f"/dashboard/orders/{order['id']}/refunds"
    assert admin.post(f"{address}/review", fields).status == 404
    assert admin.post(address, fields).status == 404


def test_a_payout_after_all_is_shouted_about(
    service: Service, api: Api, admin: Visitor, account: Account
) -> None:
    first = failed(api)
    made = refund_on(pay(admin, first, "store_credit"))
    row = admin.get(page_of(first)).fields("form[action$=metadata]")
    notify_paid(service, api, first)
    page = admin.get(page_of(first))
    assert page.read("paid-after-all").startswith("This may have been paid twice.")
    assert "says that it was paid after all" in page.read("timeline")
    assert expect(api.get(f"/refunds/{first['id']}")) == first, "what failed stays as it is"
    assert expect(api.get(f"/refunds/{made}"))["needsAttention"] is True
    fields = {"csrf_token": row["csrf_token"], "note": "ana took the credit back"}
    done = admin.post(f"{page_of(first)}/dealt-with", fields)
    assert not done.has("paid-after-all")
    assert "ana took the credit back" in done.read("timeline")
    assert "needsAttention" not in expect(api.get(f"/refunds/{made}"))
    assert admin.post(f"{page_of(first)}/dealt-with", fields).status == 400
    assert "refund.paid_after_all" in {action for _, action, _ in account.audited()}


def notify_paid(service: Service, api: Api, made: Doc) -> None:
    """The sandbox's processor says that it paid a refund that failed."""
    charge = expect(api.get(f"/charges/{made['charges'][0]['id']}"))
    data = {"operationId": charge["refunds"][0]["id"]}
    assert service.notify("refund.complete", data, str(uuid.uuid4())).status_code == 200


def test_what_was_paid_after_all_can_only_be_recorded(
    service: Service, api: Api, admin: Visitor
) -> None:
    first = failed(api)
    notify_paid(service, api, first)
    page = admin.get(page_of(first))
    assert "after it had failed" in page.read("paid-after-all")
    assert not page.has("retry")
    assert page.has("way-by_hand")
    assert not page.has("way-store_credit")
    assert pay(admin, first, "by_hand").read("state") == "Succeeded"
    assert not admin.get(page_of(first)).has("paid-after-all")


def test_a_pending_refund_offers_no_other_way(api: Api, admin: Visitor) -> None:
    made = refund(api, given_captured(api, "A"), amount=5)
    assert not admin.get(page_of(made)).has("pay-another-way")
    fields = {"csrf_token": admin.csrf(), "form_token": "x", "way": "by_hand", "reason": "x"}
    assert "has not failed" in admin.post(f"{page_of(made)}/another-way", fields).text


def test_the_api_pays_another_way_once_for_each_key(api: Api, account: Account) -> None:
    first = failed(api)
    path = f"/refundry/v1/refunds/{first['id']}/another-way"
    body = {"way": "bank_transfer", "reason": "The card is closed."}
    key = str(uuid.uuid4())
    made = expect(api.post(path, body, headers={"Idempotency-Key": key}))
    assert (made["replaces"], made["payoutWay"]) == (first["id"], "bank_transfer")
    assert made["state"] == "pending_information"
    assert made["tokenInformation"]["token"]
    assert expect(api.post(path, body, headers={"Idempotency-Key": key})) == made
    refused = api.post(path, {"way": "retry", "reason": "again"})
    assert refused.status_code == 409
    assert made["id"] in refused.text
    assert api.post(path, {"way": "cheque", "reason": "x"}).status_code == 400
    assert api.post(path, {"way": "by_hand"}).status_code == 400
    assert api.post("/refundry/v1/refunds/re_none/another-way", body).status_code == 404
    assert "refund.another_way" in {action for _, action, _ in account.audited()}


def test_the_api_retries(api: Api) -> None:
    first = failed(api)
    path = f"/refundry/v1/refunds/{first['id']}/another-way"
    made = expect(api.post(path, {"way": "retry", "reason": "The bank was down."}))
    assert (made["state"], made["replaces"]) == ("pending", first["id"])
    assert "payoutWay" not in made
    settle(api)
    assert expect(api.get(f"/refunds/{made['id']}"))["state"] == "failed"


def test_a_key_that_only_reads_pays_no_other_way(
    service: Service, api: Api, account: Account
) -> None:
    first = failed(api)
    key = account.create_key(kind="restricted", permissions={"refunds": "read"})
    path = f"/refundry/v1/refunds/{first['id']}/another-way"
    body = {"way": "by_hand", "reason": "cash"}
    assert service.api(key).post(path, body).status_code == 403
