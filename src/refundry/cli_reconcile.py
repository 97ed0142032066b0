"""The command `refundry reconcile`."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from refundry.command_line import read_settings, report, spoken_errors, with_settings
from refundry.settings import Settings

if TYPE_CHECKING:
    from refundry.gateways.store import Gateway
    from refundry.reconciliation.commands import Summary
    from refundry.reconciliation.reports import Report

_PROCESSORS = ("adyen", "braintree", "paypal", "stripe")


@dataclass(frozen=True, slots=True)
class _Job:
    """What the command was told. gateway: its name; None: the only one of the processor."""

    settings: Settings
    path: Path
    processor: str
    gateway: str | None
    account: str | None
    live: bool
    rehearsal: bool


@click.command("reconcile")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, exists=True,
                                                        dir_okay=False))  # fmt: skip
@click.option("--processor", type=click.Choice(_PROCESSORS), required=True, help="Whose report.")
@click.option("--gateway", help="The gateway's name; without it, the only one of the processor.")
@click.option("--mode", type=click.Choice(["test", "live"]), default="test", show_default=True)
@click.option("--account", help="The account's name; without it, the first one.")
@click.option("--dry-run", is_flag=True, help="Say what it would come to, and write nothing.")
@with_settings
def reconcile_command(
    path: Path, processor: str, gateway: str | None, mode: str, account: str | None,
    dry_run: bool, **options: Any,
) -> None:  # fmt: skip
    """Compare a processor's settlement report with the refunds and chargebacks here.

    FILE is the CSV as the processor gives it, also with .gz. Reading it again changes nothing.
    Ends with 1 if it brought anything to look at; the dashboard lists it under Reconciliation.
    """
    with spoken_errors():
        settings = read_settings(**options)
        job = _Job(settings, path, processor, gateway, account, mode == "live", dry_run)
        summary = _reconcile(job)
    for line in summary.text():
        click.echo(line)
    if dry_run:
        click.echo("nothing was written")
    if summary.exceptions:
        sys.exit(1)


def _reconcile(job: _Job) -> "Summary":
    from refundry.hosting import database_ready
    from refundry.reconciliation.lines import BadReport

    with database_ready(job.settings, "refundry reconcile", report):
        try:
            return asyncio.run(_run(job))
        except BadReport as error:
            raise click.ClickException(f"{job.path.name}: {error}") from error


async def _run(job: _Job) -> "Summary":
    from refundry.clock import Clock
    from refundry.db.database import open_database
    from refundry.operations.commands import Books
    from refundry.reconciliation.commands import Reading, reconcile, rehearse
    from refundry.reconciliation.reports import Report
    from refundry.sealing import open_vault

    async with open_database(job.settings) as database:
        gateway = await _gateway(database, job)
        books = Books(database, open_vault(job.settings))
        source = Report(job.path, job.processor)
        with _bar(source) as bar:

            def step() -> None:
                bar.update(source.position - bar.pos)

            if job.rehearsal:
                return await rehearse(books, gateway, source.entries(), step)
            reading = Reading(gateway, job.path.name, source.digest(), Clock().now())
            return await reconcile(books, reading, source.entries(), step)


def _bar(source: "Report") -> Any:
    return cast("Any", click.progressbar)(length=source.size, label="report", file=sys.stderr)


async def _gateway(database: Any, job: _Job) -> "Gateway":
    """The gateway that the report is of."""
    from refundry.access.commands import named_account
    from refundry.gateways.store import find_named, list_of
    from refundry.tenant import Tenant

    tenant = Tenant(await named_account(database, job.account), job.live)
    if job.gateway is not None:
        named = await find_named(database, tenant, job.gateway)
        found = [named] if named else []
    else:
        found = await list_of(database, tenant)
    fitting = [each for each in found if each.processor == job.processor]
    if len(fitting) != 1:
        named = f"named '{job.gateway}' " if job.gateway else ""
        what = f"{named}of {job.processor}"
        mode = "live" if job.live else "test"
        raise click.ClickException(
            f"there are {len(fitting)} gateways {what} in {mode} mode; name one with --gateway"
            if fitting
            else f"there is no gateway {what} in {mode} mode"
        )
    return fitting[0]
