"""The command `refundry operation`."""

from typing import Any

import click

from refundry.command_line import on_database, read_settings, spoken_errors, with_settings
from refundry.domain.charge import FAILURE_REASONS


@click.group()
def operation() -> None:
    """Captures, cancels and refunds that wait for a processor or a person."""


@operation.command("list")
@with_settings
def operation_list(**options: object) -> None:
    """List operations without an outcome, oldest first."""
    from refundry.operations.manual import list_open

    with spoken_errors():
        settings = read_settings(**options)
        rows = on_database(settings, "operation list", list_open)
    for row in rows:
        click.echo("\t".join(row))


@operation.command("bank-details")
@click.argument("operation_id")
@with_settings
def operation_bank_details(operation_id: str, **options: object) -> None:
    """Show where a refund is to be paid by hand, as its shopper said."""
    from refundry.operations.manual import show_bank_details

    with spoken_errors():
        settings = read_settings(**options)
        details = on_database(
            settings, "operation bank-details",
            lambda database: show_bank_details(database, settings, operation_id),
        )  # fmt: skip
    if details is None:
        raise click.ClickException("No bank details wait with this operation.")
    for name, value in details.items():
        click.echo(f"{name}\t{value}")


@operation.command("settle")
@click.argument("operation_id")
@click.argument("outcome", type=click.Choice(["complete", "failed"]))
@click.option("--reason", type=click.Choice(FAILURE_REASONS), default="declined",
              help="For failed: the failure reason.")  # fmt: skip
@click.option("--note", required=True, help="Who decided, and on what ground.")
@with_settings
def operation_settle(
    operation_id: str, outcome: str, reason: str, note: str, **options: object
) -> None:
    """Book what a person knows of an operation, with a note."""
    from refundry.operations.manual import settle_by_hand

    with spoken_errors():
        settings = read_settings(**options)

        async def run(database: Any) -> bool:
            return await settle_by_hand(
                database, settings, operation_id,
                reason=reason if outcome == "failed" else None, note=note,
            )  # fmt: skip

        changed = on_database(settings, "operation settle", run)
    click.echo("booked." if changed else "it had ended already; nothing was changed.")


@operation.command("check")
@click.argument("operation_id")
@with_settings
def operation_check(operation_id: str, **options: object) -> None:
    """Have the worker ask the processor at once what became of an operation."""
    from refundry.operations.manual import ask_for_check

    with spoken_errors():
        settings = read_settings(**options)
        asked = on_database(
            settings, "operation check", lambda database: ask_for_check(database, operation_id)
        )
    if not asked:
        raise click.ClickException(
            "It has ended, was not asked for yet, or went through no gateway."
        )
    click.echo("the worker asks the processor within seconds; see: refundry operation list")
