"""The search over refunds: every filter finds and leaves out, in the list and in the file."""

import csv
import io
from collections.abc import Iterator

import pytest

from tests.portal.conftest import SignIn
from tests.support.fixtures import (
    advance,
    element,
    given_captured,
    refund,
    settle,
    settled_refund,
)
from tests.support.http import Api, Doc
from tests.support.portal import Screen, Visitor
from tests.support.service import PASSWORD, Processor, Service

DAY = 86_400


def shown(screen: Screen) -> set[str]:
    """The ids of the refunds of a list."""
    assert screen.status == 200, screen.text
    if not screen.has("refunds"):
        return set()
    return {str(a["title"]) for a in screen.find("refunds").select("tbody a[title]")}


def rows_of_file(visitor: Visitor, query: str = "") -> list[dict[str, str]]:
    response = visitor.get(f"/dashboard/refunds.csv?{query}").response
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="refunds.csv"' in response.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


def given_refunds(api: Api) -> dict[str, Doc]:
    """A refund of each kind; the last two are two days younger than the others."""
    b, d, e, f = (given_captured(api, name) for name in "BDEF")
    made = {
        "order": settled_refund(api, given_captured(api, "A"), amount=5, reason="late_delivery"),
        "failed": settled_refund(api, given_captured(api, "R"), amount=3),
        "items": refund(api, b, items=[element(b, "b", amount=10)]),
        "mixed": refund(
            api, f, items=[element(f, "a", amount=1, type="shipping"), element(f, "b", amount=10)]
        ),
        "duty": refund(api, d, type="duty", percent=100),
        "importer_tax": refund(api, d, type="importer_tax", percent=100),
        "tax": refund(api, given_captured(api, "A"), type="tax", percent=100),
        "fees": refund(api, e, items=[element(e, "a", amount=2, type="fees")]),
    }
    settle(api)
    advance(api, 2 * DAY)
    made["waiting"] = settled_refund(api, given_captured(api, "Q"), amount="29.75")
    made["shipping"] = refund(api, given_captured(api, "A"), type="shipping", amount=2)
    return made


def test_every_filter_finds_and_leaves_out(api: Api, admin: Visitor) -> None:
    made = given_refunds(api)
    day_of_last = made["waiting"]["createdTime"][:10]
    day_of_first = made["order"]["createdTime"][:10]
    wanted = {
        "state=failed": "failed",
        "state=pending_information": "waiting",
        "state=pending": "shipping",
        "type=order": "order failed waiting",
        "type=items": "items mixed",
        "type=shipping": "shipping",
        "type=duty": "duty",
        "type=importer_tax": "importer_tax",
        "type=fees": "fees",
        "type=tax": "tax",
        "reason=late_delivery": "order",
        "reason=late": "",
        "failure=expired_or_canceled_card": "failed",
        "failure=account_closed": "",
        "sku=sku-cap": "items mixed",
        "sku=sku": "",
        "currency=eur": "duty importer_tax waiting",
        "currency=JPY": "",
        f"from={day_of_last}": "shipping waiting",
        f"to={day_of_first}": "order failed items mixed duty importer_tax tax fees",
        "min=10": "items mixed waiting",
        "max=2": "fees shipping",
        "min=3&max=5": "order failed importer_tax",
        "attention=true": "",
        "currency=USD&type=order&state=succeeded": "order",
        "state=nonsense": " ".join(made),
    }
    for query, names in wanted.items():
        expected = {made[name]["id"] for name in names.split()}
        assert shown(admin.get(f"/dashboard/refunds?{query}")) == expected, query
        in_file = {row["Refund ID"] for row in rows_of_file(admin, query)}
        assert in_file == expected, query


def test_the_button_counts_active_filters_and_clear_forgets_them(api: Api, admin: Visitor) -> None:
    refund(api, given_captured(api, "A"), amount=1)
    screen = admin.get("/dashboard/refunds?state=pending&currency=USD&min=&type=nonsense")
    assert screen.read("filters") == "Filters (2)"
    assert screen.fields()["currency"] == "USD"
    cleared = admin.get(str(screen.find("clear")["href"]))
    assert cleared.read("filters") == "Filters"
    assert not cleared.has("clear")


@pytest.mark.parametrize("query", ["min=a", "max=1e99", "from=31.05.2024", "min=1,5"])
def test_what_cannot_be_read_is_said(admin: Visitor, query: str) -> None:
    screen = admin.get(f"/dashboard/refunds?{query}")
    assert screen.status == 400
    assert "Write it like" in screen.error
    assert admin.get(f"/dashboard/refunds.csv?{query}").status == 400


def test_the_file_has_every_row_and_no_formula(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    made = [refund(api, order, amount="0.10", reason="=1+1") for _ in range(27)]
    rows = rows_of_file(admin)
    assert [row["Refund ID"] for row in rows] == [each["id"] for each in reversed(made)]
    assert {row["Reason"] for row in rows} == {"'=1+1"}
    assert {row["Amount"] for row in rows} == {"0.10"}
    listed = admin.get("/dashboard/refunds?currency=USD")
    older = admin.get("/dashboard/refunds" + str(listed.find("older")["href"]))
    assert len(shown(listed)) == 25
    assert shown(listed) | shown(older) == {each["id"] for each in made}


def test_another_account_sees_and_exports_nothing(
    service: Service, api: Api, sign_in: SignIn
) -> None:
    made = refund(api, given_captured(api, "A"), amount=1)
    other = Visitor(service)
    other.sign_in(service.open_account().create_user("administrator"))
    for query in ("", f"q={made['id']}", "currency=USD", "type=order"):
        assert shown(other.get(f"/dashboard/refunds?{query}")) == set()
        assert rows_of_file(other, query) == []
    other.close()
    manager = sign_in("user_manager")
    assert manager.get("/dashboard/refunds.csv").status == 403


@pytest.fixture
def unheard() -> Iterator[tuple[Service, Visitor, Api]]:
    """A service whose processor never answers."""
    with Processor() as processor, Service(env=processor.environment()) as service:
        account = service.open_account()
        api = service.api(account.secret_test)
        visitor = Visitor(service)
        visitor.sign_in(account.create_user("administrator"), PASSWORD)
        processor.answer("error500", "refund")
        yield service, visitor, api
        visitor.close()


def test_a_refund_that_needs_attention_is_found(unheard: tuple[Service, Visitor, Api]) -> None:
    _, visitor, api = unheard
    order = given_captured(api, "A")
    stuck = refund(api, order, amount=5)
    advance(api, DAY + 60)
    advance(api, DAY)
    fresh = refund(api, order, amount=1)
    screen = visitor.get("/dashboard/refunds?attention=true")
    assert shown(screen) == {stuck["id"]}
    assert fresh["id"] not in shown(screen)
    assert [row["Needs attention"] for row in rows_of_file(visitor)] == ["", "yes"]
    assert visitor.get("/dashboard").read("task-attention").endswith("1")
