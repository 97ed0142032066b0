"""`manage.py refundry_worker`: tells Refundry of orders, and works off what comes back."""

import logging
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections
from django.utils import timezone

from refundry_sync.oscar import outbox
from refundry_sync.oscar.synchronising import client, synchroniser

_log = logging.getLogger("refundry_sync.oscar")
# Rows are missed only where a process died, so they are looked for seldom.
_TURNS_BETWEEN_SEARCHES = 60


class Command(BaseCommand):
    help = "Keep the shop's orders and Refundry's refunds in step, until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--pause", type=float, default=1.0, help="Seconds between turns.")
        parser.add_argument("--once", action="store_true", help="Do what is due, and end.")

    def handle(self, *_: Any, **options: Any) -> None:
        stopping = threading.Event()
        if options["once"]:
            _turn(0)
            synchroniser().process_due(timezone.now())
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: stopping.set())
        loops = threading.Thread(target=synchroniser().run_loops, args=(stopping,), daemon=True)
        loops.start()
        turns = 0
        while not stopping.is_set():
            _turn(turns)
            turns += 1
            stopping.wait(options["pause"])
        loops.join(10)


def _turn(number: int) -> None:
    """A turn that fails is logged, and the next one tries again: nobody else would."""
    close_old_connections()
    try:
        if number % _TURNS_BETWEEN_SEARCHES == 0:
            outbox.find_missed(timezone.now())
        outbox.send_due(client(), timezone.now())
    except Exception:
        _log.exception("a turn failed")
