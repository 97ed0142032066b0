"""The command `refundry-sync`: a small service next to the shop, and what looks after it."""

import json
import logging
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from refundry_sync.client import Client
from refundry_sync.configuring import (
    Configuration,
    Misconfigured,
    load_configuration,
    load_function,
)
from refundry_sync.doctor import examine
from refundry_sync.errors import SyncError
from refundry_sync.sync import (
    Difference,
    Notification,
    OrderDrift,
    OrderRefundView,
    RefundView,
    Synchroniser,
)
from refundry_sync.sync.documents import write_json
from refundry_sync.sync.listening import listening

AGO = {"m": "minutes", "h": "hours", "d": "days"}


class Since(click.ParamType[datetime]):
    """A date, a time, or how long ago: 36h, 7d."""

    name = "since"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        text = str(value)
        if text[:-1].isdigit() and text[-1:] in AGO:
            return datetime.now(UTC) - timedelta(**{AGO[text[-1]]: int(text[:-1])})
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"'{text}' is neither a time nor as long ago as 36h or 7d", param, ctx)
        return time if time.tzinfo else time.replace(tzinfo=UTC)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Keep a shop's orders in step with their refunds. Set up by REFUNDRY_SYNC_* variables."""


@cli.command()
def run() -> None:
    """Receive webhooks, and reconcile now and then, until it is told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stopping = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with _opened() as (configuration, synchroniser):
        where = (configuration.host, configuration.port, configuration.path)
        with listening(synchroniser.receive, *where) as address:
            click.echo(f"listening at {address}", err=True)
            synchroniser.run_loops(stopping)


@cli.command()
@click.option("--since", type=Since(), default="36h", help="Date, time, or 36h, 7d ago.")
@click.option("--dry-run", is_flag=True, help="Only say what differs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def reconcile(since: datetime, dry_run: bool, as_json: bool) -> None:
    """Read refunds, orders and events again, mend what differs, and show it."""
    with _opened() as (_, synchroniser), _progress() as progress:
        found = synchroniser.reconcile(since, dry_run, progress)
    if as_json:
        _print_lines([asdict(each) for each in found])
        return
    _print_table(
        ("order", "subject", "field", "ours", "Refundry"), [_cells(each) for each in found]
    )
    words = "differ" if dry_run else "differed and are mended"
    click.echo(f"{len(found)} {words}" if found else "nothing differs")


@cli.command()
@click.option("--since", type=Since(), default="36h", help="For orders the shop does not know.")
@click.option("--replay", is_flag=True, help="Take in the events that are missing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def drift(since: datetime, replay: bool, as_json: bool) -> None:
    """Compare the shop's totals with Refundry's, order by order. Ends with 1 if any differ."""
    with _opened() as (_, synchroniser), _progress() as progress:
        found = synchroniser.drift(since, progress)
        if replay and found:
            synchroniser.reconcile(since, progress=progress)
            found = synchroniser.drift(since, progress)
    if as_json:
        _print_lines([asdict(each) for each in found])
    else:
        rows = [row for each in found for row in _drift_rows(each)]
        _print_table(("order", "field", "ours", "Refundry", "events to replay"), rows)
        click.echo(f"{len(found)} orders differ" if found else "no order differs")
    sys.exit(1 if found else 0)


@cli.command()
def doctor() -> None:
    """Check key, webhook, signature, clock and reachability. Ends with 1 if something is wrong."""
    configuration = _configuration()
    well = True
    with Client(configuration.url, configuration.key, attempts=2) as client:
        for finding in examine(configuration, client):
            well = well and finding.is_well
            click.echo(f"{'ok  ' if finding.is_well else 'FAIL'} {finding.name}: {finding.found}")
            if finding.mend:
                click.echo(f"     -> {finding.mend}")
    sys.exit(0 if well else 1)


@cli.command(name="dead-letters")
@click.option("--revive", is_flag=True, help="Try all of them again.")
def dead_letters(revive: bool) -> None:
    """What was tried for a day in vain."""
    with _opened() as (_, synchroniser):
        letters = synchroniser.dead_letters()
        rows = [
            (each.kind, each.id, each.order_id, str(each.attempts), each.error) for each in letters
        ]
        _print_table(("kind", "id", "order", "attempts", "error"), rows)
        if revive:
            for letter in letters:
                synchroniser.revive(letter)
            synchroniser.process_due()


def main() -> None:
    """What the script calls."""
    try:
        cli()
    except (Misconfigured, SyncError) as error:
        click.echo(f"refundry-sync: {error}", err=True)
        sys.exit(2)


def _configuration() -> Configuration:
    return load_configuration()


@contextmanager
def _opened() -> Generator[tuple[Configuration, Synchroniser]]:
    """The synchroniser as it is configured, with the shop's own functions as its ports."""
    configuration = _configuration()
    store = configuration.open_store()
    change = load_function(configuration.on_change) if configuration.on_change else _print_change
    notify = load_function(configuration.notify) if configuration.notify else _print_notification
    with Client(configuration.url, configuration.key) as client:
        synchroniser = Synchroniser(store, client, configuration.settings(), change, notify)
        try:
            yield configuration, synchroniser
        finally:
            synchroniser.close()
            store.close()


def _print_change(order: OrderRefundView, refund: RefundView | None, *, change_id: str) -> None:
    """What happens to a change where the shop has no function of its own."""
    said = {"change": change_id, "order": order, "refund": refund and refund.document}
    click.echo(write_json(said))


def _print_notification(kind: str, notification: Notification) -> None:
    said = {"notify": kind, "id": notification.id, "order": notification.order.order_id}
    click.echo(write_json({**said, "amount": notification.amount}))


@contextmanager
def _progress() -> Generator[Any]:
    """A bar on a terminal; nothing in a log. It does not know the end, so it counts."""
    if not sys.stderr.isatty():
        yield _show_nothing
        return

    def show(done: int, _total: int | None, what: str) -> None:
        filled = "#" * (done // 10 % 30)
        click.echo(f"\r[{filled:<30}] {done:>7} {what:<8}", nl=False, err=True)

    yield show
    click.echo("\r" + " " * 60 + "\r", nl=False, err=True)


def _show_nothing(_done: int, _total: int | None, _what: str) -> None:
    """A log is no place for a bar."""


def _cells(found: Difference) -> Sequence[str]:
    subject = "" if found.subject == found.order_id else found.subject
    return (found.order_id, subject, found.field, found.ours or "-", found.theirs)


def _drift_rows(found: OrderDrift) -> list[Sequence[str]]:
    fields = list({**found.ours, **found.theirs})
    events = [f"{each.type} {each.id}" for each in found.events]
    count = max(len(fields), len(events))
    rows: list[Sequence[str]] = []
    for number in range(count):
        field = fields[number] if number < len(fields) else ""
        event = events[number] if number < len(events) else ""
        figures = (found.ours.get(field, "-"), found.theirs.get(field, "-")) if field else ("", "")
        rows.append((found.order_id if number == 0 else "", field, *figures, event))
    return rows


def _print_lines(documents: Sequence[dict[str, Any]]) -> None:
    for document in documents:
        click.echo(json.dumps(document, default=str))


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as what is in them; nothing without rows."""
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = zip(row, widths, strict=True)
        click.echo("  ".join(cell.ljust(width) for cell, width in cells).rstrip())
