"""What every command does around its work: options, settings, a database, errors in words."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from refundry.db.embedded import Held, StartFailed
from refundry.db.migrate import SchemaMismatch
from refundry.errors import NotFound, Refused
from refundry.settings import BadSettings, Settings, load_settings

T = TypeVar("T")
Command = Callable[..., Any]


def report(text: str) -> None:
    """Say something beside the command's own output."""
    click.echo(text, err=True)


@contextmanager
def spoken_errors() -> Generator[None]:
    """Expected ends as one sentence and an exit code, without a traceback."""
    from asyncpg import UndefinedTableError

    from refundry.access.commands import NameTaken
    from refundry.access.keys import KeyRefused
    from refundry.access.rights import AccessRefused
    from refundry.db.database import Unreachable
    from refundry.serving import PortTaken

    try:
        yield
    except NameTaken as error:
        raise click.ClickException(f"an account named {error} exists already") from error
    except PortTaken as error:
        raise click.ClickException(f"cannot listen on {error}") from error
    except (AccessRefused, KeyRefused) as error:
        raise click.ClickException(str(error)) from error
    except Refused as error:
        raise click.ClickException(_words(error)) from error
    except NotFound as error:
        raise click.ClickException(f"{error.noun} {error.object_id} not found".strip()) from error
    except (BadSettings, Held, StartFailed, SchemaMismatch) as error:
        raise click.ClickException(str(error)) from error
    except UndefinedTableError as error:
        raise click.ClickException(f"{error}; run: refundry migrate") from error
    except Unreachable as error:
        raise click.ClickException(f"the database cannot be reached: {error}") from error


def with_settings(command: Command) -> Command:
    """The options that every command takes."""
    options = [
        click.option("--data-dir", type=click.Path(path_type=Path), help="Where data is kept."),
        click.option("--database-url", help="An external PostgreSQL instead of the embedded one."),
    ]
    for option in options:
        command = option(command)
    return command


def read_settings(**overrides: object) -> Settings:
    """The settings in force; the log is set up after them. overrides: the command's options."""
    from refundry.logs import set_up_logs

    settings = load_settings(os.environ, overrides)
    set_up_logs(settings.log_level)
    return settings


def on_database(settings: Settings, command: str, work: Callable[[Any], Awaitable[T]]) -> T:
    """Run `work` on a database, whether the service runs or not."""
    from refundry.db.database import open_database
    from refundry.hosting import database_ready

    async def run() -> T:
        async with open_database(settings) as database:
            return await work(database)

    with database_ready(settings, f"refundry {command}", report):
        return asyncio.run(run())


def _words(error: Refused) -> str:
    """What the API would say."""
    import msgspec

    from refundry.http.problems import refused

    return msgspec.json.decode(refused(error.refusal).body)["errors"][0]["message"]
