"""What the API log takes of `POST /refunds`: two services on one database, one without it."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bench.loads import run_client
from bench.measures import Measure
from bench.plan import CLIENTS, LOGGED, UNLOGGED, Options, Part, Step
from bench.processes import processor_seconds
from bench.sides import Side
from bench.stage import BenchFailed, Service

# The writer looks every half second; what it does after the last answer counts as well.
_AFTER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ApiLogBench:
    """services: by side. postgres: the server's process. sides: what came of them so far."""

    options: Options
    key: str
    services: Mapping[str, Service]
    postgres: int
    sides: dict[str, Side] = field(default_factory=lambda: {LOGGED: Side(), UNLOGGED: Side()})

    def load(self, step: Step) -> None:
        """Take one step: the same load on one of the services."""
        side, service = self.sides[step.side], self.services[step.side]
        postgres = processor_seconds(self.postgres)
        own = processor_seconds(service.pid)
        answers = run_client(
            Part.REFUNDS,
            port=service.port,
            key=self.key,
            orders=self.options.orders,
            clients=step.clients,
            seconds=self.options.seconds,
        )
        time.sleep(_AFTER_SECONDS)
        side.postgres_seconds += processor_seconds(self.postgres) - postgres
        side.service_seconds += processor_seconds(service.pid) - own
        side.client_seconds += answers.processor_seconds
        side.requests += answers.all
        side.rates.append(len(answers.micros) / self.options.seconds)

    def check(self, logged: int) -> None:
        """Every call of the one side is in the log, and none of the other. Raises BenchFailed."""
        if logged != self.sides[LOGGED].requests:
            raise BenchFailed(f"{self.sides[LOGGED].requests} calls, {logged} in the API log")


def compare_logs(sides: Mapping[str, Side]) -> Iterator[Measure]:
    """Refunds with the log over refunds without; then processor time, the other way round, so
    that less than 1 is worse in each. The client's time is counted: it shares the cores."""
    name = f"refunds_{CLIENTS[-1]}"
    logged, alone = sides[LOGGED], sides[UNLOGGED]
    yield Measure(f"{name}_with_log", logged.rate, "refunds/s", logged.rate / alone.rate)
    yield Measure(f"{name}_without_log", alone.rate, "refunds/s", 1.0)
    for who, with_log in _micros(logged).items():
        without = _micros(alone)[who]
        yield Measure(f"{name}_with_log_cpu_{who}", with_log, "us/request", without / with_log)


def _micros(side: Side) -> dict[str, float]:
    """Processor time a request, of each and of all together."""
    all_seconds = side.service_seconds + side.postgres_seconds + side.client_seconds
    return {
        "service": side.micros_each(side.service_seconds),
        "postgres": side.micros_each(side.postgres_seconds),
        "all": side.micros_each(all_seconds),
    }
