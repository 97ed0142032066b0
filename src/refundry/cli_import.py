"""The commands `refundry import` and `refundry sample-orders`."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from refundry.command_line import read_settings, report, spoken_errors, with_settings
from refundry.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from refundry.importing.exports import Export
    from refundry.importing.reporting import Summary
    from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class _Job:
    """What the command was told."""

    settings: Settings
    paths: tuple[Path, ...]
    report: Path
    processes: int
    account: str | None
    live: bool


@click.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="FILE|FOLDER...",
                type=click.Path(path_type=Path, exists=True))  # fmt: skip
@click.option("--mode", type=click.Choice(["test", "live"]), default="test", show_default=True)
@click.option("--report", "report_file", type=click.Path(path_type=Path, dir_okay=False),
              help="Where refused orders go; without it, beside the first file.")  # fmt: skip
@click.option("--processes", type=click.IntRange(1, 64),
              help="How many processes judge and write.  [the cores]")  # fmt: skip
@click.option("--account", help="The account's name; without it, the first one.")
@with_settings
def import_command(
    paths: tuple[Path, ...], mode: str, report_file: Path | None, processes: int | None,
    account: str | None, **options: Any,
) -> None:  # fmt: skip
    """Take in orders that another system exported, each once however often the command is run.

    FILE holds Order resources, one a line (.jsonl), or a saved page of GET /orders (.json), either
    with .gz; FOLDER holds any number of these. Ctrl-C stops after the batches under way; the same
    command goes on. Ends with 1 if an order was refused or is left to do.
    """
    first = paths[0]
    target = report_file or first.with_name(f"{first.name.split('.')[0]}.import-report.jsonl")
    with spoken_errors():
        settings = read_settings(**options)
        count = processes or os.cpu_count() or 1
        clean = _import(_Job(settings, paths, target, count, account, mode == "live"))
    if not clean:
        sys.exit(1)


def _import(job: _Job) -> bool:
    """Import all; gives whether every order is in."""
    from refundry.hosting import database_ready
    from refundry.importing.exports import Export, NoExport

    try:
        export = Export(job.paths)
    except NoExport as error:
        raise click.ClickException(str(error)) from error
    with database_ready(job.settings, "refundry import", report):
        tenant, now = asyncio.run(_whose(job))
        summary, stopped = _run(job, export, tenant, now)
    for line in summary.lines():
        click.echo(line)
    if stopped:
        click.echo("stopped before the end; the same command goes on")
    click.echo(f"report: {job.report}")
    return not summary.refused and not stopped


async def _whose(job: _Job) -> "tuple[Tenant, datetime]":
    """The account in its mode, and the time on its clock."""
    from refundry.access.commands import named_account
    from refundry.access.store import clock_shift
    from refundry.clock import Clock
    from refundry.db.database import open_database
    from refundry.tenant import Tenant

    async with open_database(job.settings) as database:
        tenant = Tenant(await named_account(database, job.account), job.live)
        return tenant, Clock().now() + await clock_shift(database, tenant)


def _run(job: _Job, export: "Export", tenant: "Tenant", now: "datetime") -> "tuple[Summary, bool]":
    """Import with a bar on standard error; gives the summary and whether somebody stopped it."""
    from refundry.importing.crew import Crew, CrewFailed
    from refundry.importing.reporting import Summary

    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda sent, _frame: asked.append(sent))
    summary = Summary()
    crew = Crew(job.settings, tenant, now, job.processes)

    def counted(_last: object) -> str:
        return f"{summary.imported + summary.known + summary.refused}"

    bar = cast("Any", click.progressbar)(
        length=export.size, label="orders", file=sys.stderr, item_show_func=counted
    )
    try:
        with job.report.open("wb") as lines, bar:
            for result in crew.run(export.entries(), stopping=lambda: bool(asked)):
                summary.add(result, lines)
                bar.update(export.position - bar.pos, summary)
    except CrewFailed as error:
        raise click.ClickException(f"{error}; run it again to go on") from error
    finally:
        crew.close()
    return summary, bool(asked)


@click.command("sample-orders")
@click.option("--count", type=click.IntRange(1, 10_000_000), required=True, help="How many.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="The same seed makes the same orders.")  # fmt: skip
@click.option("--refusable", is_flag=True, help="Make a fiftieth of them wrong in some way.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False),
              help="Where to; gzipped if it ends with .gz.  [standard output]")  # fmt: skip
def sample_orders_command(count: int, seed: int, refusable: bool, output: Path | None) -> None:
    """Make an export to try `refundry import` with: Order resources, one a line."""
    import gzip
    from contextlib import closing

    from refundry.importing.samples import sample_orders

    lines = sample_orders(count, seed=seed, refusable=refusable)
    if output is None:
        for line in lines:
            click.echo(line, nl=False)
        return
    # Without name and time in its head, so that the same orders are the same bytes.
    with output.open("wb") as raw:
        packed = output.suffix == ".gz"
        with closing(gzip.GzipFile("", "wb", 6, raw, mtime=0)) if packed else raw as file:
            file.writelines(lines)
