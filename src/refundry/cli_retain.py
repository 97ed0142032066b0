"""The command `refundry retain`."""

import asyncio
import signal
import sys
from contextlib import aclosing
from datetime import datetime
from typing import Any

import click

from refundry.command_line import on_database, read_settings, spoken_errors, with_settings
from refundry.settings import Settings


@click.command()
@click.option("--dry-run", is_flag=True, help="Count what would go; delete nothing.")
@with_settings
def retain(dry_run: bool, **options: object) -> None:
    """Delete old API calls, events, attempts, notifications, mails, keys, files and requests.

    Runs beside the service, in small steps. Ctrl-C ends it after the step under way; run it again
    for the rest.
    """
    from refundry.clock import Clock

    with spoken_errors():
        settings = read_settings(**options)
        now = Clock().now()

        async def run(database: Any) -> bool:
            if dry_run:
                await _say_counts(database, settings, now)
                return True
            return await _delete(database, settings, now)

        finished = on_database(settings, "retain", run)
    if not finished:
        click.echo("stopped; run it again for the rest.", err=True)
        sys.exit(1)


async def _say_counts(database: Any, settings: Settings, now: datetime) -> None:
    from refundry.retention import chores

    for chore in chores(settings, now):
        count = await chore.count(database)
        click.echo(f"{chore.name}: {count} older than {chore.kept.days} days would go")


async def _delete(database: Any, settings: Settings, now: datetime) -> bool:
    """Run every chore; False if somebody stopped it. Says at the end what went."""
    from refundry.retention import chores

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    gone: dict[str, int] = {}
    for chore in chores(settings, now):
        if stopping.is_set():
            break
        gone[chore.name] = await _run(database, chore, stopping)
    for name, count in gone.items():
        click.echo(f"{name}: {count} deleted")
    return not stopping.is_set()


async def _run(database: Any, chore: Any, stopping: asyncio.Event) -> int:
    """One chore with a bar on standard error; gives how many rows went."""
    from refundry.retention import run_chore

    total = await chore.count(database)
    gone = 0
    with click.progressbar(
        length=total, label=f"{chore.name:18}", show_pos=True, file=sys.stderr
    ) as bar:
        async with aclosing(run_chore(database, chore)) as chunks:
            async for taken in chunks:
                gone += taken
                bar.update(taken)
                if stopping.is_set():
                    break
    return gone
