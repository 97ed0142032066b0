"""The store on SQLite, on PostgreSQL and in memory: once is once, whoever else is at work."""

import ast
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import psycopg
import pytest

from refundry_sync.client import Client
from refundry_sync.errors import NotFound
from refundry_sync.sync import Settings, Store, Synchroniser, place_at
from refundry_sync.sync import store as store_module
from refundry_sync.sync.records import InboxEntry, Outgoing
from refundry_sync.sync.rows import to_text, to_time
from refundry_sync.sync.views import Book
from tests.support.http import Api, money
from tests.support.postgres import External
from tests.support.shop import TOKEN, Calls, a_shop
from tests.sync.test_commerce_sync import LONG_AGO, given_refunded

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
AT_ONCE = 8


@pytest.fixture(scope="module")
def server() -> Iterator[External]:
    with External("fsync=off") as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "sqlite":
            return f"sqlite:///{tmp_path / 'shop.db'}"
        case "memory":
            return "memory:"
        case _:
            server: External = request.getfixturevalue("server")
            server.sql("DROP SCHEMA public CASCADE", "CREATE SCHEMA public AUTHORIZATION shop")
            return server.url()


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    store = Store(place_at(address))
    store.create()
    yield store
    store.close()


def entry(event_id: str = "e1", order_id: str = "o1", **changes: object) -> InboxEntry:
    made = InboxEntry(
        event_id=event_id,
        type="refund.complete",
        order_id=order_id,
        created_time=NOW,
        received_time=NOW,
        due_time=NOW,
        status="waiting",
        payload='{"id":"e1"}',
    )
    return msgspec.structs.replace(made, **changes)


def outgoing(call_id: str, line: str, number: int) -> Outgoing:
    return Outgoing(
        id=call_id, order_id="o1", line=line, number=number, kind="change", created_time=NOW,
        due_time=NOW, status="waiting", payload="{}",
    )  # fmt: skip


def at_once(work: Callable[[int], object]) -> list[object]:
    """What came of the same work in many threads that begin together."""
    barrier = threading.Barrier(AT_ONCE)

    def run(number: int) -> object:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(run, range(AT_ONCE)))


def test_tables_are_made_once(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.insert_event(entry())
    store.create()
    with store.transaction() as tx:
        assert tx.find_event("e1") == entry()


def test_an_event_is_taken_in_once_whoever_brings_it(store: Store) -> None:
    def insert(_: int) -> bool:
        with store.transaction() as tx:
            return tx.insert_event(entry())

    assert sorted(map(str, at_once(insert))) == ["False"] * (AT_ONCE - 1) + ["True"]


def test_what_fails_leaves_nothing(store: Store) -> None:
    def insert_and_fail() -> None:
        with store.transaction() as tx:
            tx.insert_event(entry())
            raise RuntimeError("the process ends here")

    with pytest.raises(RuntimeError, match="ends here"):
        insert_and_fail()
    with store.transaction() as tx:
        assert tx.find_event("e1") is None


def test_no_change_of_a_book_is_lost(store: Store) -> None:
    def count(_: int) -> None:
        with store.transaction() as tx:
            tx.lock_order("o1")
            book = tx.find_book("o1") or Book(order_id="o1")
            time.sleep(0.005)
            tx.save_book(msgspec.structs.replace(book, changes=book.changes + 1))

    at_once(count)
    with store.transaction() as tx:
        book = tx.find_book("o1")
    assert book is not None
    assert book.changes == AT_ONCE


def test_a_call_is_made_by_one_and_again_after_its_lease(store: Store) -> None:
    with store.transaction() as tx:
        tx.insert_call(outgoing("c1", "o1", 1))
        (call,) = tx.due_calls(NOW, 10)
    until = NOW + timedelta(seconds=60)

    def claim(_: int) -> bool:
        with store.transaction() as tx:
            return tx.claim_call(call, until)

    assert at_once(claim).count(True) == 1
    with store.transaction() as tx:
        assert tx.due_calls(until - timedelta(seconds=1), 10) == []
        assert [each.attempts for each in tx.due_calls(until, 10)] == [1]


def test_calls_of_a_line_wait_for_each_other_and_for_no_other_line(store: Store) -> None:
    with store.transaction() as tx:
        for call in (outgoing("b", "o1", 2), outgoing("a", "o1", 1), outgoing("c", "o2", 1)):
            tx.insert_call(call)
        assert {each.id for each in tx.due_calls(NOW, 10)} == {"a", "c"}
        tx.update_call(msgspec.structs.replace(outgoing("a", "o1", 1), status="done"))
        assert {each.id for each in tx.due_calls(NOW, 10)} == {"b", "c"}


def test_events_are_due_by_order_and_dead_ones_can_be_revived(store: Store) -> None:
    later = NOW + timedelta(minutes=5)
    with store.transaction() as tx:
        tx.insert_event(entry("e1", "o1", due_time=later))
        tx.insert_event(entry("e2", "o2", created_time=NOW - timedelta(days=1)))
        tx.insert_event(entry("e3", "o3", status="ignored"))
        assert tx.due_orders(NOW, 10) == ["o2"]
        assert tx.due_orders(later, 10) == ["o2", "o1"]
        tx.update_event(entry("e2", "o2", status="dead", attempts=9, error="Unreachable"))
        (letter,) = tx.dead_letters()
        assert (letter.kind, letter.id, letter.error) == ("event", "e2", "Unreachable")
        tx.revive(letter, later)
        assert tx.dead_letters() == []
        assert set(tx.due_orders(later, 10)) == {"o1", "o2"}


def test_payloads_of_long_ago_are_forgotten_and_ids_are_not(store: Store) -> None:
    with store.transaction() as tx:
        for each in (entry("e1", status="done"), entry("e2"), entry("e3", status="ignored")):
            tx.insert_event(each)
        tx.insert_call(outgoing("c1", "o1", 1))
        tx.update_call(msgspec.structs.replace(outgoing("c1", "o1", 1), status="done"))
        assert tx.forget(NOW) == 0
        assert tx.forget(NOW + timedelta(days=1)) == 3
        assert not tx.insert_event(entry("e1")), "a repeat is still a repeat"
        assert tx.find_event("e2") == entry("e2"), "what waits is kept whole"


def test_every_statement_is_constant() -> None:
    """Literals, and names of columns that are constants; what callers say is a parameter."""
    tree = ast.parse(Path(store_module.__file__).read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [(node.func.attr, node) for node in calls if isinstance(node.func, ast.Attribute)]
    texts = [node.args[0] for name, node in named if name in ("_run", "_rows")]
    assert len(texts) > 25
    for text in texts:
        assert isinstance(text, ast.Constant | ast.JoinedStr), ast.unparse(text)
        inserted = [part for part in ast.walk(text) if isinstance(part, ast.FormattedValue)]
        for part in inserted:
            assert ast.unparse(part.value) in ("ENTRY", "CALL", "REQUEST"), ast.unparse(part)
    executed = [ast.unparse(node.args[0]) for name, node in named if name == "execute"]
    assert set(executed) == {"statement", "_marked(statement, self._paramstyle)"}


def test_times_sort_as_text_in_any_zone() -> None:
    east = datetime.fromisoformat("2026-05-01T13:00:00.5+02:00")
    texts = [to_text(east), to_text(NOW), to_text(NOW + timedelta(microseconds=1))]
    assert texts == sorted(texts)
    assert to_time(texts[0]) == east


@pytest.mark.parametrize("wrong", ["", "sqlite://", "sqlite:///", "mysql://here/shop", "shop.db"])
def test_an_address_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no store"):
        place_at(wrong)


def test_the_synchroniser_works_on_every_store(api: Api, client: Client, store: Store) -> None:
    order, made, events = given_refunded(api, amount=13.51)
    with a_shop(client, store=store) as shop:
        shop.take(*events)
        view = shop.synchroniser.order_view(order["id"])
        assert (view.refund_status, view.refunded_amount) == ("partially_refunded", money("13.51"))
        shop.synchroniser.request_refund(order["id"], request_id="r-1", amount=Decimal(100))
        found = shop.synchroniser.find_refunds()
        assert [each.state for each in found] == ["refused", "succeeded"]
        assert shop.synchroniser.find_refunds(state="succeeded")[0].refund_id == made["id"]
        missed = shop.synchroniser.reconcile(LONG_AGO)
        assert {each.theirs for each in missed} == {"order.complete"}, "which came before those"
        assert shop.synchroniser.reconcile(LONG_AGO) == []
        assert shop.synchroniser.drift(LONG_AGO) == []
        assert shop.calls.kinds() == ["refund_processing", "refund_confirmation"]


def test_an_unknown_order_is_read_from_the_api(api: Api, client: Client, store: Store) -> None:
    order, made, _ = given_refunded(api, amount=13.51)
    with a_shop(client, store=store) as shop:
        assert shop.synchroniser.order_view(order["id"]).refund_status == "partially_refunded"
        assert shop.synchroniser.refund_view(made["id"]).state == "succeeded"
        (found,) = shop.synchroniser.find_refunds(order["id"], state="succeeded")
        assert found.refund_id == made["id"]
        with pytest.raises(NotFound):
            shop.synchroniser.order_view("no-such-order")
        assert shop.synchroniser.find_refunds(refund_id="no-such-refund") == []


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_two_processes_on_one_store_tell_everything_once(
    api: Api, client: Client, address: str
) -> None:
    """Each with a connection pool of its own, as processes have."""
    orders = [given_refunded(api, amount=1.0) for _ in range(3)]
    calls, stores = Calls(), [Store(place_at(address)) for _ in range(2)]
    with a_shop(client, store=stores[0], calls=calls) as one:
        other = Synchroniser(
            stores[1], client, Settings(tokens=(TOKEN,)), calls.change, calls.notify
        )
        for _, _, events in orders:
            for event in events:
                assert one.deliver(event) == 202
        with ThreadPoolExecutor(2) as threads:
            each_works = [one.synchroniser.process_due, other.process_due]
            done = [threads.submit(work) for work in each_works]
            assert sum(each.result() for each in done) > 0
        one.synchroniser.process_due()
        other.close()
        assert one.synchroniser.drift(LONG_AGO) == []
    for store in stores:
        store.close()
    assert sorted(calls.kinds()) == ["refund_confirmation"] * 3 + ["refund_processing"] * 3
    assert len({change.id for change in calls.changes}) == len(calls.changes)


def test_a_database_that_was_away_is_used_again(server: External) -> None:
    store = Store(place_at(server.url()))
    store.create()
    server.sql(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'shop'"
    )
    with pytest.raises(psycopg.OperationalError), store.transaction() as tx:
        tx.dead_letters()
    with store.transaction() as tx:
        assert tx.dead_letters() == []
    store.close()


def test_the_shop_asks_again_for_what_it_was_told_while_its_code_failed(
    api: Api, client: Client, store: Store
) -> None:
    _, _, events = given_refunded(api, amount=13.51)
    calls = Calls(before=_fail)
    with a_shop(client, store=store, calls=calls, give_up_after=timedelta(minutes=1)) as shop:
        shop.take(*events)
        assert (calls.changes, calls.mails, shop.synchroniser.dead_letters()) == ([], [], [])
        shop.synchroniser.process_due(datetime.now(UTC) + timedelta(minutes=2))
        letters = shop.synchroniser.dead_letters()
        assert {each.error for each in letters} == {"RuntimeError: no mail server"}
        calls.before = lambda: None
        for letter in letters:
            shop.synchroniser.revive(letter)
        shop.synchroniser.process_due()
        assert shop.synchroniser.dead_letters() == []
        assert "refund_confirmation" in calls.kinds()


def _fail() -> None:
    raise RuntimeError("no mail server")
