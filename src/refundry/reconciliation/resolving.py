"""What a person does about what does not agree: adopted, looked at again, dealt with."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from refundry.access.audit_log import Actor, Change, audit
from refundry.access.store import clock_shift
from refundry.db.database import Tx
from refundry.domain.charge import Failure, OperationKind
from refundry.domain.money import find_currency, major_text
from refundry.errors import required
from refundry.gateways import store as gateways_store
from refundry.gateways.store import Gateway
from refundry.operations import check_store, external_store
from refundry.operations.adopting import hear_outcome, hear_refund
from refundry.operations.commands import Books
from refundry.operations.disputes import hear_dispute
from refundry.operations.external_store import ChargeOfPayment, Known
from refundry.operations.inbox import Data, Notification
from refundry.processors.contract import (
    Declined,
    InProgress,
    Outcome,
    ProcessorRefund,
    Receipt,
    Settled,
)
from refundry.reconciliation import store
from refundry.reconciliation.commands import match_again
from refundry.reconciliation.exceptions import Oddity, Sort, Step
from refundry.reconciliation.lines import Line, LineKind
from refundry.reconciliation.store import StoredLine
from refundry.tenant import Tenant

_CAME_BACK = Failure("reversed", "The settlement report says that the money came back", "unknown")


class NotResolved(Exception):
    """Something that could not be done; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """Who resolves, in whose books. now: real time. first_check: after which a refund that the
    processor has not finished is looked up."""

    books: Books
    tenant: Tenant
    actor: Actor
    now: datetime
    first_check: timedelta


async def adopt(resolver: Resolver, oddity: Oddity) -> None:
    """Take it into the books. Raises NotResolved."""
    _allow(oddity, Step.ADOPT)
    if oddity.sort is Sort.CONFLICT:
        await _adopt_conflict(resolver, oddity)
    else:
        await _adopt_line(resolver, required(await _line(resolver, oddity)))
    await _log(resolver, oddity, "adopted", "")


async def check(resolver: Resolver, oddity: Oddity) -> None:
    """Look again, at the processor or in our books. Raises NotResolved."""
    _allow(oddity, Step.CHECK)
    match oddity.sort:
        case Sort.PARKED:
            shifted = resolver.now + await clock_shift(resolver.books.database, resolver.tenant)
            if not await check_store.ask_for_check(
                resolver.books.database, resolver.tenant, oddity.key, shifted
            ):
                raise NotResolved("It cannot be looked up: it was never asked for, or has ended.")
        case Sort.NOTICE:
            await _change_notice(resolver, oddity, "waiting")
        case _:
            stored = required(await _line(resolver, oddity))
            gateway = required(
                await gateways_store.find(resolver.books.database, stored.gateway_id)
            )
            await match_again(resolver.books, gateway, resolver.now)
    await _log(resolver, oddity, "checked", "")


async def deal(resolver: Resolver, oddity: Oddity, note: str) -> None:
    """Take it off the list. note: what was done about it. Raises NotResolved."""
    _allow(oddity, Step.DEAL)
    if not note.strip():
        raise NotResolved("Say in the note what was done about it.")
    database, tenant = resolver.books.database, resolver.tenant
    match oddity.sort:
        case Sort.CONFLICT:
            found = required(await _external(resolver, oddity))
            await external_store.ignore(database, tenant, found.gateway_id, found.reference)
        case Sort.NOTICE:
            await _change_notice(resolver, oddity, "ignored")
        case Sort.MISSING:
            await database.execute(
                """
                UPDATE settlement_missing SET dealt_at = $4, note = $5
                 WHERE account_id = $1 AND live = $2 AND seq = $3 AND dealt_at IS NULL
                """,
                tenant.account_id, tenant.live, int(oddity.key), resolver.now, note,
            )  # fmt: skip
        case _:
            await database.execute(
                """
                UPDATE settlement_lines SET dealt_at = $4, note = $5
                 WHERE account_id = $1 AND live = $2 AND seq = $3 AND dealt_at IS NULL
                """,
                tenant.account_id, tenant.live, int(oddity.key), resolver.now, note,
            )  # fmt: skip
    await _log(resolver, oddity, "dealt_with", note)


def _allow(oddity: Oddity, step: Step) -> None:
    if step not in oddity.steps:
        raise NotResolved("This cannot be done about it.")


async def _adopt_line(resolver: Resolver, stored: StoredLine) -> None:
    books = resolver.books
    gateway = required(await gateways_store.find(books.database, stored.gateway_id))
    match stored.line.kind:
        case LineKind.REFUND:
            await _adopt_refund(resolver, gateway, stored.line)
        case LineKind.REFUND_REVERSED:
            verdict = stored.verdict
            known = Known(
                required(verdict.order_id), required(verdict.operation_id), OperationKind.REFUND
            )
            if not await hear_outcome(books, gateway, known, Declined(_CAME_BACK), resolver.now):
                raise NotResolved("The refund cannot become failed any more.")
        case _:
            await _open_dispute(resolver, gateway, stored.line)
    await match_again(books, gateway, resolver.now)


async def _adopt_refund(resolver: Resolver, gateway: Gateway, line: Line) -> None:
    """A refund that a report tells of, as the one of its payment that we know."""
    receipt = Receipt(line.reference, arn=line.arn)
    payment = (await _known_charge(resolver, line)).payment
    refund = ProcessorRefund(
        required(line.reference), payment, line.key, line.amount, line.currency,
        datetime.combine(line.booked_on, time(), UTC), Settled(receipt),
    )  # fmt: skip
    await _hear(resolver, gateway, refund)


async def _known_charge(resolver: Resolver, line: Line) -> ChargeOfPayment:
    """The charge that a line is about. Raises NotResolved."""
    charges = await external_store.charges_of_payment(
        resolver.books.database, resolver.tenant, line.payments
    )
    if not charges:
        raise NotResolved("No order here has a charge of this payment.")
    if len(charges) > 1:
        raise NotResolved(f"{len(charges)} charges here have this payment.")
    return charges[0]


async def _adopt_conflict(resolver: Resolver, oddity: Oddity) -> None:
    found = required(await _external(resolver, oddity))
    gateway = required(await gateways_store.find(resolver.books.database, found.gateway_id))
    # Whether it has ended by now is for a look-up to say.
    outcome: Outcome = InProgress(receipt=Receipt(found.reference))
    payment, *others = found.payment.split(" ")
    refund = ProcessorRefund(
        found.reference, payment, None, found.amount, found.currency, found.made_at, outcome,
        tuple(others),
    )  # fmt: skip
    await _hear(resolver, gateway, refund)


async def _hear(resolver: Resolver, gateway: Gateway, refund: ProcessorRefund) -> None:
    books = resolver.books
    await hear_refund(books, gateway, refund, resolver.first_check, resolver.now)
    found = await external_store.find(books.database, gateway, refund.reference)
    if found is not None and found.state == "conflict":
        raise NotResolved(f"It does not fit: {found.why}.".replace("..", "."))


async def _open_dispute(resolver: Resolver, gateway: Gateway, line: Line) -> None:
    """A chargeback whose dispute nobody told of: as an open one, for a person to close."""
    charge = await _known_charge(resolver, line)
    exponent = required(find_currency(line.currency)).exponent
    data = Data(
        processor_reference=line.reference, charge_id=charge.charge_id,
        amount=major_text(line.amount, exponent), reason="chargeback",
    )  # fmt: skip
    told = Notification(f"settlement:{line.identity}", "dispute.opened", data)
    if not await hear_dispute(
        resolver.books.database, told, live=gateway.tenant.live, now=resolver.now,
        tenant=gateway.tenant,
    ):  # fmt: skip
        raise NotResolved("No dispute can be opened on the order of this payment now.")


async def _line(resolver: Resolver, oddity: Oddity) -> StoredLine | None:
    return await store.find_line(resolver.books.database, resolver.tenant, int(oddity.key))


async def _external(resolver: Resolver, oddity: Oddity) -> external_store.External | None:
    row = await resolver.books.database.fetchrow(
        """
        SELECT g.id, e.reference FROM external_refunds e JOIN gateways g ON g.id = e.gateway_id
         WHERE e.account_id = $1 AND e.live = $2 AND e.seq = $3
        """,
        resolver.tenant.account_id, resolver.tenant.live, int(oddity.key),
    )  # fmt: skip
    if row is None:
        return None
    gateway = required(await gateways_store.find(resolver.books.database, row["id"]))
    return await external_store.find(resolver.books.database, gateway, row["reference"])


async def _change_notice(resolver: Resolver, oddity: Oddity, state: str) -> None:
    """state: `waiting`, to be tried again by the worker, or `ignored`."""
    await resolver.books.database.execute(
        """
        UPDATE processor_notifications n
           SET state = $4, due_at = CASE WHEN $4 = 'waiting' THEN $5::timestamptz END
          FROM gateways g
         WHERE g.account_id = $1 AND g.live = $2 AND n.connector = g.id AND n.state = 'unmatched'
           AND md5(n.connector || ' ' || n.id) = $3
        """,
        resolver.tenant.account_id, resolver.tenant.live, oddity.key, state, resolver.now,
    )  # fmt: skip


async def _log(resolver: Resolver, oddity: Oddity, done: str, note: str) -> None:
    after = {"reference": oddity.reference, "gateway": oddity.gateway, "why": oddity.why}
    if note:
        after["note"] = note
    change = Change(
        f"reconciliation.{done}", "reconciliation", oddity.id, None, after, resolver.tenant.live
    )

    async def work(tx: Tx) -> None:
        await audit(tx, resolver.tenant.account_id, resolver.actor, change, resolver.now)

    await resolver.books.database.run(work)
