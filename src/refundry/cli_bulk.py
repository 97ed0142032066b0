"""The command `refundry bulk`."""

import asyncio
import signal
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from refundry.command_line import on_database, read_settings, spoken_errors, with_settings
from refundry.settings import Settings

if TYPE_CHECKING:
    from refundry.bulk.commands import Checked, Moment
    from refundry.bulk.store import Run
    from refundry.tenant import Tenant

# More verdicts than these are for the result file.
_MOST_SAID = 50


@dataclass(frozen=True, slots=True)
class _Job:
    """What the command was told. total: what was typed; None to ask for it."""

    settings: Settings
    file: Path
    dry_run: bool
    total: str | None
    with_duplicates: bool
    result: Path
    account: str | None
    live: bool


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Say what would become of each line; do nothing.")
@click.option("--confirm", "total", metavar="TOTAL",
              help="The total, like '27.01 USD'; without it, it is asked for.")  # fmt: skip
@click.option("--mode", type=click.Choice(["test", "live"]), default="test", show_default=True)
@click.option("--include-duplicates", is_flag=True,
              help="Refund lines as well that look like duplicates.")  # fmt: skip
@click.option("--result", type=click.Path(path_type=Path, dir_okay=False),
              help="Where the result goes; without it, beside the file.")  # fmt: skip
@click.option("--account", help="The account's name; without it, the first one.")
@with_settings
def bulk(
    file: Path, dry_run: bool, total: str | None, mode: str, include_duplicates: bool,
    result: Path | None, account: str | None, **options: Any,
) -> None:  # fmt: skip
    """Refund the lines of a CSV file, each once however often the command is run.

    Ctrl-C stops it after the lines under way; the same command goes on. Ends with 1 if a line was
    refused, failed or is left to do.
    """
    target = result or file.with_name(f"{file.stem}.result.csv")
    with spoken_errors():
        settings = read_settings(**options)
        job = _Job(
            settings, file, dry_run, total, include_duplicates, target, account, mode == "live"
        )
        clean = on_database(settings, "bulk", lambda database: _work(database, job))
    if not clean:
        sys.exit(1)


async def _work(database: Any, job: _Job) -> bool:
    """Check, confirm, run; gives whether every line went well."""
    from refundry.access.audit_log import COMMAND_LINE
    from refundry.access.commands import named_account
    from refundry.bulk import commands
    from refundry.bulk.reading import BadSheet
    from refundry.bulk.store import find_run
    from refundry.errors import required
    from refundry.tenant import Tenant

    tenant = Tenant(await named_account(database, job.account), job.live)
    at = await _moment(database, tenant)
    content = job.file.read_bytes()
    try:
        checked = await commands.check_file(
            database, tenant, job.file.name, content, at.now, with_duplicates=job.with_duplicates
        )
    except BadSheet as error:
        raise click.ClickException(str(error)) from error
    if job.dry_run:
        return _say_verdicts(checked)
    run_id = await commands.save_run(database, tenant, COMMAND_LINE, checked, at)
    run = required(await find_run(database, tenant, run_id))
    if run.state == "checked":
        _say_verdicts(checked)
        await _confirm(database, tenant, run_id, checked, job.total, at)
    else:
        click.echo(f"This file is known as {run_id}: it is {run.state}.", err=True)
        await commands.resume_run(database, tenant, run_id, COMMAND_LINE, at)
    await _run(database, job, run)
    return await _say_result(database, job, run)


async def _moment(database: Any, tenant: "Tenant") -> "Moment":
    from refundry.access.store import clock_shift
    from refundry.bulk.commands import Moment
    from refundry.clock import Clock

    real_now = Clock().now()
    return Moment(real_now + await clock_shift(database, tenant), real_now)


def _say_verdicts(checked: "Checked") -> bool:
    """Say what would become of the lines; gives whether none is refused."""
    from refundry.bulk.verdicts import LineState, totals_of, totals_text

    counts = dict.fromkeys(LineState, 0)
    said = 0
    for each in checked.verdicts:
        counts[each.state] += 1
        if each.remark and said < _MOST_SAID:
            said += 1
            click.echo(f"line {each.row.number}: {each.state}: {each.remark}")
    if (more := sum(bool(each.remark) for each in checked.verdicts) - said) > 0:
        click.echo(f"and {more} lines more with a remark")
    click.echo(
        f"{counts[LineState.READY]} ready, {counts[LineState.DUPLICATE]} possible duplicates left"
        f" out, {counts[LineState.REFUSED]} refused"
    )
    click.echo(f"total: {totals_text(totals_of(checked.verdicts)) or 'nothing'}")
    return not counts[LineState.REFUSED]


async def _confirm(
    database: Any, tenant: "Tenant", run_id: str, checked: "Checked", total: str | None,
    at: "Moment",
) -> None:  # fmt: skip
    """Let the run go when its total was typed; otherwise forget it, and end."""
    from refundry.access.audit_log import COMMAND_LINE
    from refundry.bulk import commands
    from refundry.bulk.verdicts import totals_of

    try:
        if total is None:
            asked = bool(totals_of(checked.verdicts))
            total = click.prompt("Type the total to confirm", err=True) if asked else ""
        await commands.start_run(database, tenant, run_id, COMMAND_LINE, total or "", at)
    except (commands.BulkRefused, click.Abort) as error:
        await commands.discard_run(database, tenant, run_id, COMMAND_LINE, at)
        raise click.ClickException(str(error) or "Nothing was refunded.") from error


async def _run(database: Any, job: _Job, run: "Run") -> None:
    """Make the lines, with a bar on standard error, until all are made or somebody stops it."""
    from refundry.access.audit_log import COMMAND_LINE
    from refundry.bulk import commands, running, store
    from refundry.bulk.verdicts import LineState
    from refundry.clock import Clock

    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    window = timedelta(seconds=job.settings.refund_batch_window)
    runner = running.Runner(database, Clock(), window)
    left = (await store.tallies_of(database, run))[LineState.READY].count
    with click.progressbar(length=left, label="refunds", show_pos=True, file=sys.stderr) as bar:
        while not stopping.is_set():
            made = await running.step(runner, run_id=run.id)
            now_left = (await store.tallies_of(database, run))[LineState.READY].count
            bar.update(left - now_left)
            left = now_left
            if made:
                continue
            state = await store.find_run(database, run.tenant, run.id)
            if state is None or state.state != "running":
                return
            await asyncio.sleep(0.5)  # a worker of the service is at it
    at = await _moment(database, run.tenant)
    await commands.stop_run(database, run.tenant, run.id, COMMAND_LINE, at)


async def _say_result(database: Any, job: _Job, run: "Run") -> bool:
    """Write the result file and say how it ended; gives whether every line went well."""
    from refundry.bulk.results import result_rows
    from refundry.bulk.store import find_run, lines_are_deleted, tallies_of
    from refundry.bulk.verdicts import LineState, totals_text
    from refundry.errors import required
    from refundry.portal.csv_export import csv_lines

    ended = required(await find_run(database, run.tenant, run.id))
    if lines_are_deleted(ended, await tallies_of(database, run)):
        # The result file of back then may still be there.
        raise click.ClickException("The lines of this run are deleted; there is no result.")
    parts = [csv_lines(rows) async for rows in result_rows(database, run)]
    job.result.write_bytes(b"".join(parts))
    tallies = await tallies_of(database, run)
    made, left = tallies[LineState.MADE], tallies[LineState.READY].count
    bad = tallies[LineState.FAILED].count + tallies[LineState.REFUSED].count
    click.echo(f"{made.count} refunded, {totals_text(made.totals) or 'nothing'}; {bad} not")
    if left:
        click.echo(f"stopped with {left} left; run it again to go on")
    click.echo(f"result: {job.result}")
    return not bad and not left
