"""Makes sure that a database is there for a command, started by it or by another process."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager

import asyncpg

from refundry.access import commands as access
from refundry.access import store as access_store
from refundry.access.audit_log import SYSTEM
from refundry.access.people import NewUser, create_user
from refundry.access.rights import Role
from refundry.access.users import has_users
from refundry.clock import Clock
from refundry.db import embedded
from refundry.db.database import Database, connect_arguments, open_database
from refundry.db.limits import Pools, allowed_connections, fitting
from refundry.db.migrate import migrate
from refundry.operations.samples import make_samples
from refundry.sealing import open_vault
from refundry.settings import BadSettings, Settings
from refundry.worker import open_worker

Report = Callable[[str], None]
_ATTACH_SECONDS = 10.0
SANDBOX = "Sandbox"


@contextmanager
def database_ready(
    settings: Settings,
    command: str,
    report: Report,
    *,
    exclusive: bool = False,
    up_to_date: bool = True,
) -> Generator[embedded.Server | None]:
    """A database for as long as the block runs, with its schema brought up to date if it is ours.

    Gives the embedded server if this process started it. exclusive: fail rather than use one
    that another process runs. up_to_date: if not, the schema stays as it is.
    Raises embedded.Held, embedded.StartFailed.
    """
    if settings.database_url:
        asyncio.run(_check_external(settings))
        yield None
        return
    if not exclusive and embedded.attach(settings.data_dir, timeout_seconds=_ATTACH_SECONDS):
        yield None
        return
    server = embedded.start(
        settings.data_dir, command=command, os_user=settings.postgres_user, report=report
    )
    try:
        if up_to_date:
            bring_up_to_date(settings, report)
        yield server
    finally:
        server.stop()


def bring_up_to_date(settings: Settings, report: Report) -> None:
    """Apply what migrations are missing."""
    asyncio.run(_bring_up_to_date(settings, report))


async def _bring_up_to_date(settings: Settings, report: Report) -> None:
    connection = await asyncpg.connect(**connect_arguments(settings))
    try:
        await migrate(connection, report)
        await _check_encryption_key(connection, settings)
    finally:
        await connection.close()


async def _check_external(settings: Settings) -> None:
    """Check the encryption key against an external database that holds one already."""
    connection = await asyncpg.connect(**connect_arguments(settings))
    try:
        if await connection.fetchval("SELECT to_regclass('facts')") is not None:
            await _check_encryption_key(connection, settings)
    finally:
        await connection.close()


def fit_pools(settings: Settings, pools: Pools) -> Settings:
    """The settings with pools that the database has connections for. Raises BadSettings.

    Behind pgbouncer it is not the database's limit that counts, so nothing is changed.
    """

    async def run() -> Settings:
        connection = await asyncpg.connect(**connect_arguments(settings))
        try:
            return fitting(settings, pools, await allowed_connections(connection))
        finally:
            await connection.close()

    return settings if settings.pgbouncer else asyncio.run(run())


async def _check_encryption_key(
    connection: "asyncpg.Connection[asyncpg.Record]", settings: Settings
) -> None:
    """Refuse a key that cannot open what this database holds, before anything needs it."""
    prints = open_vault(settings).fingerprints
    stored = await connection.fetchval("SELECT value FROM facts WHERE name = 'encryption_key'")
    if stored is None or (stored != prints[0] and stored in prints):
        await connection.execute(
            """
            INSERT INTO facts (name, value) VALUES ('encryption_key', $1)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value
            """,
            prints[0],
        )
    elif stored not in prints:
        raise BadSettings(
            "REFUNDRY_ENCRYPTION_KEY is not the key that this database was made with; "
            "put the new key first and keep the old one behind it: new,old"
        )


async def sandbox_secret(settings: Settings, report: Report) -> str | None:
    """The sandbox's secret test key; the first time, with no account yet, make the sandbox."""
    async with open_database(settings) as database:
        if await access_store.find_account(database, None) is None:
            report("making the sandbox account and its sample orders")
            await make_sandbox(settings, database)
        sealed = await access_store.sandbox_secret(database)
        return open_vault(settings).open(sealed) if sealed else None


async def invite_first_administrator(settings: Settings) -> str | None:
    """Give the sandbox its administrator; gives the token of the link, the first time only.

    Raises AccessRefused for an `admin_email` that is no address.
    """
    async with open_database(settings) as database:
        account_id = await access_store.find_account(database, SANDBOX)
        if account_id is None or await has_users(database, account_id):
            return None
        new = NewUser(settings.admin_email, Role.ADMINISTRATOR, "Administrator")
        return (await create_user(database, SYSTEM, account_id, new, Clock().now())).link_token


async def make_sandbox(settings: Settings, database: Database) -> str:
    """Make the sandbox account and its sample orders; gives the account's id."""
    clock = Clock()
    opened = await access.open_account(
        database, SANDBOX, now=clock.now(), vault=open_vault(settings)
    )
    async with open_worker(settings, database) as worker:
        await make_samples(worker, opened.account_id)
    return opened.account_id
