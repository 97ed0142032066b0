"""Reading a settlement report into the books: each line once, compared with our own records."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import islice

import structlog

from refundry.db.database import Tx
from refundry.domain.charge import OperationKind
from refundry.gateways import store as gateways_store
from refundry.gateways.store import Gateway
from refundry.operations.adopting import hear_outcome
from refundry.operations.commands import Books
from refundry.operations.external_store import Known
from refundry.processors.contract import Receipt, Settled
from refundry.reconciliation import store
from refundry.reconciliation.lines import REFUND_KINDS, Entry, Line, LineKind
from refundry.reconciliation.matching import (
    LineState,
    OurRefund,
    Verdict,
    dispute_of,
    judge_chargeback,
    judge_refund,
)
from refundry.reconciliation.store import Coverage

# Rows at once: few enough for one statement, so many that reading pays.
_BATCH = 500
# A refund may be in the report of a later day than the one it ended on with us: processors batch,
# and their days begin at other hours.
LATE = timedelta(days=3)

log = structlog.get_logger("refundry.reconciliation")

Judged = tuple[Line, Verdict]


@dataclass(frozen=True, slots=True)
class Reading:
    """A report that is read. name: of the file; digest: its SHA-256. now: real time."""

    gateway: Gateway
    name: str
    digest: bytes
    now: datetime


@dataclass(slots=True)
class Summary:
    """What a report came to. known: lines that were read before; states: of the new ones."""

    rows: int = 0
    lines: int = 0
    known: int = 0
    booked: int = 0
    missing: int = 0
    states: dict[LineState, int] = field(
        default_factory=lambda: dict.fromkeys(LineState, 0)  # type: ignore[arg-type]
    )
    first: date | None = None
    last: date | None = None

    def see(self, day: date | None) -> None:
        """Count a row, and the day that it tells of."""
        self.rows += 1
        if day is not None:
            self.first = min(self.first or day, day)
            self.last = max(self.last or day, day)

    @property
    def exceptions(self) -> int:
        """What a person has to look at."""
        return self.missing + self.states[LineState.EXTRA] + self.states[LineState.DIFFERENT]

    def text(self) -> list[str]:
        """For people, one line each."""
        days = f" from {self.first} to {self.last}" if self.first else ""
        by_state = ", ".join(f"{count} {state.value}" for state, count in self.states.items())
        return [
            f"{self.rows} rows{days}, {self.lines} of them refunds and chargebacks",
            f"{self.lines - self.known} new: {by_state}; {self.known} read before",
            f"{self.booked} open refunds booked as paid, {self.missing} of ours are missing",
        ]


async def reconcile(
    books: Books, reading: Reading, entries: Iterator[Entry], step: Callable[[], None]
) -> Summary:
    """Keep every line of a report and compare it; then all lines that did not agree before.

    step: called after each batch. Read again, it changes nothing. Raises BadReport; what was read
    before the bad line is kept then, and the days of the file are not counted as told of.
    """
    summary, gateway = Summary(), reading.gateway
    for lines in _batches(entries, summary):
        known = await store.known_identities(
            books.database, gateway, [line.identity for line in lines]
        )
        fresh = [line for line in lines if line.identity not in known]
        judged = await _booked(books, gateway, fresh, summary, reading.now)
        await _keep(books, reading, judged, [line for line in lines if line.identity in known])
        _count(summary, lines, judged)
        step()
    await match_again(books, gateway, reading.now)
    if summary.first and summary.last:
        days = Coverage(summary.first, summary.last)
        await store.note_file(
            books.database, gateway, reading.digest, reading.name, days, summary.lines, reading.now
        )
    summary.missing = await _note_missing(books, gateway, reading.now)
    return summary


async def rehearse(
    books: Books, gateway: Gateway, entries: Iterator[Entry], step: Callable[[], None]
) -> Summary:
    """What `reconcile` would come to; nothing is written. Raises BadReport."""
    summary = Summary()
    told: set[str | None] = set()
    for lines in _batches(entries, summary):
        known = await store.known_identities(
            books.database, gateway, [line.identity for line in lines]
        )
        judged = await judge(books, gateway, [each for each in lines if each.identity not in known])
        summary.booked += sum(verdict.to_book for _, verdict in judged)
        told |= {verdict.operation_id for _, verdict in judged}
        _count(summary, lines, judged)
        step()
    before = await store.coverage(books.database, gateway)
    if summary.first and summary.last:
        first = min(summary.first, before.first) if before else summary.first
        last = max(summary.last, before.last) if before else summary.last
        late = await store.unreported(books.database, gateway, first, last - LATE)
        summary.missing = sum(not each.noted and each.operation_id not in told for each in late)
    return summary


async def match_again(books: Books, gateway: Gateway, now: datetime) -> None:
    """Compare the lines anew that did not agree: a notification or a person may have come since."""
    above = 0
    while batch := await store.open_lines(books.database, gateway, above, _BATCH):
        judged = await _booked(
            books, gateway, [each.line for each in batch], Summary(), now
        )  # fmt: skip
        for stored, (line, verdict) in zip(batch, judged, strict=True):
            if verdict != stored.verdict:
                await store.note_verdict(books.database, gateway.tenant, stored.seq, verdict)
                await _note_arns(books, gateway, [(line, verdict)])
        above = batch[-1].seq


async def compare_open_lines(books: Books, now: datetime) -> None:
    """`match_again`, for every gateway; one whose lines cannot be read keeps no other waiting."""
    for gateway in await gateways_store.list_all(books.database):
        try:
            await match_again(books, gateway, now)
        except Exception as error:  # logged, and tried again
            log.error("comparison_failed", gateway=gateway.name, exc_info=error)


async def judge(books: Books, gateway: Gateway, lines: Sequence[Line]) -> list[Judged]:
    """How lines stand to our records."""
    refunds = await _our_refunds(books, gateway, lines)
    about_disputes = [line for line in lines if line.kind not in REFUND_KINDS]
    disputes = (
        await store.our_disputes(books.database, gateway, about_disputes) if about_disputes else []
    )
    return [
        (
            line,
            judge_refund(line, refunds.get(line.identity))
            if line.kind in REFUND_KINDS
            else judge_chargeback(line, dispute_of(line, disputes)),
        )
        for line in lines
    ]


async def _our_refunds(
    books: Books, gateway: Gateway, lines: Sequence[Line]
) -> dict[str, OurRefund]:
    """The refund records that lines name; of two lines here that tell of one, the first counts."""
    about_refunds = [line for line in lines if line.kind in REFUND_KINDS]
    found = dict(await store.our_refunds(books.database, gateway, about_refunds))
    told_by: dict[str, str] = {}
    for line in about_refunds:
        ours = found.get(line.identity)
        if ours is not None and line.kind is LineKind.REFUND:
            first = ours.told_by or told_by.setdefault(ours.operation_id, line.identity)
            found[line.identity] = replace(ours, told_by=first)
    return found


async def _booked(
    books: Books, gateway: Gateway, lines: Sequence[Line], summary: Summary, now: datetime
) -> list[Judged]:
    """How lines stand once those that tell of the end of an open refund are booked."""
    judged = await judge(books, gateway, lines)
    open_ones = [(line, verdict) for line, verdict in judged if verdict.to_book]
    if not open_ones:
        return judged
    for line, verdict in open_ones:
        assert verdict.order_id is not None
        assert verdict.operation_id is not None
        known = Known(verdict.order_id, verdict.operation_id, OperationKind.REFUND)
        receipt = Receipt(line.reference, arn=line.arn, amount=line.amount, currency=line.currency)
        summary.booked += await hear_outcome(books, gateway, known, Settled(receipt), now)
    return [
        (line, _final(verdict)) for line, verdict in await judge(books, gateway, lines)
    ]  # fmt: skip


def _final(verdict: Verdict) -> Verdict:
    """What could not be booked, though it should have been, is for a person."""
    if not verdict.to_book:
        return verdict
    return Verdict(
        LineState.DIFFERENT, "the money was paid, and our record could not be booked",
        verdict.order_id, verdict.operation_id,
    )  # fmt: skip


async def _keep(
    books: Books, reading: Reading, judged: Sequence[Judged], again: Sequence[Line]
) -> None:
    """Keep new lines; to those that were kept before, add what they say more now."""
    unjudged = [(line, Verdict(LineState.EXTRA, "-")) for line in again]

    async def work(tx: Tx) -> None:
        # One row per line: a report may name one twice.
        rows = {line.identity: (line, verdict) for line, verdict in (*judged, *unjudged)}
        await store.insert_lines(tx, reading.gateway, list(rows.values()), reading.now)

    await books.database.run(work)
    await _note_arns(books, reading.gateway, judged)


async def _note_arns(books: Books, gateway: Gateway, judged: Sequence[Judged]) -> None:
    arns = {
        verdict.operation_id: line.arn
        for line, verdict in judged
        if verdict.operation_id and line.arn and verdict.state is LineState.SETTLED
    }
    if arns:
        await store.note_arns(books.database, gateway, arns)


async def _note_missing(books: Books, gateway: Gateway, now: datetime) -> int:
    days = await store.coverage(books.database, gateway)
    if days is None:
        return 0

    async def work(tx: Tx) -> int:
        late = await store.unreported(tx, gateway, days.first, days.last - LATE)
        return await store.note_missing(tx, gateway, late, now)

    return await books.database.run(work)


def _batches(entries: Iterator[Entry], summary: Summary) -> Iterator[list[Line]]:
    while batch := list(islice(entries, _BATCH)):
        for entry in batch:
            summary.see(entry.day)
        yield [entry.line for entry in batch if entry.line is not None]


def _count(summary: Summary, lines: Sequence[Line], judged: Sequence[Judged]) -> None:
    summary.lines += len(lines)
    summary.known += len(lines) - len(judged)
    for _, verdict in judged:
        summary.states[verdict.state] += 1
