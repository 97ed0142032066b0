"""The links for shoppers on a refund's page."""

import re

from tests.portal.conftest import Stranger
from tests.support.fixtures import given_captured, settle, settled_refund
from tests.support.http import Api, expect
from tests.support.portal import Visitor
from tests.support.service import Service


def test_the_form_for_bank_details(service: Service, api: Api, admin: Visitor) -> None:
    made = settled_refund(api, given_captured(api, "Q"), percent=100)
    page = admin.get(f"/dashboard/refunds/{made['id']}")
    token = made["tokenInformation"]["token"]
    address = str(page.find("shopper-link")["value"])
    assert address == f"http://127.0.0.1:{service.port}/offline-refund/{token}"
    expires = page.read("expires")
    assert re.fullmatch(r"Expires \d+ \w{3} \d{4} \d\d:\d\d UTC, in 29 days", expires), expires
    snippet = page.find("element-snippet").get_text()
    assert f'refundToken: "{token}"' in snippet
    assert f"http://127.0.0.1:{service.port}/v1/DigitalRiver.js" in snippet

    details = {"accountHolderName": "Max Muster", "iban": "DE89370400440532013000"}
    path = f"/refundry/v1/refund-tokens/{token}"
    expect(service.api(None).post(path, {"fields": details}))
    settle(api)
    after = admin.get(f"/dashboard/refunds/{made['id']}")
    assert not after.has("shopper-link")
    assert details["iban"] not in after.response.text


def test_the_status_page_opens_without_a_sign_in(
    service: Service, api: Api, admin: Visitor, stranger: Stranger
) -> None:
    made = settled_refund(api, given_captured(api, "A"), percent=50)
    link = str(admin.get(f"/dashboard/refunds/{made['id']}").find("status-link")["value"])
    assert link.startswith(f"http://127.0.0.1:{service.port}/refund-status/")
    page = stranger().get(link)
    assert page.status == 200
    assert page.read("reference") == made["id"]
