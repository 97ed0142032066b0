"""Every list with every documented filter finds its page by index, in tables of 40,000 rows."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from refundry.app import documented_operations
from refundry.db.database import Database, open_database
from refundry.db.listing import (
    WALKED_ROWS,
    Condition,
    Page,
    list_ids,
    list_statement,
    walk_statement,
)
from refundry.hosting import database_ready
from refundry.http.query import Query, read_filters
from refundry.settings import Settings
from refundry.tenant import Tenant
from tests.db.volumes import DAYS, ORDERS, OTHERS, fill

TENANT = Tenant("big-", live=False)
OTHER = Tenant("other-", live=False)
PAGE = 10

# Rows looked at for a page of ten. A frequent value is met within tens of rows, and a rare one has
# an index to itself. In between, where no index has the list's order (amounts, times, articles),
# the planner takes the cheaper of walking N * 11 / matches rows and of reading all matches: at
# worst the square root of 11 * N, 663 of 40,000. Twice that, for estimates are estimates; an index
# that is missing costs 40,000.
MOST_ROWS = 1_300
# Where one thing follows from another, which the planner takes for chance, it thinks that fewer
# rows match than do, and reads all of them where walking were shorter: until tables are larger.
MORE_ROWS = 5_000
FOLLOWS = {("/orders", "updatedTime"), ("/refunds", "skuId")}
LARGE = 1_000
BRIN = ("orders_updated", "orders_refunded")

TABLES = {
    "/orders": "orders",
    "/charges": "charges",
    "/fulfillments": "fulfillments",
    "/refunds": "refunds",
    "/returns": "returns",
    "/refundry/v1/disputes": "disputes",
    "/sales-transactions": "sales_transactions",
    "/events": "events",
}
# Lists with statements of their own, over tables that cannot be large or by an index of one parent.
ELSEWHERE = {"/webhooks", "/refundry/v1/webhooks/{id}/deliveries"}


def day(days_ago: float) -> str:
    """An instant so long ago, as a query writes it."""
    moment = datetime.now(UTC) - timedelta(days=days_ago)
    return quote(moment.strftime("%Y-%m-%dT%H:%M:%SZ"))


def times(name: str) -> list[str]:
    """Ranges of a time: all, none, open and closed, recent and long ago."""
    return [
        f"{name}[gte]={day(DAYS + 50)}",
        f"{name}[gte]={day(0.02)}",
        f"{name}[gt]={day(DAYS / 2)}",
        f"{name}[lt]={day(DAYS / 2)}",
        f"{name}[lt]={day(DAYS - 20)}",
        f"{name}[lte]={day(DAYS + 50)}",
        f"{name}[lte]={day(-1)}",
        f"{name}={day(DAYS / 2)}",
        f"{name}[gte]={day(DAYS / 2 + 2)}&{name}[lt]={day(DAYS / 2)}",
        f"{name}[gte]={day(DAYS - 2)}&{name}[lt]={day(DAYS - 6)}",
    ]


def numbers(name: str, frequent: str, rare: str) -> list[str]:
    """Ranges of a number: all, none, a frequent value, the rare ones at the end."""
    sign = "lte" if rare.startswith("-") else "gte"
    return [
        f"{name}={frequent}",
        f"{name}={rare}",
        f"{name}[{sign}]={rare}",
        f"{name}[{'lte' if sign == 'gte' else 'gte'}]={rare}",
        f"{name}[gt]=900000000",
        f"{name}[lt]=-900000000",
        f"{name}=123.456",
    ]


def values(name: str, *each: str) -> list[str]:
    return [f"{name}={quote(value)}" for value in (*each, "no-such-value")]


def states(*each: str, name: str = "state") -> list[str]:
    return [f"{name}={value}" for value in each]


MANY = ",".join(f"big-{n * 397}" for n in range(1, 100))
SKUS = ("tee", "sku-7", "rare-sku")
ORDER_TIMES = (
    "createdTime", "updatedTime", "in_review", "pending_payment", "accepted", "blocked",
    "cancelled", "fulfilled", "complete", "returned", "fraudStateTransitions.blocked",
    "fraudStateTransitions.review_opened", "fraudStateTransitions.passed",
)  # fmt: skip

# For each filter of each list: what is asked, with frequent, rare and absent values.
ASKED: dict[str, dict[str, list[str]]] = {
    "/orders": {
        **{name: times(name) for name in ORDER_TIMES},
        "totalAmount": numbers("totalAmount", "20.00", "990000"),
        "refundedAmount": [*numbers("refundedAmount", "0", "980000"), "refundedAmount=2.20"],
        "ids": [f"ids={MANY}", "ids=none", "ids="],
        "upstreamIds": ["upstreamIds=up-9,up-33000", "upstreamIds=none"],
        "state": states("accepted", "complete", "blocked", "pending_payment", "dispute",
                        "cancelled", "returned", "in_review", "fulfilled"),
        "fraudState": states("passed", "blocked", "review_opened", name="fraudState"),
        "customerId": values("customerId", "customer-77"),
        "checkoutId": values("checkoutId", "checkout-99"),
        "applicationId": values("applicationId", "web", "old-app"),
        "email": values("email", "SHOPPER77@example.com"),
        "currency": values("currency", "usd", "EUR", "sek"),
        "skuId": values("skuId", *SKUS),
        "browserIp": values("browserIp", "10.0.7.7"),
        "chargeType": values("chargeType", "customer_initiated", "merchant_initiated"),
        "subscriptionId": values("subscriptionId", "subscription-200"),
        "locale": values("locale", "en_US", "sv_SE"),
        "customerType": states("individual", "business", name="customerType"),
    },
    "/charges": {
        "ids": ["ids=ch-big-5,ch-big-39000", "ids=none"],
        "orderId": values("orderId", "big-400"),
        "sourceId": values("sourceId", "source-7"),
        "state": states("complete", "capturable", "failed", "pending", "processing", "cancelled"),
        "createdTime": times("createdTime"),
    },
    "/fulfillments": {
        "createdTime": times("createdTime"),
        "ids": ["ids=ff-big-5,ff-big-39000", "ids=none"],
        "orderId": values("orderId", "big-400"),
        "skuId": values("skuId", *SKUS),
        "trackingCompany": values("trackingCompany", "Fast Vans", "Slow Boats"),
        "trackingNumber": values("trackingNumber", "track-777"),
    },
    "/refunds": {
        "createdTime": times("createdTime"),
        "amount": numbers("amount", "5.06", "77000"),
        "refundedAmount": [*numbers("refundedAmount", "5.06", "77000"), "refundedAmount=0"],
        "state": states("succeeded", "pending", "failed", "expired", "pending_information"),
        "ids": ["ids=re-big-6,re-big-39000", "ids=none"],
        "orderId": values("orderId", "big-400"),
        "reason": values("reason", "returned", "it glowed"),
        "failureReason": values("failureReason", "declined", "expired_card"),
        "skuId": values("skuId", "tee", "rare-sku"),
    },
    "/returns": {
        "createdTime": times("createdTime"),
        "ids": ["ids=rt-big-6,rt-big-39000", "ids=none"],
        "state": states("accepted", "created"),
        "orderId": values("orderId", "big-400"),
        "skuId": values("skuId", *SKUS),
    },
    "/refundry/v1/disputes": {
        "createdTime": times("createdTime"),
        "ids": ["ids=dp-big-6,dp-big-39000", "ids=none"],
        "orderId": values("orderId", "big-400"),
        "state": states("open", "won", "lost"),
    },
    "/sales-transactions": {
        "createdTime": times("createdTime"),
        "saleTime": times("saleTime"),
        "amount": numbers("amount", "-20.00", "-990000"),
        "quantity": numbers("quantity", "2", "77"),
        "digitalRiverShare": numbers("digitalRiverShare", "0", "5"),
        "payoutAmount": numbers("payoutAmount", "-20.00", "-990000"),
        "ids": ["ids=st-big-6,st-big-39000", "ids=none"],
        "type": states("non_fraud_chargeback", "fraud_chargeback", "sale", name="type"),
        "currency": values("currency", "usd", "SEK"),
        "orderId": values("orderId", "big-402"),
        "orderUpstreamId": values("orderUpstreamId", "up-402"),
        "skuId": values("skuId", *SKUS),
        "paymentType": values("paymentType", "creditcard", "klarnaCredit"),
        "salesSummaryId": values("salesSummaryId"),
    },
    "/events": {
        "createdTime": times("createdTime"),
        "type": values("type", "refund.created", "order.blocked", "refund.*", "order.*", "*",
                       "*.failed", "return.*", "none.*"),
        "types": ["types=refund.created,refund.pending", "types=order.blocked,refund.failed",
                  "types=return.created,refund.created", "types=none"],
    },
}  # fmt: skip

LISTS = [each for each in documented_operations(Settings(test_clock=True)) if each.filters]
CASES = [
    (path, text) for path, by_name in ASKED.items() for texts in by_name.values() for text in texts
]


def name_of(part: str) -> str:
    """Of a path or a query, in the name of a test: without the time, which is another each run."""
    return re.sub(r"\d{4}-\d\d-\d\dT[\d%A]+Z", "...", part)


@pytest.fixture(scope="module")
def big_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A server of its own: its orders are rows without books, which no audit is to meet."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("large"))
    with database_ready(settings, "the tests", lambda _text: None, exclusive=True):
        yield settings


@pytest.fixture(scope="module")
async def big(big_settings: Settings) -> AsyncIterator[Database]:
    """Tables of one large account and a smaller one, as autovacuum would leave them."""
    async with open_database(big_settings) as database:
        await fill(database, TENANT.account_id, ORDERS)
        await fill(database, OTHER.account_id, OTHERS)
        await database.execute("VACUUM (ANALYZE)")
        yield database


def conditions_of(path: str, text: str) -> list[Condition]:
    """What the API makes of a query string."""
    filters = next(each.filters for each in LISTS if each.path == path)
    return read_filters(Query(text.encode()), filters)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a statement did. rows: looked at, in tables and indexes. buffers: pages touched."""

    rows: float
    returned: int
    buffers: int
    scanned: list[str]
    external: bool
    text: str


async def explain(database: Database, statement: str, arguments: list[Any]) -> Plan:
    """Run a statement as list_ids does, planned for its arguments."""
    async with database.connection() as connection:
        text = await connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments
        )
    root = json.loads(text)[0]["Plan"]
    nodes = list(_nodes(root))
    return Plan(
        rows=sum(_rows(node) for node in nodes),
        returned=root["Actual Rows"],
        buffers=root["Shared Hit Blocks"] + root["Shared Read Blocks"],
        scanned=[node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"],
        external=any(node.get("Sort Space Type") == "Disk" for node in nodes),
        text=text,
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from _nodes(below)


def _rows(node: dict[str, Any]) -> float:
    """The rows that a node read from its table or index, those it dropped included.

    Of pages that are read as a whole, as a BRIN index has them read, each counts for one: their
    rows lie together. What such an index says of itself is the pages times ten.
    """
    if "Scan" not in node["Node Type"] or node["Node Type"] == "Function Scan":
        return 0
    if node.get("Index Name") in BRIN:
        return 0
    each = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    whole = node.get("Lossy Heap Blocks", 0)
    rechecked = 0 if whole else node.get("Rows Removed by Index Recheck", 0)
    return (each + rechecked) * node["Actual Loops"] + whole


def test_every_filter_of_every_list_is_asked_here() -> None:
    """So that no list and no filter can be added without a look at its plan."""
    lists = {each.path: {one.name for one in each.filters} for each in LISTS}
    for path in ELSEWHERE:
        lists.pop(path, None)
    assert {path: set(by_name) for path, by_name in ASKED.items()} == lists
    assert set(TABLES) == set(lists)


@pytest.mark.parametrize(("path", "text"), CASES, ids=name_of)
async def test_a_filter_reads_few_rows_by_index(big: Database, path: str, text: str) -> None:
    table = TABLES[path]
    conditions = conditions_of(path, text)
    statement, arguments = list_statement(TENANT, table, conditions, Page(PAGE), None)
    plan = await explain(big, statement, arguments)
    large = [name for name in plan.scanned if await _size(big, name) > LARGE]
    assert not large, f"scanned {large}: {plan.text}"
    assert not plan.external, plan.text
    most = MORE_ROWS if (path, re.split(r"[=\[]", text)[0]) in FOLLOWS else MOST_ROWS
    assert plan.rows <= most, f"read {plan.rows} rows for {plan.returned}: {plan.text}"


WALKED = [(path, text) for path, text in CASES if any(c.walk for c in conditions_of(path, text))]


@pytest.mark.parametrize(("path", "text"), WALKED, ids=name_of)
async def test_a_walk_through_the_newest_rows_ends(big: Database, path: str, text: str) -> None:
    """Before it is known that there are few rows of a kind, or that the planner thinks so."""
    conditions = conditions_of(path, text)
    statement, arguments = walk_statement(TENANT, TABLES[path], conditions, Page(PAGE), None)
    plan = await explain(big, statement, arguments)
    assert not plan.scanned, plan.text
    assert plan.rows <= 2 * WALKED_ROWS, plan.text


async def _size(database: Database, table: str) -> int:
    return await database.fetchval(
        "SELECT reltuples::integer FROM pg_class WHERE oid = $1::regclass", table
    )


@pytest.mark.parametrize(("path", "text"), CASES, ids=name_of)
async def test_pages_hold_what_the_filter_says_and_nothing_else(
    big: Database, path: str, text: str
) -> None:
    """Against the conditions alone, without the bounds and the reading value by value."""
    conditions = conditions_of(path, text)
    wanted = await _wanted(big, TABLES[path], conditions)
    first = await _ids(big, path, conditions, Page(PAGE))
    assert first == wanted[:PAGE]
    if not first:
        return
    second = await _ids(big, path, conditions, Page(PAGE, after=first[-1]))
    assert second == wanted[PAGE : 2 * PAGE]
    if second:
        assert await _ids(big, path, conditions, Page(PAGE, before=second[0])) == first


async def _ids(database: Database, path: str, conditions: list[Condition], page: Page) -> list[str]:
    found = await list_ids(database, TENANT, TABLES[path], conditions, page)
    assert found is not None
    return found[0]


async def _wanted(database: Database, table: str, conditions: list[Condition]) -> list[str]:
    where = [each.sql.format(f"${place}") for place, each in enumerate(conditions, 3)]
    rows = await database.fetch(
        f"SELECT t.id FROM {table} t WHERE t.account_id = $1 AND t.live = $2"
        f" AND ({') AND ('.join(where)}) ORDER BY t.created_at DESC, t.seq DESC"
        f" LIMIT {2 * PAGE}",
        TENANT.account_id, TENANT.live, *(each.argument for each in conditions),
    )  # fmt: skip
    return [row["id"] for row in rows]


async def test_a_list_is_planned_for_its_values_however_often_it_ran(big: Database) -> None:
    """A kept statement would get a plan that does not know frequent values from rare ones."""
    conditions = conditions_of("/orders", "state=complete")
    for _ in range(10):
        assert await _ids(big, "/orders", conditions, Page(PAGE))
    async with big.connection() as connection:
        kept = await connection.fetch("SELECT statement FROM pg_prepared_statements")
    assert not [row["statement"] for row in kept if "FROM orders t" in row["statement"]]
