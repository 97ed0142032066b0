"""Runs the programs that come with the embedded server: pg_dump and pg_restore."""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from refundry.backup.archive import CHUNK_BYTES, BackupFailed, Sink
from refundry.db.embedded import address
from refundry.db.embedded_cluster import CLUSTER_FOLDER, installed_programs
from refundry.settings import Settings

_JOBS = min(4, os.cpu_count() or 1)


async def dump(settings: Settings, snapshot: str, sink: Sink) -> None:
    """Write what `snapshot` shows of the database, in PostgreSQL's custom format.

    snapshot: as pg_export_snapshot() names it, its transaction still open. Raises BackupFailed.
    """
    options = ["--format=custom", f"--snapshot={snapshot}", "--no-owner", "--no-privileges"]
    async with _running(settings, "pg_dump", options) as child:
        assert child.stdout
        while chunk := await child.stdout.read(CHUNK_BYTES):
            sink.write(chunk)


async def load(settings: Settings, dumped: Path) -> None:
    """Load a dump into the empty database, stopping at the first error.

    dumped: an absolute path. Raises BackupFailed.
    """
    options = ["--dbname=refundry", "--exit-on-error", "--no-owner", "--no-privileges"]
    options += [f"--jobs={_JOBS}", str(dumped)]
    async with _running(settings, "pg_restore", options):
        pass


@asynccontextmanager
async def _running(
    settings: Settings, program: str, options: Sequence[str]
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A program on the server of the data directory; it is over when the block is left.

    It runs in the server's folder, so that the socket's name is short enough wherever that is.
    Raises BackupFailed where it says no.
    """
    where = address(settings.data_dir)
    with tempfile.TemporaryFile() as errors:
        child = await asyncio.create_subprocess_exec(
            installed_programs() / program,
            "--no-password",
            *options,
            cwd=settings.data_dir / CLUSTER_FOLDER,
            # No PG* variable of ours may change it, and none of its own is seen by others.
            env={
                "PATH": os.defpath,
                "LC_ALL": "C",
                "PGHOST": "/proc/self/cwd",
                "PGPORT": str(where.port),
                "PGUSER": where.user,
                "PGPASSWORD": where.password,
                "PGDATABASE": where.database,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
        try:
            yield child
            code = await child.wait()
        finally:
            await _end(child)
        if code != 0:
            raise BackupFailed(f"{program} failed ({code}): {_last_line(errors)}")


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.kill()
        await child.wait()


def _last_line(errors: IO[bytes]) -> str:
    """What it said last; a detail of it may quote a row, which is not for a screen."""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").splitlines()
    told = [line for line in lines if "error:" in line]
    return (told or lines or ["it did not say why"])[-1]
