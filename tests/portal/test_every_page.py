"""Every page with every role, and with what is another account's or mode's.

The pages come from the table of routes. What the contract allows to whom (dashboard, section 1.1)
is written down here again, so that a page without a row, or with another right, fails.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import httpx
import pytest

from refundry.portal.pages import Page
from refundry.portal.routes import PAGES
from tests.portal.test_approvals import set_rule
from tests.portal.test_bulk import paste
from tests.support.command import run_sql
from tests.support.disputes import charge_back
from tests.support.fixtures import order_body, paid_by, refund, source
from tests.support.http import Api, expect
from tests.support.portal import Visitor
from tests.support.returns import given_return
from tests.support.service import Account, Service
from tests.support.settlement import given_conflict

MEMBER = "customer_service in the set"
ROLES = ("administrator", "customer_service", MEMBER, "finance_manager", "developer",
         "user_manager")  # fmt: skip
ROWS: Mapping[str, frozenset[str]] = {
    "view": frozenset(ROLES) - {"user_manager"},
    "refund": frozenset({"administrator", MEMBER}),
    "returns and items": frozenset({"administrator", "customer_service", MEMBER}),
    "disputes": frozenset({"administrator", "finance_manager"}),
    "transactions": frozenset({"administrator", "finance_manager"}),
    "developers": frozenset({"administrator", "developer"}),
    "people": frozenset({"administrator", "user_manager"}),
    "audit log": frozenset({"administrator"}),
    "approve": frozenset({"administrator", "finance_manager"}),
    "another way": frozenset({"administrator", "finance_manager"}),
    "limits": frozenset({"administrator"}),
    "anybody": frozenset(ROLES),
}
# The first that matches says in which row a page stands.
PLACES = (
    (r"(GET|POST) (/|/start|/login|/logout|/mode|/password/.+|/profile.*|/static/.+)?", "anybody"),
    (r"GET /\{rest:path\}", "anybody"),
    (r"\S+ /orders/\{id\}/refunds.*", "refund"),
    (r"POST /refunds/\{id\}/(metadata|mark|check)", "refund"),
    (r"POST /refunds/\{id\}/(another-way|dealt-with)", "another way"),
    (r"\S+ /orders/\{id\}/(returns|fulfill|cancel|retry)(/.*)?", "returns and items"),
    (r"\S+ /returns/\{id\}/accept.*", "returns and items"),
    (r"\S+ /orders/\{id\}/disputes.*", "disputes"),
    (r"POST /disputes/.+", "disputes"),
    (r"GET /home/\{name\}", "view"),
    (r"\S+ /bulk.*", "refund"),
    (r"GET /approvals(/\{id\})?", "view"),
    (r"POST /approvals/.+", "approve"),
    (r"\S+ /approval-rule", "limits"),
    (r"GET /(orders|refunds|returns|disputes)(\.csv)?(/\{id\}(/news)?)?", "view"),
    (r"GET /transactions.*", "transactions"),
    (r"\S+ /reconciliation.*", "transactions"),
    (r"POST /api-keys/\{id\}/approval", "limits"),
    (r"\S+ /(api-keys|webhooks|processors|events|api-logs).*", "developers"),
    (r"\S+ /(users|permission-sets).*", "people"),
    (r"GET /audit.*", "audit log"),
)  # fmt: skip
# Where the ids of a path come from if not from the list that the path begins with; of people
# those whom user managers may manage.
LISTS = {
    "/users": "/users?role=developer",
    "/permission-sets/members": "/users?role=developer",
}
# What both modes share.
OF_THE_ACCOUNT = ("/users", "/permission-sets")


def name_of(page: Page) -> str:
    return f"{page.method} {page.path}"


_TABLES = """
SELECT quote_ident(tablename) AS name
  FROM pg_tables
 WHERE schemaname = 'public' AND tablename NOT IN ('sessions', 'api_log')
 ORDER BY tablename
"""
_DIGEST = "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} AS t"
CLOSED = [page for page in PAGES if not page.open]
WITH_ID = [page for page in CLOSED if "{id}" in page.path]
every_page = pytest.mark.parametrize("page", CLOSED, ids=name_of)


def row_of(page: Page) -> str:
    for pattern, row in PLACES:
        if re.fullmatch(pattern, name_of(page)):
            return row
    pytest.fail(f"{name_of(page)} stands in no row: say in PLACES whom the contract lets in")


@dataclass
class Mode:
    """An account in a mode, furnished with one of everything, and an administrator in it."""

    admin: Visitor
    found: dict[str, str] = field(default_factory=dict[str, str])

    def example(self, page: Page) -> str:
        """The id of an object of the page's kind, read from the list of them."""
        collection = page.path.partition("/{id}")[0]
        address = f"/dashboard{LISTS.get(collection, collection)}"
        if address not in self.found:
            links = [str(a["href"]) for a in self.admin.get(address).soup.select("main a[href]")]
            base = re.escape(address.partition("?")[0])
            ids = [re.fullmatch(rf"{base}/([^/?]+)", link) for link in links]
            known = [each[1] for each in ids if each and each[1] not in ("new", "template.csv")]
            if not known:
                pytest.fail(f"{address} lists nothing: make an example of it in `furnish`")
            self.found[address] = known[0]
        return self.found[address]


def furnish(service: Service, account: Account, *, live: bool) -> None:
    """One of everything that has a page."""
    account.create_user("developer")
    api: Api = service.api(account.secret_live if live else account.secret_test)
    body = order_body("A", payment=paid_by(source("payPal", 27.01)), state="complete")
    orders = [expect(api.post("/orders", body), 201) for _ in range(2)]
    refund(api, orders[0], amount=1)
    given_return(api, orders[0], 1)
    charge_back(api, orders[1])
    webhook = {"address": "https://shop.example/hook", "types": ["order.accepted"]}
    expect(api.post("/webhooks", webhook), 201)
    given_conflict(service, account, live=live)


def furnish_by_hand(admin: Visitor) -> None:
    """What only the dashboard makes: a bulk run, and a refund that waits for approval."""
    order_id = admin.get("/dashboard/orders").rows("orders")[-1][0]
    paste(admin, f"order_id,amount,currency,reason\n{order_id},0.01,USD,x\n")
    set_rule(admin, "administrator", "0.50")
    path = f"/dashboard/orders/{order_id}/refunds"
    fields = admin.get(f"{path}/new").fields() | {"kind": "order", "amount-of-order": "1.50"}
    waiting = admin.post(path, fields)
    assert waiting.path.startswith("/dashboard/approvals/"), waiting.text


@dataclass
class Site:
    """Who visits, and whose things there are."""

    nobody: Visitor
    staff: Mapping[str, Visitor]
    tokens: Mapping[str, str]
    own: Mode
    other_mode: Mode
    other_account: Mode

    def ask(self, role: str, page: Page, object_id: str, *, csrf: bool = True) -> httpx.Response:
        """A page or an empty form; of an endless answer only its head."""
        client = self.staff[role].client if role else self.nobody.client
        fields = {"csrf_token": self.tokens[role]} if role and csrf else {}
        path = "/dashboard" + page.path.replace("{id}", object_id).replace("{rest:path}", "x")
        path = path.replace("{name}", "states.svg")
        if page.method == "GET":
            with client.stream("GET", path, follow_redirects=False) as answer:
                return answer
        return client.post(path, data=fields, follow_redirects=False)


def enter(service: Service, account: Account, role: str) -> Visitor:
    visitor = Visitor(service)
    email = account.create_user(role.split()[0], in_refund_set=role == MEMBER)
    assert visitor.sign_in(email).path != "/dashboard/login"
    return visitor


@pytest.fixture(scope="module")
def site(service: Service) -> Iterator[Site]:
    account, other = service.open_account(), service.open_account()
    furnish(service, account, live=False)
    furnish(service, account, live=True)
    furnish(service, other, live=False)
    staff = {role: enter(service, account, role) for role in ROLES}
    live, foreign = (enter(service, each, "administrator") for each in (account, other))
    live.post("/dashboard/mode", {"csrf_token": live.csrf(), "live": "true"})
    for admin in (staff["administrator"], live, foreign):
        furnish_by_hand(admin)
    nobody = Visitor(service)
    tokens = {role: visitor.csrf() for role, visitor in staff.items()}
    yield Site(nobody, staff, tokens, Mode(staff["administrator"]), Mode(live), Mode(foreign))
    for visitor in (nobody, live, foreign, *staff.values()):
        visitor.close()


def own_id(site: Site, page: Page) -> str:
    return site.own.example(page) if "{id}" in page.path else ""


def test_every_parameter_of_a_path_is_known() -> None:
    for page in CLOSED:
        assert set(re.findall(r"\{(.+?)\}", page.path)) <= {"id", "name", "rest:path"}, (
            f"{name_of(page)}: say in `Site.ask` what to fill in"
        )


@every_page
def test_who_is_not_signed_in_goes_to_the_sign_in(site: Site, page: Page) -> None:
    answer = site.ask("", page, "x")
    assert answer.status_code == 303
    assert answer.headers["location"].partition("?")[0] == "/dashboard/login"


@every_page
def test_the_contract_says_who_may(site: Site, page: Page) -> None:
    allowed = ROWS[row_of(page)]
    own = own_id(site, page)
    for role in ROLES:
        if role not in allowed:
            assert site.ask(role, page, own).status_code == 403, role
        elif page.method == "GET" and page.path != "/{rest:path}":
            # Nothing that anybody has to be kept from; a QR code there is only while one is asked.
            expected = {404} if page.path.endswith("qr-code.svg") else {200, 303}
            assert site.ask(role, page, own).status_code in expected, role
        elif page.method == "POST" and row_of(page) != "anybody":
            # On what is not there, so that nothing is changed under those who come after.
            answer = site.ask(role, page, "x")
            assert answer.status_code in ({404} if page in WITH_ID else {303, 400}), role


@pytest.mark.parametrize("page", WITH_ID, ids=name_of)
def test_what_is_of_another_account_or_mode_is_not_found(site: Site, page: Page) -> None:
    others = [site.other_account]
    if not page.path.startswith(OF_THE_ACCOUNT):
        others.append(site.other_mode)
    for other in others:
        assert site.ask("administrator", page, other.example(page)).status_code == 404
    for nothing in ("x", "%00", "re_%00x", "x" * 300, "%F0%9F%98%80", "%ED%A0%80", "'"):
        assert site.ask("administrator", page, nothing).status_code == 404, nothing


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.method == "POST"], ids=name_of
)  # fmt: skip
def test_no_form_is_taken_without_its_token(site: Site, page: Page) -> None:
    own = own_id(site, page)
    assert site.ask("administrator", page, own, csrf=False).status_code == 403


def test_forms_that_are_refused_change_nothing(site: Site, service: Service) -> None:
    def everything() -> list[object]:
        """What is in the tables that forms write to; sessions apart, which every visit touches."""
        names = run_sql(service.data_dir, _TABLES)
        return [run_sql(service.data_dir, _DIGEST.format(row["name"])) for row in names]

    before = everything()
    for page in PAGES:
        if page.method == "POST":
            for token in ("", "0" * 64, site.tokens["developer"]):
                path = "/dashboard" + page.path.replace("{id}", own_id(site, page))
                answer = site.staff["administrator"].client.post(
                    path, data={"csrf_token": token, "name": "x"}, follow_redirects=False
                )
                assert answer.status_code == 403, f"{name_of(page)} with {token!r}"
    assert everything() == before
