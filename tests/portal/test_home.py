"""Home: what needs a person, and how refunds went over a period."""

import subprocess
import sys
from datetime import datetime, timedelta
from xml.etree import ElementTree

import pytest

from refundry.domain.money import Currency
from refundry.portal.home_figures import InCurrency, Period, in_words
from tests.portal.conftest import SignIn, Stranger
from tests.support.disputes import charge_back, given_dispute, tell
from tests.support.fixtures import (
    advance,
    get_refund,
    given_captured,
    only_charge,
    refund,
    settle,
    settled_refund,
)
from tests.support.http import Api
from tests.support.portal import Screen, Visitor
from tests.support.service import Account, Service

_DAY = 86_400


def count_of(screen: Screen, task: str) -> int:
    return int(screen.read(f"task-{task}").rsplit(" ", 1)[1])


def followed(visitor: Visitor, screen: Screen, task: str, table: str) -> int:
    """How many rows the list behind a task has."""
    behind = visitor.get(str(screen.find(f"task-{task}")["href"]))
    assert behind.status == 200
    return len(behind.rows(table)) if behind.has(table) else 0


def test_every_task_counts_and_leads_to_what_it_counts(
    service: Service, api: Api, admin: Visitor
) -> None:
    empty = admin.get("/dashboard")
    tasks = ("failed", "waiting", "over-refunded", "disputes", "attention", "webhooks")
    assert [count_of(empty, task) for task in tasks] == [0] * len(tasks)
    settled_refund(api, given_captured(api, "R"), amount=3)
    settled_refund(api, given_captured(api, "Q"), amount="29.75")
    given_over_refunded(service, api)
    given_dispute(api, given_captured(api, "A"))
    screen = admin.get("/dashboard")
    assert [count_of(screen, task) for task in tasks] == [1, 1, 1, 1, 0, 0]
    assert followed(admin, screen, "failed", "refunds") == 1
    assert followed(admin, screen, "waiting", "refunds") == 1
    assert followed(admin, screen, "over-refunded", "orders") == 1
    assert followed(admin, screen, "disputes", "disputes") == 1
    assert followed(admin, screen, "attention", "refunds") == 0
    advance(api, 9 * _DAY)
    assert count_of(admin.get("/dashboard"), "failed") == 0


def given_over_refunded(service: Service, api: Api) -> None:
    """An order of which the bank took what a refund had been asked to pay back."""
    order = given_captured(api, "S")
    made = settled_refund(api, order, amount=10)
    charge_back(api, order)
    (record,) = [each for each in only_charge(api, order)["refunds"] if each["state"] == "pending"]
    tell(service, "refund.complete", operationId=record["id"])
    settle(api)
    assert get_refund(api, made)["state"] == "succeeded"


def test_webhooks_are_a_task_of_developers(admin: Visitor, sign_in: SignIn) -> None:
    assert admin.get("/dashboard").has("task-webhooks")
    assert not sign_in("customer_service").get("/dashboard").has("task-webhooks")


def test_figures_are_those_of_the_period(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    settled_refund(api, order, amount=5, reason="late_delivery")
    settled_refund(api, given_captured(api, "J"), amount=3301, reason="late_delivery")
    first = datetime.fromisoformat(order["createdTime"])
    advance(api, 20 * _DAY)
    settled_refund(api, order, amount=2, reason="damaged")
    refund(api, order, amount=1)
    screen = admin.get("/dashboard?days=30")
    assert screen.read("refund-count") == "4"
    assert screen.rows("currencies") == [
        ["JPY", "1", "3301 JPY", "0 JPY", "3301 JPY", "0 JPY", "0.0 %"],
        ["USD", "3", "8.00 USD", "7.00 USD", "27.01 USD", "7.00 USD", "25.9 %"],
    ]
    assert screen.rows("reasons-table") == [
        ["late_delivery", "2"], ["No reason", "1"], ["damaged", "1"],
    ]  # fmt: skip
    days = {row[0]: [int(cell) for cell in row[1:]] for row in screen.rows("states-table")}
    assert len(days) == 30
    assert days[f"{first:%Y-%m-%d}"] == [0, 1, 1, 0, 0]
    assert days[f"{first + timedelta(days=20):%Y-%m-%d}"] == [1, 0, 1, 0, 0]
    assert sum(map(sum, days.values())) == 4
    lately = admin.get("/dashboard?days=7")
    assert lately.read("refund-count") == "2"
    assert lately.rows("currencies") == [["USD", "2", "3.00 USD", "2.00 USD", "0.00 USD",
                                          "0.00 USD", "–"]]  # fmt: skip
    weeks = admin.get("/dashboard?days=90")
    assert len(weeks.rows("states-table")) in (13, 14)
    assert "By week" in weeks.text
    before = f"{first - timedelta(days=1):%Y-%m-%d}"
    nothing = admin.get(f"/dashboard?from={before}&to={before}")
    assert "Nothing was refunded in this period." in nothing.text


def test_figures_are_kept_for_a_while_with_their_time_and_tasks_are_of_now(
    api: Api, admin: Visitor, sign_in: SignIn
) -> None:
    first = admin.get("/dashboard?days=7")
    settled_refund(api, given_captured(api, "R"), amount=3)
    again = sign_in("customer_service").get("/dashboard?days=7")
    assert again.read("as-of") == first.read("as-of")
    assert (first.read("refund-count"), again.read("refund-count")) == ("0", "0")
    assert count_of(again, "failed") == 1
    assert admin.get("/dashboard?days=30").read("refund-count") == "1"


@pytest.mark.parametrize(
    "query", ["from=2024-05-02&to=2024-05-01", "from=2020-01-01&to=2024-01-01", "from=yesterday"]
)
def test_a_period_that_is_none_is_refused(admin: Visitor, query: str) -> None:
    assert admin.get(f"/dashboard?{query}").status == 400


def test_charts_are_images_without_a_script_under_their_own_policy(
    api: Api, admin: Visitor, sign_in: SignIn
) -> None:
    made = given_captured(api, "A")
    refund(api, made, amount=5, reason="<script>alert(1)</script>")
    settle(api)
    screen = admin.get("/dashboard")
    charts = [img for img in screen.soup.select("picture img") if img.get("alt")]
    addresses = [str(img["src"]) for img in charts]
    addresses += [str(each["srcset"]) for each in screen.soup.select("picture source")]
    assert (len(charts), len(addresses)) == (3, 12)
    for address in addresses:
        response = admin.get(address).response
        assert response.headers["content-type"] == "image/svg+xml"
        policy = response.headers["content-security-policy"]
        assert policy == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        tags = {
            each.tag.rpartition("}")[2] for each in ElementTree.fromstring(response.text).iter()
        }
        assert "rect" in tags
        assert not tags & {"script", "image", "a", "foreignObject"}
        assert "http" not in response.text.replace("http://www.w3.org/", "")
    assert admin.get("/dashboard/home/other.svg").status == 404
    assert sign_in("user_manager").get("/dashboard/home/states.svg").status == 403


def test_home_is_of_those_who_see_orders_and_of_one_mode(
    service: Service, api: Api, admin: Visitor, sign_in: SignIn
) -> None:
    refund(api, given_captured(api, "A"), amount=5)
    assert sign_in("user_manager").get("/dashboard").path == "/dashboard/users"
    admin.post("/dashboard/mode", {"csrf_token": admin.csrf(), "live": "true"})
    assert admin.get("/dashboard").read("refund-count") == "0"
    other = Visitor(service)
    other.sign_in(service.open_account().create_user("administrator"))
    assert other.get("/dashboard").read("refund-count") == "0"
    other.close()


def test_after_the_sign_in_comes_the_first_entry_of_the_contract(
    account: Account, stranger: Stranger, sign_in: SignIn
) -> None:
    landed = stranger().sign_in(account.create_user("customer_service"))
    assert landed.path == "/dashboard/orders"
    assert sign_in().get("/dashboard/start").path == "/dashboard/orders"
    home = sign_in().get("/dashboard")
    links = [str(a["href"]) for a in home.find("navigation").select("a")]
    assert links[:2] == ["/dashboard", "/dashboard/orders"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "under 1 second"), (1, "1 second"), (65, "1 minute 5 seconds"), (3600, "1 hour"),
        (3605, "1 hour"), (7260, "2 hours 1 minute"), (90_061, "1 day 1 hour"),
    ],
)  # fmt: skip
def test_a_span_is_told_in_its_two_largest_units(seconds: int, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words


def test_a_rate_is_rounded_half_up_and_needs_a_capture() -> None:
    usd = Currency("USD", 2)
    assert InCurrency(usd, captured=2000, paid_back=1).rate == "0.1 %"
    assert InCurrency(usd, captured=2001, paid_back=1).rate == "0.0 %"
    assert InCurrency(usd, captured=1000, paid_back=1500).rate == "150.0 %"
    assert InCurrency(usd).rate == "–"


@pytest.mark.parametrize(("days", "bars"), [(1, 1), (45, 45), (46, 8), (366, 54)])
def test_a_period_has_few_bars(days: int, bars: int) -> None:
    sunday = datetime(2024, 5, 5).date()
    period = Period(sunday, sunday + timedelta(days=days - 1))
    assert (period.days, len(period.bars)) == (days, bars)
    assert period.bars[0] <= period.first


def test_the_library_of_charts_leaves_imports_alone() -> None:
    program = (
        "import warnings; warnings.simplefilter('error'); import refundry.portal.charts;"
        " import imaplib"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
