"""How fast exported orders are imported, beside COPY of the very rows that came of it."""

import asyncio
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from bench.bulk import Connection
from bench.measures import Measure
from bench.plan import IMPORTED, TIMES_IMPORTED, Part
from bench.processes import descendants, memory, processor_seconds
from bench.scene import Scene, on_connection
from bench.stage import BenchFailed
from refundry.access.commands import open_account
from refundry.db.database import connect_arguments, open_database
from refundry.importing.samples import sample_orders
from refundry.tenant import Tenant

# As many as the import has processes on the machine that the figures are of.
_LANES = 2
_LOOK_SECONDS = 0.25
_MIB = 1024 * 1024
# Each after those that it refers to.
_TABLES = {"orders": "id", "order_lines": "order_id", "charges": "order_id",
           "charge_operations": "order_id"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Imported:
    """A run of the command. seconds: from its exec to its end; peak: bytes of its processes."""

    seconds: float
    early_peak: int
    peak: int
    postgres_seconds: float
    own_seconds: float


@dataclass(frozen=True, slots=True)
class _Copied:
    """COPY of the same rows."""

    seconds: float
    postgres_seconds: float


def measure_import(scene: Scene) -> Iterator[Measure]:
    """The command over a file of samples; then COPY of its rows, for another account."""
    if Part.IMPORT not in scene.options.parts:
        return
    count = scene.options.orders * TIMES_IMPORTED
    imported, copied = None, _Copied(1.0, 0.0)
    with scene.server() as server:
        assert server is not None
        for step in scene.begin(Part.IMPORT):
            if step.side == IMPORTED:
                imported = _import(scene, server.pid, count)
            else:
                copied = _copy(scene, server.pid, count)
    assert imported is not None
    rate, alone = count / imported.seconds, count / copied.seconds
    yield Measure("import", rate, "orders/s", rate / alone)
    yield Measure("import_copy_alone", alone, "orders/s", 1.0)
    yield Measure("import_cpu", imported.own_seconds * 1e6 / count, "us/order")
    ours, theirs = imported.postgres_seconds * 1e6 / count, copied.postgres_seconds * 1e6 / count
    yield Measure("import_cpu_postgres", ours, "us/order", ours / theirs)
    yield Measure("import_cpu_postgres_alone", theirs, "us/order")
    yield Measure("import_memory", imported.peak / _MIB, "MiB", imported.peak / imported.early_peak)


def _account(scene: Scene, name: str) -> Tenant:
    async def run() -> Tenant:
        async with open_database(scene.stage.settings) as database:
            opened = await open_account(database, name, now=datetime.now(UTC))
            return Tenant(opened.account_id, live=False)

    return asyncio.run(run())


def _import(scene: Scene, server: int, count: int) -> _Imported:
    """Run the command; early_peak is what it took in the first third of the time."""
    tenant = _account(scene, "Import")
    file = scene.folder / "orders.jsonl"
    with file.open("wb") as lines:
        lines.writelines(sample_orders(count, seed=1))
    on_connection(scene.stage, lambda connection: connection.execute("CHECKPOINT"))
    postgres = processor_seconds(server)
    begun = time.perf_counter()
    peaks: list[int] = []
    own = 0.0
    with scene.stage.command("import", str(file), "--account", "Import") as process:
        while process.poll() is None:
            pids = descendants(process.pid)
            peaks.append(_memory(pids))
            own = max(own, processor_seconds(process.pid))
            time.sleep(_LOOK_SECONDS)
    seconds = time.perf_counter() - begun
    written = on_connection(
        scene.stage,
        lambda connection: connection.fetchval(
            "SELECT count(*) FROM orders WHERE account_id = $1", tenant.account_id
        ),
    )
    if process.returncode != 0 or written != count:
        raise BenchFailed(f"{written} of {count} orders imported, exit {process.returncode}")
    early = max(peaks[: len(peaks) // 3 + 1])
    return _Imported(seconds, early, max(peaks), processor_seconds(server) - postgres, own)


def _memory(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        try:
            total += memory(pid).pss
        except (OSError, IndexError):
            continue  # ended meanwhile
    return total


def _copy(scene: Scene, server: int, count: int) -> _Copied:
    """COPY of the rows of all imported orders, in two lanes."""
    tenant = _account(scene, "Copy")

    async def run() -> _Copied:
        lanes = [await asyncpg.connect(**connect_arguments(scene.stage.settings, 600))
                 for _ in range(_LANES)]  # fmt: skip
        rows = [await _rows(lanes[0], tenant, lane) for lane in range(_LANES)]
        await lanes[0].execute("CHECKPOINT")
        begun, postgres = time.perf_counter(), processor_seconds(server)
        await asyncio.gather(*map(_fill, lanes, rows))
        seconds = time.perf_counter() - begun
        postgres = processor_seconds(server) - postgres
        copied = await lanes[0].fetchval(
            "SELECT count(*) FROM orders WHERE account_id = $1", tenant.account_id
        )
        for lane in lanes:
            await lane.close()
        if copied != count:
            raise BenchFailed(f"{copied} of {count} orders copied")
        return _Copied(seconds, postgres)

    return asyncio.run(run())


_Rows = list[tuple[str, list[str], bytes]]


async def _rows(connection: Connection, tenant: Tenant, lane: int) -> _Rows:
    """Table, columns and binary rows of every other imported order, as if of `tenant`."""
    found: _Rows = []
    for table, order_id in _TABLES.items():
        columns = [
            row["column_name"]
            for row in await connection.fetch(
                """
                SELECT column_name FROM information_schema.columns
                 WHERE table_schema = 'public' AND table_name = $1 AND is_identity = 'NO'
                   AND column_name <> 'account_id'
                 ORDER BY ordinal_position
                """,
                table,
            )
        ]
        output = io.BytesIO()
        await connection.copy_from_query(
            f"SELECT $1::text, {', '.join(columns)} FROM {table} t"
            f" WHERE account_id = (SELECT id FROM accounts WHERE name = 'Import')"
            f" AND abs(hashtext({order_id})) % {_LANES} = $2::integer ORDER BY t.ctid",
            tenant.account_id, lane,
            output=output, format="binary",
        )  # fmt: skip
        found.append((table, ["account_id", *columns], output.getvalue()))
    return found


async def _fill(connection: Connection, rows: _Rows) -> None:
    for table, columns, content in rows:
        await connection.copy_to_table(
            table, source=io.BytesIO(content), columns=columns, format="binary"
        )
