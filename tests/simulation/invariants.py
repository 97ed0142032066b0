"""What must hold after every step, and what must hold at the end."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from refundry.auditing import audit
from refundry.orders.store import find_orders
from refundry.refunds.store import find_refunds
from refundry.tenant import Tenant
from tests.simulation.bank import Bank, Entry
from tests.simulation.clients import Intention
from tests.simulation.receivers import Receivers
from tests.simulation.server import Connection
from tests.support.order_books import assert_books


@dataclass(frozen=True, slots=True)
class World:
    """What is looked at: the database as it is now, the bank's books, what arrived."""

    session: Connection
    tenant: Tenant
    bank: Bank
    receivers: Receivers
    intentions: Sequence[Intention]


async def assert_step(world: World) -> None:
    """After every transaction: the books of every order, and the bank's against them."""
    async for stretch in audit(world.session):
        assert not stretch.findings, stretch.findings
    await _assert_orders(world)
    await _assert_bank(world)


async def _assert_orders(world: World) -> None:
    rows = await world.session.fetch(
        """
        SELECT o.id, ARRAY(SELECT r.id FROM refunds r
                            WHERE r.account_id = o.account_id AND r.live = o.live
                              AND r.order_id = o.id ORDER BY r.seq) AS refunds
          FROM orders o ORDER BY o.seq
        """
    )
    ids = [row["id"] for row in rows]
    for stored, row in zip(await find_orders(world.session, world.tenant, ids), rows, strict=True):
        refunds = await find_refunds(world.session, world.tenant, row["refunds"])
        assert_books(stored.order, [each.refund for each in refunds])


async def _operations(world: World) -> dict[str, tuple[str, str, int, str]]:
    """Charge, kind, amount and state of what processors are asked for, by id."""
    rows = await world.session.fetch(
        "SELECT id, charge_id, kind, amount_minor, state FROM charge_operations"
        " WHERE dispute_id IS NULL ORDER BY seq"
    )
    return {
        row["id"]: (row["charge_id"], row["kind"], row["amount_minor"], row["state"])
        for row in rows
    }


async def _assert_bank(world: World) -> None:
    """Nothing is paid that is not booked or pending, or twice, or beyond what was captured."""
    ours = await _operations(world)
    for key, entry in world.bank.entries.items():
        assert key in ours, f"the bank was asked for {key}, which nobody booked"
        assert entry.payouts <= 1, f"{key} was paid {entry.payouts} times"
        assert (entry.charge_id, entry.kind, entry.amount) == ours[key][:3]
        if entry.state == "complete":
            assert ours[key][3] != "failed", f"{key} is paid, and failed in our books"
    for key, (_, _, _, state) in ours.items():
        known = world.bank.entries.get(key)
        if state == "complete":
            assert known, f"{key} is complete, and the bank knows nothing of it"
            assert known.payouts, f"{key} is complete, and the bank paid nothing"
    _assert_within_captures(list(world.bank.entries.values()))


def _assert_within_captures(entries: list[Entry]) -> None:
    for charge_id in {entry.charge_id for entry in entries}:
        of_charge = [each for each in entries if each.charge_id == charge_id and each.payouts]
        captured = sum(each.amount for each in of_charge if each.kind == "capture")
        paid = sum(e.amount for e in of_charge if e.kind == "refund" and not e.returned)
        assert paid <= captured, f"{charge_id}: {paid} paid back of {captured}"


async def assert_end(world: World) -> None:
    """When all is at rest: the bank's books are ours, all events arrived, no answer was false."""
    await assert_step(world)
    await _assert_same_books(world)
    await _assert_sequences(world)
    await _assert_arrived(world)
    await _assert_promises(world)


async def _assert_same_books(world: World) -> None:
    ours = await _operations(world)
    for key, (_, kind, amount, state) in ours.items():
        entry = world.bank.entries.get(key)
        if entry is None:
            # A record that no charge had room for is made failed, and never sent.
            assert (kind, state) in (("refund", "failed"), ("authorize", "complete")), (key, state)
        elif entry.state == "waiting":
            assert state == "failed", f"{key} waits at the bank, and is {state} in our books"
        else:
            assert (entry.amount, entry.state) == (amount, state), (key, entry, state)


async def _assert_sequences(world: World) -> None:
    """Events of an order are numbered 1, 2, 3 ..., each later than the one before."""
    rows = await world.session.fetch(
        "SELECT order_id, order_sequence, created_at FROM events ORDER BY order_id, order_sequence"
    )
    by_order: dict[str, list[tuple[int, object]]] = {}
    for row in rows:
        by_order.setdefault(row["order_id"], []).append((row["order_sequence"], row["created_at"]))
    for order_id, events in by_order.items():
        assert [number for number, _ in events] == list(range(1, len(events) + 1)), order_id
        times = [str(time) for _, time in events]
        assert times == sorted(set(times)), f"times of {order_id} go back"


async def _assert_arrived(world: World) -> None:
    """Every event of a type that a webhook wants has arrived, and every copy is the same."""
    rows = await world.session.fetch(
        """
        SELECT w.address, e.id, e.type, e.object, e.sealed_token FROM webhooks w
          JOIN events e ON e.account_id = w.account_id AND e.live = w.live
                       AND e.type = ANY (w.types)
         ORDER BY w.seq, e.seq
        """
    )
    for row in rows:
        copies = world.receivers.bodies.get((row["address"], row["id"]), [])
        assert copies, f"{row['type']} {row['id']} never arrived at {row['address']}"
        assert len(set(copies)) == 1, f"{row['id']} arrived in different forms"
        if row["sealed_token"] is None:
            assert json.loads(copies[0])["data"]["object"] == json.loads(row["object"])


async def _assert_promises(world: World) -> None:
    """What was answered is so; what was asked for under one key is done once."""
    rows = await world.session.fetch(
        "SELECT id, metadata::jsonb ->> 'intention' AS number FROM refunds WHERE metadata <> '{}'"
    )
    made: dict[str, list[str]] = {}
    for row in rows:
        made.setdefault(row["number"], []).append(row["id"])
    for number, intention in enumerate(world.intentions):
        ids = made.get(str(number), [])
        most = 1 if intention.key else intention.sent
        assert len(ids) <= most, f"{intention.path}: {len(ids)} refunds for one intention"
        if intention.path == "/refunds":
            told = {json.loads(answer.body)["id"] for answer in intention.answers}
            assert told <= set(ids), f"acknowledged, and gone: {told - set(ids)}"
        assert len({answer.body for answer in intention.answers}) <= 1
