"""The commands `refundry webhook` and `refundry account`."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from refundry.command_line import on_database, read_settings, spoken_errors, with_settings
from refundry.errors import NotFound

if TYPE_CHECKING:
    from refundry.webhooks.store import Webhook

T = TypeVar("T")
_OVERLAPS = ("now", "1h", "3h", "6h", "12h")


@click.group()
def webhook() -> None:
    """Webhooks: their signing tokens, and events sent again."""


@click.group("account")
def account_group() -> None:
    """What is set for an account as a whole."""


def _on_webhook(
    options: dict[str, Any],
    command: str,
    webhook_id: str,
    work: Callable[[Any, "Webhook", datetime], Awaitable[T]],
) -> T:
    """Run `work` on a database, a webhook of it and the time on the webhook's clock."""
    from refundry.access.store import clock_shift
    from refundry.clock import Clock
    from refundry.webhooks.store import find_everywhere

    async def run(database: Any) -> T:
        found = await find_everywhere(database, webhook_id)
        if not found:
            raise NotFound("Webhook", webhook_id)
        now = Clock().now() + await clock_shift(database, found[0].tenant)
        return await work(database, found[0], now)

    with spoken_errors():
        return on_database(read_settings(**options), f"webhook {command}", run)


@webhook.command("list")
@with_settings
def webhook_list(**options: Any) -> None:
    """List webhooks, oldest first."""
    from refundry.webhooks.store import find_everywhere

    with spoken_errors():
        found = on_database(
            read_settings(**options), "webhook list", lambda db: find_everywhere(db, None)
        )
    for each in found:
        mode = "live" if each.tenant.live else "test"
        click.echo("\t".join([each.id, mode, _health(each), each.address, ", ".join(each.types)]))


def _health(webhook: "Webhook") -> str:
    from refundry.http.document import seconds

    if not webhook.enabled:
        return f"disabled ({webhook.disabled_reason})" if webhook.disabled_reason else "disabled"
    if webhook.failing_since:
        return f"failing since {seconds(webhook.failing_since)}"
    return "enabled"


@webhook.command("token")
@click.argument("webhook_id")
@with_settings
def webhook_token(webhook_id: str, **options: Any) -> None:
    """Print the token that signs a webhook's requests; during an overlap, the old one below."""
    from refundry.sealing import open_vault
    from refundry.webhooks.commands import reveal_token

    async def run(database: Any, webhook: "Webhook", now: datetime) -> Any:
        vault = open_vault(read_settings(**options))
        return await reveal_token(database, vault, webhook.tenant, webhook.id, now)

    _show_tokens(_on_webhook(options, "token", webhook_id, run))


@webhook.command("rotate")
@click.argument("webhook_id")
@click.option("--overlap", type=click.Choice(_OVERLAPS), default="12h", show_default=True,
              help="How long the old token signs along.")  # fmt: skip
@with_settings
def webhook_rotate(webhook_id: str, overlap: str, **options: Any) -> None:
    """Give a webhook a new signing token and print it."""
    from refundry.access.audit_log import COMMAND_LINE
    from refundry.clock import Clock
    from refundry.sealing import open_vault
    from refundry.webhooks.commands import OVERLAPS, Editor, rotate_token

    async def run(database: Any, webhook: "Webhook", now: datetime) -> Any:
        vault = open_vault(read_settings(**options))
        by = Editor(COMMAND_LINE, Clock().now())
        return await rotate_token(
            database, vault, webhook.tenant, webhook.id, OVERLAPS[overlap], now, by
        )

    _show_tokens(_on_webhook(options, "rotate", webhook_id, run))


def _show_tokens(tokens: Any) -> None:
    from refundry.http.document import seconds

    click.echo(tokens.current)
    if tokens.old:
        click.echo(f"{tokens.old}\tuntil {seconds(tokens.old_until)}")


@webhook.command("resend")
@click.argument("webhook_id")
@click.argument("event_id")
@with_settings
def webhook_resend(webhook_id: str, event_id: str, **options: Any) -> None:
    """Send an event to a webhook once more, in one attempt."""
    from refundry.webhooks.commands import resend

    async def run(database: Any, webhook: "Webhook", now: datetime) -> None:
        await resend(database, webhook.tenant, event_id, webhook.id, now)

    _on_webhook(options, "resend", webhook_id, run)
    click.echo("queued.")


@webhook.command("recover")
@click.argument("webhook_id")
@click.option("--since", required=True, metavar="TIME", help="Such as 2024-05-01T09:58:12Z.")
@with_settings
def webhook_recover(webhook_id: str, since: str, **options: Any) -> None:
    """Deliver every event since a time that a webhook subscribes to and missed."""
    from refundry.http.fields import parse_timestamp
    from refundry.webhooks.commands import recover

    moment = parse_timestamp(since)
    if moment is None:
        raise click.BadParameter(f"{since} is not a time in UTC", param_hint="--since")

    async def run(database: Any, webhook: "Webhook", now: datetime) -> int:
        return await recover(database, webhook.tenant, webhook.id, moment, now)

    click.echo(f"{_on_webhook(options, 'recover', webhook_id, run)} deliveries queued.")


@account_group.command("expanded-events")
@click.argument("switch", type=click.Choice(["on", "off"]))
@click.option("--account", help="The account's name; without it, the first one.")
@with_settings
def account_expanded_events(switch: str, account: str | None, **options: Any) -> None:
    """Let the webhooks of an account ask for expanded events, or no longer."""
    from refundry.access.commands import named_account
    from refundry.webhooks.store import set_expanded_events

    async def run(database: Any) -> None:
        account_id = await named_account(database, account)
        await set_expanded_events(database, account_id, on=switch == "on")

    with spoken_errors():
        on_database(read_settings(**options), "account expanded-events", run)
    click.echo(f"Expanded events are {switch}.")
