"""The command `refundry`."""

import asyncio
import sys
from datetime import timedelta
from typing import Any, cast

import click

from refundry import __version__
from refundry.cli_backup import backup, restore
from refundry.cli_bulk import bulk
from refundry.cli_import import import_command, sample_orders_command
from refundry.cli_listen import listen
from refundry.cli_operations import operation
from refundry.cli_processors import processor
from refundry.cli_reconcile import reconcile_command
from refundry.cli_retain import retain
from refundry.cli_users import user
from refundry.cli_webhooks import account_group, webhook
from refundry.command_line import (
    on_database,
    read_settings,
    report,
    spoken_errors,
    with_settings,
)
from refundry.settings import Settings, masked

# What the heavy commands need is imported in them: `refundry version` should not wait for it.


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Refundry: a self-hosted refund system, compatible with Digital River's Refunds API."""


@cli.command()
@click.option("--host", help="The address to listen on.  [127.0.0.1]")
@click.option("--port", type=int, help="The port to listen on.  [8080]")
@click.option("--processes", type=int, help="How many API processes.  [1]")
@with_settings
def serve(**options: object) -> None:
    """Run everything: the embedded database, the API and a worker."""
    from refundry.db.limits import Pools
    from refundry.hosting import (
        bring_up_to_date,
        database_ready,
        fit_pools,
        invite_first_administrator,
        sandbox_secret,
    )
    from refundry.serving import Supervisor

    with spoken_errors():
        settings = read_settings(**options)
        with database_ready(settings, "refundry serve", report, exclusive=True) as server:
            if settings.database_url:
                bring_up_to_date(settings, report)
            # The worker has a pool too, and a connection that it is woken by.
            settings = fit_pools(settings, Pools(settings.processes + 1, besides=1))
            secret = asyncio.run(sandbox_secret(settings, report))
            supervisor = Supervisor(settings, server)
            try:
                url = supervisor.start()
                # Only now: a link that is made and not shown, as the port is taken, is lost.
                token = asyncio.run(invite_first_administrator(settings))
                click.echo(_screen(settings, url, secret, token))
                supervisor.watch()
            finally:
                supervisor.stop()
        click.echo("stopped.")


def _screen(settings: Settings, url: str, secret: str | None, token: str | None) -> str:
    from refundry.access.links import link_address

    data = settings.data_dir.absolute()
    where = "external PostgreSQL" if settings.database_url else str(data)
    lines = [
        "",
        f"  Refundry {__version__} is running.",
        "",
        f"  URL                {url}",
        f"  Dashboard          {url}/dashboard",
        f"  API reference      {url}/docs",
        f"  Sandbox key        {secret or 'made with: refundry key create --mode test'}",
        f"  Data               {where}",
        "  Stop               Ctrl-C",
        "",
    ]
    if token is not None:
        address = link_address(settings.public_url or url, token)
        lines += [
            f"  Administrator      {settings.admin_email}",
            f"  Set the password   {address}",
            "                     (once, within 7 days; later: refundry user link)",
            "",
        ]
    return "\n".join(lines)


@cli.command()
@click.option("--host")
@click.option("--port", type=int)
@click.option("--fd", type=int, hidden=True)
@with_settings
def api(fd: int | None, **options: object) -> None:
    """Run the API alone."""
    from refundry.api_server import serve_api
    from refundry.db.limits import Pools
    from refundry.hosting import database_ready, fit_pools

    with spoken_errors():
        settings = read_settings(**options)
        if fd is not None:
            serve_api(settings, fd=fd)
            return
        with database_ready(settings, "refundry api", report):
            serve_api(fit_pools(settings, Pools(1)), fd=None)


@cli.command()
@with_settings
def worker(**options: object) -> None:
    """Run a worker alone."""
    import uvloop

    from refundry.db.limits import Pools
    from refundry.hosting import database_ready, fit_pools
    from refundry.worker import run_worker

    with spoken_errors():
        settings = read_settings(**options)
        with database_ready(settings, "refundry worker", report):
            uvloop.run(run_worker(fit_pools(settings, Pools(1, besides=1))))


@cli.command()
@with_settings
def migrate(**options: object) -> None:
    """Bring the database's schema up to date."""
    from refundry.hosting import bring_up_to_date, database_ready

    with spoken_errors():
        settings = read_settings(**options)
        with database_ready(settings, "refundry migrate", report):
            bring_up_to_date(settings, report)
    click.echo("The schema is up to date.")


@cli.command()
@click.option("--drain", is_flag=True, required=True, help="Run due work until none is left.")
@with_settings
def work(drain: bool, **options: object) -> None:
    """Run the background work that is due, once."""
    from refundry.operations.work import Stalled
    from refundry.operations.work import drain as run_all
    from refundry.worker import open_worker

    assert drain
    with spoken_errors():
        settings = read_settings(**options)

        async def run(database: Any) -> int:
            async with open_worker(settings, database) as services:
                return await run_all(services, None)

        try:
            done = on_database(settings, "work", run)
        except Stalled as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{done} steps of work done; none is due.")


@cli.command()
@click.option("--account", required=True, help="The account's name.")
@click.option("--admin", required=True, help="The administrator's e-mail address.")
@with_settings
def init(account: str, admin: str, **options: object) -> None:
    """Make an account; prints its four keys, and its administrator's link, this once."""
    from refundry.access.commands import open_account
    from refundry.access.links import link_address
    from refundry.clock import Clock

    with spoken_errors():
        settings = read_settings(**options)

        async def run(database: Any) -> Any:
            return await open_account(database, account, now=Clock().now(), administrator=admin)

        opened = on_database(settings, "init", run)
    click.echo(f"account      {account}")
    click.echo(f"secret test  {opened.secret_test}")
    click.echo(f"public test  {opened.public_test}")
    click.echo(f"secret live  {opened.secret_live}")
    click.echo(f"public live  {opened.public_live}")
    link = link_address(settings.public_address(), opened.administrator_link)
    click.echo(f"link         {link}")
    click.echo(f"{admin} sets a password with the link; nothing of this is shown again.", err=True)


@cli.group()
def key() -> None:
    """API keys."""


@key.command("create")
@click.option("--mode", type=click.Choice(["test", "live"]), required=True)
@click.option("--kind", type=click.Choice(["secret", "public", "restricted"]), default="secret")
@click.option("--permission", "permissions", multiple=True, metavar="RESOURCE=RIGHT",
              help="For restricted keys: none, read, write or read_write.")  # fmt: skip
@click.option("--name", help="Of a restricted key, for the API log and the dashboard.")
@click.option("--version", type=click.Choice(["2021-12-13", "2021-03-23"]),
              help="The API version; without it, that of the key that is replaced.")  # fmt: skip
@click.option("--basis", type=click.Choice(["line", "unit"]),
              help="What items[].amount means: the whole element, or one unit.")  # fmt: skip
@click.option("--old-key", type=click.Choice(["now", "1h", "12h", "24h"]), default="24h",
              help="How long the key that this one replaces stays valid.")  # fmt: skip
@click.option("--account", help="The account's name; without it, the first one.")
@with_settings
def key_create(
    mode: str, kind: str, permissions: tuple[str, ...], name: str | None, version: str | None,
    basis: str | None, old_key: str, account: str | None, **options: object,
) -> None:  # fmt: skip
    """Make an API key and print it. A secret or public key replaces the one before it."""
    from refundry.access import store
    from refundry.access.commands import create_key, named_account
    from refundry.clock import Clock
    from refundry.hosting import make_sandbox

    rights = _rights(kind, permissions)
    hours = {"now": 0, "1h": 1, "12h": 12, "24h": 24}[old_key]
    with spoken_errors():
        settings = read_settings(**options)

        async def run(database: Any) -> str:
            if account is None and await store.find_account(database, None) is None:
                await make_sandbox(settings, database)
            return await create_key(
                database,
                await named_account(database, account),
                live=mode == "live",
                kind=kind,
                name=name,
                permissions=rights,
                version=version,
                item_amount_basis=basis,
                now=Clock().now(),
                old_key_lives=timedelta(hours=hours),
            )

        text = on_database(settings, "key create", run)
    click.echo(text)


def _rights(kind: str, permissions: tuple[str, ...]) -> dict[str, str]:
    from refundry.access.keys import PERMISSIONS
    from refundry.tenant import RESOURCES

    rights: dict[str, str] = {}
    for text in permissions:
        resource, _, right = text.partition("=")
        right = right.lower().replace("/", "_")
        if resource not in RESOURCES or right not in PERMISSIONS:
            raise click.BadParameter(
                f"{text}: one of {', '.join(RESOURCES)} = one of {', '.join(PERMISSIONS)}",
                param_hint="--permission",
            )
        rights[resource] = right
    if (kind == "restricted") != any(right != "none" for right in rights.values()):
        raise click.BadParameter(
            "restricted keys need at least one right, other keys take none",
            param_hint="--permission",
        )
    return rights


@cli.command("audit")
@with_settings
def audit_command(**options: object) -> None:
    """Recompute every balance from the journal; exit 1 naming the orders that do not add up."""
    from refundry.auditing import Finding, audit

    with spoken_errors():
        settings = read_settings(**options)

        async def run(database: Any) -> tuple[int, list[Finding]]:
            orders, findings = 0, cast("list[Finding]", [])
            async with (
                database.connection() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                async for stretch in audit(connection):
                    orders += stretch.orders
                    findings += stretch.findings
            return orders, findings

        orders, findings = on_database(settings, "audit", run)
    for each in findings:
        mode = "live" if each.live else "test"
        click.echo(
            f"order {each.order_id} ({mode}, account {each.account_id}): {each.figure} is kept as"
            f" {each.kept} minor units, the journal says {each.journal}"
        )
    wrong = len({(each.account_id, each.live, each.order_id) for each in findings})
    click.echo(f"{orders} orders audited, {wrong} do not add up.", err=bool(findings))
    sys.exit(1 if findings else 0)


cli.add_command(backup)
cli.add_command(bulk)
cli.add_command(import_command)
cli.add_command(sample_orders_command)
cli.add_command(restore)
cli.add_command(listen)
cli.add_command(operation)
cli.add_command(processor)
cli.add_command(reconcile_command)
cli.add_command(retain)
cli.add_command(user)
cli.add_command(webhook)
cli.add_command(account_group)


@cli.command("config")
@with_settings
def config_command(**options: object) -> None:
    """Print the settings in force, secrets masked."""
    with spoken_errors():
        for name, value in masked(read_settings(**options)).items():
            click.echo(f"{name} = {'' if value is None else value}")


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


def main() -> None:
    """Run the command line."""
    cli(prog_name="refundry")
