"""python -m tests.stress queue: interleavings of the queue; refunds: requests to a service."""

import argparse
import faulthandler
import sys
import time
from collections import Counter

from tests.stress.queue_faults import FAULTS, NONE, Fault
from tests.stress.queue_model import EPOCH_OPERATIONS, run_epoch
from tests.stress.refunds import stress_refunds

# An epoch takes a fraction of a second.
_STUCK_SECONDS = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.stress", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    queue = commands.add_parser("queue", help="random interleavings of the pure queue")
    queue.add_argument("--operations", type=int, default=10_000_000)
    queue.add_argument("--seed", type=int, default=1)
    queue.add_argument("--epoch", type=int, help="replay this one, and show every step")
    queue.add_argument("--fault", choices=FAULTS, help="put in a fault, to see it found")
    refunds = commands.add_parser("refunds", help="requests over HTTP to a service of its own")
    refunds.add_argument("--count", type=int, default=200_000)
    refunds.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.command == "refunds":
        _stress_refunds(options.count, options.seed)
        return
    fault = FAULTS.get(options.fault, NONE)
    if options.epoch is not None:
        run_epoch(options.seed, options.epoch, fault, print)
        return
    _stress_queue(options.operations, options.seed, fault)


def _stress_queue(operations: int, seed: int, fault: Fault) -> None:
    begun = time.monotonic()
    counts: Counter[str] = Counter()
    epochs = -(-operations // EPOCH_OPERATIONS)
    for epoch in range(epochs):
        faulthandler.dump_traceback_later(_STUCK_SECONDS, exit=True)
        counts += run_epoch(seed, epoch, fault)
        if epoch % 20 == 19 or epoch == epochs - 1:
            _say(
                f"{(epoch + 1) * EPOCH_OPERATIONS:,} of {operations:,} operations in"
                f" {time.monotonic() - begun:.0f} s, no fault"
            )
    faulthandler.cancel_dump_traceback_later()
    print()
    _print_counts(counts)


def _stress_refunds(count: int, seed: int) -> None:
    report = stress_refunds(count, seed, _say)
    print()
    _print_counts(report.counts)
    print(
        f"{count} requests in {report.seconds:.0f} s, the slowest answer after"
        f" {report.slowest_seconds:.2f} s, none without; {report.created} refunds were told and are"
        f" there once, {report.written_unheard} more are of clients that had hung up; groups split:"
        f" {report.splits}; the audit finds nothing"
    )


def _print_counts(counts: Counter[str]) -> None:
    for what, count in sorted(counts.items()):
        print(f"  {what:<32}{count:>12,}")


def _say(text: str) -> None:
    """On one line that is written over, or a line each where nobody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
    else:
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
