"""The command `refundry user`."""

import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from refundry.command_line import on_database, read_settings, spoken_errors, with_settings
from refundry.errors import NotFound

if TYPE_CHECKING:
    from refundry.access.users import User

T = TypeVar("T")
_ROLES = ("administrator", "developer", "customer_service", "user_manager", "finance_manager")


@click.group()
def user() -> None:
    """People who sign in to the dashboard."""


@user.command("create")
@click.argument("email")
@click.option("--role", type=click.Choice(_ROLES), required=True)
@click.option("--name", help="Without it, the address up to its @.")
@click.option("--type", "kind", type=click.Choice(["client", "partner"]), default="client",
              show_default=True)  # fmt: skip
@click.option("--permission-set", type=click.Choice(["refunds"]),
              help="Make the user a member: `refunds` is for customer service.")  # fmt: skip
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--account", help="The account's name; without it, the first one.")
@with_settings
def user_create(
    email: str, role: str, name: str | None, kind: str, permission_set: str | None,
    password_stdin: bool, account: str | None, **options: Any,
) -> None:  # fmt: skip
    """Make a user. Without a password, prints the link that sets one."""
    from refundry.access.audit_log import COMMAND_LINE
    from refundry.access.commands import named_account
    from refundry.access.people import NewUser, create_user
    from refundry.access.rights import Role, UserType
    from refundry.access.store import find_account
    from refundry.clock import Clock
    from refundry.hosting import make_sandbox

    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None

    with spoken_errors():
        settings = read_settings(**options)

        async def run(database: Any) -> str | None:
            hashed = await _hashed(password)
            member = permission_set == "refunds"
            new = NewUser(email, Role(role), name, UserType(kind), member, hashed)
            if account is None and await find_account(database, None) is None:
                await make_sandbox(settings, database)
            account_id = await named_account(database, account)
            made = await create_user(database, COMMAND_LINE, account_id, new, Clock().now())
            return made.link_token

        token = on_database(settings, "user create", run)
    click.echo(_link(settings, token) if token else f"{email} can sign in.")


async def _hashed(password: str | None) -> str | None:
    """What to store of a password, if there is one. Raises AccessRefused."""
    from refundry.access.passwords import Passwords
    from refundry.access.rights import check_password

    if password is None:
        return None
    check_password(password)
    passwords = Passwords()
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()


@user.command("list")
@click.option("--account", help="The account's name; without it, the first one.")
@with_settings
def user_list(account: str | None, **options: Any) -> None:
    """List users by name: address, name, role, status, permission set, last sign-in."""
    from refundry.access.commands import named_account
    from refundry.access.users import UserFilter, list_users
    from refundry.clock import Clock

    async def run(database: Any) -> "list[User]":
        account_id = await named_account(database, account)
        now = Clock().now()
        found = await list_users(database, account_id, UserFilter(), now, limit=1_000_000)
        return found.users

    with spoken_errors():
        found = on_database(read_settings(**options), "user list", run)
    for each in found:
        click.echo("\t".join(_columns(each)))


def _columns(user: "User") -> list[str]:
    from refundry.access.rights import ROLE_LABELS, STATUS_LABELS
    from refundry.http.document import seconds

    last = user.last_sign_in_at
    return [
        user.email,
        user.name,
        ROLE_LABELS[user.role],
        STATUS_LABELS[user.status],
        "refunds" if user.in_refund_set else "-",
        seconds(last) if last else "never",
    ]


@user.command("link")
@click.argument("email")
@click.option("--reset-totp", is_flag=True, help="Ask for no codes any more: the app is lost.")
@with_settings
def user_link(email: str, reset_totp: bool, **options: Any) -> None:
    """Print a new link that sets a user's password; the old password ends at once."""
    from refundry.access.audit_log import COMMAND_LINE
    from refundry.access.people import make_password_link

    async def run(database: Any, user: "User", now: datetime) -> str:
        return await make_password_link(
            database, COMMAND_LINE, user.account_id, user.id, now, reset_totp=reset_totp
        )

    token = _on_user(options, "link", email, run)
    click.echo(_link(read_settings(**options), token))


@user.command("suspend")
@click.argument("email")
@with_settings
def user_suspend(email: str, **options: Any) -> None:
    """Keep a user out, at once."""
    from refundry.access.audit_log import COMMAND_LINE
    from refundry.access.people import suspend_user

    async def run(database: Any, user: "User", now: datetime) -> None:
        await suspend_user(database, COMMAND_LINE, user.account_id, user.id, now)

    _on_user(options, "suspend", email, run)
    click.echo(f"{email} is suspended.")


def _on_user(
    options: dict[str, Any],
    command: str,
    email: str,
    work: Callable[[Any, "User", datetime], Awaitable[T]],
) -> T:
    """Run `work` on a database, the user with an address, and real time."""
    from refundry.access.users import find_user_by_email
    from refundry.clock import Clock

    async def run(database: Any) -> T:
        now = Clock().now()
        found = await find_user_by_email(database, email, now)
        if found is None:
            raise NotFound("User", email)
        return await work(database, found, now)

    with spoken_errors():
        return on_database(read_settings(**options), f"user {command}", run)


def _link(settings: Any, token: str) -> str:
    from refundry.access.links import link_address

    return link_address(settings.public_address(), token)
