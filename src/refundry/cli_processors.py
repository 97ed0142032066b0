"""The command `refundry processor`."""

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from refundry.command_line import on_database, read_settings, spoken_errors, with_settings
from refundry.errors import NotFound
from refundry.settings import Settings

if TYPE_CHECKING:
    from refundry.gateways.store import Gateway
    from refundry.processors.contract import Finding
    from refundry.tenant import Tenant

_PROCESSORS = ("adyen", "braintree", "http", "paypal", "stripe")
_mode = click.option("--mode", type=click.Choice(["test", "live"]), default="test",
                     show_default=True)  # fmt: skip
_account = click.option("--account", help="The account's name; without it, the first one.")


@click.group()
def processor() -> None:
    """Gateways: accounts at payment processors through which money is paid back."""


@processor.command("add")
@click.argument("kind", type=click.Choice(_PROCESSORS), metavar="PROCESSOR")
@click.option("--name", help="Without it, the processor's.")
@click.option("--sources", help="Of which source types, by comma; without it, of all others.")
@click.option("--address", help="Where its API is, if not where its SDK looks for it.")
@_mode
@_account
@with_settings
def processor_add(
    kind: str, name: str | None, sources: str | None, address: str | None, mode: str,
    account: str | None, **options: Any,
) -> None:  # fmt: skip
    """Open a gateway. Reads its credentials as a JSON object from standard input.

    PROCESSOR is adyen, braintree, http, paypal or stripe; docs/processors names the members.
    """
    from refundry.access.audit_log import COMMAND_LINE
    from refundry.clock import Clock
    from refundry.gateways.commands import NewGateway, open_gateway
    from refundry.sealing import open_vault

    wanted = tuple(each.strip() for each in (sources or "").split(",") if each.strip())
    new = NewGateway(name or kind, kind, sys.stdin.read(), wanted, address)
    with _spoken():
        settings = read_settings(**options)

        async def run(database: Any) -> "Gateway":
            tenant = await _tenant(database, account, mode)
            vault = open_vault(settings)
            return await open_gateway(database, vault, tenant, new, COMMAND_LINE, Clock().now())

        gateway = on_database(settings, "processor add", run)
    click.echo(f"{gateway.name}\t{gateway.id}\t{mode}")
    path = f"/refundry/v1/processor-notifications/{gateway.id}"
    click.echo(f"notifications to: {settings.public_address()}{path}")
    click.echo(f"now try: refundry processor check {gateway.name} --mode {mode}")


@processor.command("list")
@with_settings
def processor_list(**options: Any) -> None:
    """List gateways, oldest first: name, id, processor, mode, sources, whether it is open."""
    from refundry.gateways.store import list_all

    with spoken_errors():
        found = on_database(read_settings(**options), "processor list", list_all)
    for each in found:
        mode = "live" if each.tenant.live else "test"
        sources = ",".join(each.source_types) or "all others"
        state = "closed" if each.closed_at else "open"
        click.echo("\t".join([each.name, each.id, each.processor, mode, sources, state]))


@processor.command("check")
@click.argument("name")
@_mode
@_account
@with_settings
def processor_check(name: str, mode: str, account: str | None, **options: Any) -> None:
    """Ask a gateway's processor whether the credentials work and may do what is needed.

    NAME is a gateway's name or id. Ends with 1 if something has to be mended.
    """
    with _spoken():
        settings = read_settings(**options)

        async def run(database: Any) -> "Sequence[Finding]":
            return await _check(settings, await _gateway(database, account, mode, name))

        findings = on_database(settings, "processor check", run)
    for finding in findings:
        click.echo(f"{finding.what}: {finding.problem or 'fine'}")
    if any(finding.problem for finding in findings):
        sys.exit(1)


@processor.command("credentials")
@click.argument("name")
@_mode
@_account
@with_settings
def processor_credentials(name: str, mode: str, account: str | None, **options: Any) -> None:
    """Give a gateway other credentials of the same account, as JSON from standard input."""
    from refundry.access.audit_log import COMMAND_LINE
    from refundry.clock import Clock
    from refundry.gateways.commands import replace_credentials
    from refundry.sealing import open_vault

    text = sys.stdin.read()
    with _spoken():
        settings = read_settings(**options)

        async def run(database: Any) -> None:
            gateway = await _gateway(database, account, mode, name)
            vault, now = open_vault(settings), Clock().now()
            await replace_credentials(database, vault, gateway, text, COMMAND_LINE, now)

        on_database(settings, "processor credentials", run)
    click.echo("replaced.")


@processor.command("close")
@click.argument("name")
@_mode
@_account
@with_settings
def processor_close(name: str, mode: str, account: str | None, **options: Any) -> None:
    """Give a gateway no new payments. What it took before is still paid back through it."""
    from refundry.access.audit_log import COMMAND_LINE
    from refundry.clock import Clock
    from refundry.gateways.commands import close_gateway

    with _spoken():

        async def run(database: Any) -> None:
            gateway = await _gateway(database, account, mode, name)
            await close_gateway(database, gateway, COMMAND_LINE, Clock().now())

        on_database(read_settings(**options), "processor close", run)
    click.echo("closed.")


async def _check(settings: Settings, gateway: "Gateway") -> "Sequence[Finding]":
    import aiohttp

    from refundry.gateways.commands import check_gateway
    from refundry.gateways.kinds import Setup
    from refundry.sealing import open_vault

    async with aiohttp.ClientSession() as session:
        setup = Setup(session, settings.processor_timeout, gateway.address)
        return await check_gateway(open_vault(settings), gateway, setup)


async def _tenant(database: Any, account: str | None, mode: str) -> "Tenant":
    from refundry.access.commands import named_account
    from refundry.tenant import Tenant

    return Tenant(await named_account(database, account), mode == "live")


async def _gateway(database: Any, account: str | None, mode: str, name: str) -> "Gateway":
    from refundry.gateways.store import find_named

    found = await find_named(database, await _tenant(database, account, mode), name)
    if found is None:
        raise NotFound("Gateway", name)
    return found


@contextmanager
def _spoken() -> Generator[None]:
    from refundry.gateways.commands import GatewayRefused

    try:
        with spoken_errors():
            yield
    except GatewayRefused as error:
        raise click.ClickException(str(error)) from error
