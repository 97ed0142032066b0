"""The commands `refundry backup` and `refundry restore`."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from refundry.command_line import read_settings, report, spoken_errors, with_settings


@contextmanager
def _whole_or_not_at_all() -> Generator[None]:
    """Ends in words; and SIGTERM ends the block as Ctrl-C does, so that it can clear away."""
    from refundry.backup.archive import BackupFailed, BadBackup

    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with spoken_errors():
            yield
    except (BackupFailed, BadBackup) as error:
        raise click.ClickException(str(error)) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C would do right now: an event loop cancels its task, and is not torn apart."""
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)
    else:  # of a job in the background, which Ctrl-C is not for
        raise KeyboardInterrupt


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--without-key", is_flag=True, help="Leave the encryption key out.")
@with_settings
def backup(target: Path, without_key: bool, **options: object) -> None:
    """Back the embedded database up, as it runs, into the file TARGET or a new one in a folder."""
    from refundry.backup.making import make_backup

    with _whole_or_not_at_all():
        settings = read_settings(**options)
        made = make_backup(settings, target, with_key=not without_key, report=report)
    click.echo(f"{made.path}: {_counts(made.manifest.rows)}.")
    report(
        "It holds the encryption key: keep it as safe as the data."
        if made.has_key
        else "It does not hold the encryption key, without which sealed values cannot be read: "
        "keep the key apart."
    )


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--force", type=click.Path(path_type=Path), metavar="DIRECTORY",
              help="Replace this data directory; it is kept aside.")  # fmt: skip
@click.option("--check-only", is_flag=True, help="Restore into a folder that is then removed.")
@with_settings
def restore(source: Path, force: Path | None, check_only: bool, **options: object) -> None:
    """Restore the backup SOURCE as a new data directory, and audit it before it is put in place."""
    from refundry.backup.restoring import restore_backup

    with _whole_or_not_at_all():
        settings = read_settings(**options)
        if settings.database_url:
            raise click.ClickException("restore is for the embedded database; see docs/backup.md")
        done = restore_backup(settings, source, force=force, check_only=check_only, report=report)
    if done.aside:
        report(f"What was there is kept as {done.aside}.")
    where = "The backup can be restored" if check_only else f"Restored into {settings.data_dir}"
    click.echo(
        f"{where}: {_counts(done.manifest.rows)}, as of"
        f" {done.manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC;"
        f" {done.audited_orders} orders audited, all add up."
    )


def _counts(rows: dict[str, int]) -> str:
    return ", ".join(f"{rows.get(name, 0)} {name}" for name in ("orders", "refunds", "events"))
