"""Runs the command `refundry` to its end, and SQL past it."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
from click.testing import CliRunner

from refundry.cli import cli
from refundry.db.database import connect_arguments
from refundry.settings import Settings
from tests.support.service import environment

COMMAND_SECONDS = 60.0
Done = subprocess.CompletedProcess[str]


def refundry(
    *arguments: str,
    data_dir: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    folder: Path | None = None,
    stdin: str | None = None,
) -> Done:
    """Run a command and wait. folder: where it runs, and looks for its refundry.toml."""
    where = ["--data-dir", str(data_dir)] if data_dir else []
    return subprocess.run(
        [sys.executable, "-m", "refundry", *arguments, *where],
        cwd=folder or data_dir,
        env=environment(env or {}),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def refundry_inside(
    *arguments: str, env: Mapping[str, str] | None = None, folder: Path | None = None
) -> Done:
    """The same within this process: quick, for what ends before anything is started."""
    hidden: dict[str, str | None] = {n: None for n in os.environ if n.startswith("REFUNDRY_")}
    with contextlib.chdir(folder or Path.cwd()):
        result = CliRunner().invoke(cli, arguments, env={**hidden, **(env or {})})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return Done(list(arguments), result.exit_code, result.stdout, result.stderr)


def said(done: Done, code: int = 0) -> str:
    """Standard output of a command that must have ended with `code`, and without a traceback."""
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout.strip()


def complaint(done: Done, code: int = 1) -> str:
    """The last line on standard error of a command that must have failed with `code`."""
    said(done, code)
    return done.stderr.strip().splitlines()[-1]


def run_sql(data_dir: Path, statement: str, *arguments: Any) -> list[Any]:
    """The rows of a statement on the database of a running service."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(**connect_arguments(Settings(data_dir=data_dir)))
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    return asyncio.run(run())
