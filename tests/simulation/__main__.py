"""python -m tests.simulation --seed N: replays a run; --seeds N: many; --forever: until stopped."""

import argparse
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from refundry.hosting import database_ready
from refundry.settings import Settings
from tests.simulation.faults import FAULTS, NONE, Fault
from tests.simulation.server import Server
from tests.simulation.trace import Show
from tests.simulation.world import CONNECTIONS, Run, Simulation


@contextmanager
def server_ready() -> Generator[tuple[Server, Settings]]:
    """A database server for simulations."""
    with tempfile.TemporaryDirectory(prefix="refundry-simulation-") as folder:
        settings = Settings(data_dir=Path(folder) / "data")
        with database_ready(settings, "the simulation", lambda _: None, exclusive=True):
            server = Server(settings, CONNECTIONS)
            try:
                yield server, settings
            finally:
                server.close()


def simulate(
    server: Server, settings: Settings, seed: int, fault: Fault = NONE, show: Show | None = None
) -> Run:
    """Run one seed. A failure names the seed, and the command that replays it."""
    try:
        return Simulation(server, settings, seed, fault, show).run()
    except BaseException as error:
        error.add_note(
            f"seed {seed}; replay: python -m tests.simulation --seed {seed}{_flag(fault)}"
        )
        raise


def _flag(fault: Fault) -> str:
    return "".join(f" --fault {name}" for name, known in FAULTS.items() if known is fault)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one, and show every step")
    parser.add_argument("--first", type=int, default=1, help="the first of many seeds")
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--forever", action="store_true", help="go on until stopped")
    parser.add_argument("--fault", choices=FAULTS, help="put in a fault, to see it found")
    parser.add_argument("--quiet", action="store_true", help="show no steps of a single seed")
    options = parser.parse_args()
    fault = FAULTS.get(options.fault, NONE)
    with server_ready() as (server, settings):
        if options.seed is not None:
            show = None if options.quiet else print
            print(simulate(server, settings, options.seed, fault, show))
            return
        first: int = options.first
        seeds: Iterator[int] = iter(range(first, first + options.seeds))
        with suppress(KeyboardInterrupt):
            _run_many(server, settings, count(first) if options.forever else seeds, fault)


def _run_many(server: Server, settings: Settings, seeds: Iterator[int], fault: Fault) -> None:
    begun = time.monotonic()
    steps = 0
    for done, seed in enumerate(seeds, 1):
        run = simulate(server, settings, seed, fault)
        steps += run.lines
        seconds = time.monotonic() - begun
        sys.stdout.write(
            f"\r{done} worlds in {seconds:.0f} s, the last of seed {seed}; {steps} steps, no fault "
        )
        sys.stdout.flush()
    print()


if __name__ == "__main__":
    main()
