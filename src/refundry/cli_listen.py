"""The command `refundry listen`."""

import asyncio

import click

from refundry.command_line import read_settings, spoken_errors, with_settings
from refundry.settings import Settings


@click.command()
@click.option("--port", "at_port", type=int, default=0, help="Where to listen.  [a free port]")
@click.option("--forward-to", metavar="URL", help="Send each event on to this address.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON.")
@click.option("--types", metavar="TYPE,...", default="", help="Only these: refund.*,order.refunded")
@click.option("--url", help="Where the API is.  [the settings' host and port]")
@click.option("--key", help="A key for webhooks.  [the sandbox's, from the database]")
@with_settings
def listen(
    at_port: int, forward_to: str | None, as_json: bool, types: str, url: str | None,
    key: str | None, **options: object,
) -> None:  # fmt: skip
    """Show events of the running service as they come, by a temporary webhook."""
    from refundry.listening import Ask, CannotListen
    from refundry.listening import listen as listen_to

    names = tuple(name.strip() for name in types.split(",") if name.strip())
    with spoken_errors():
        settings = read_settings(**options)
        ask = Ask(url or _own_url(settings), key, at_port, forward_to, as_json, names)
        try:
            asyncio.run(listen_to(settings, ask))
        except CannotListen as error:
            raise click.ClickException(str(error)) from error


def _own_url(settings: Settings) -> str:
    """Where `serve` with these settings answers, seen from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
