"""The sides of a load, over HTTP and PostgreSQL alone, and what comes of comparing them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bench.measures import Measure, percentile
from bench.plan import CLIENTS, HTTP, Part

_UNITS = {Part.REFUNDS: "refunds/s", Part.ORDERS: "reads/s"}


@dataclass(slots=True)
class Side:
    """What one side did in all its rounds. rates: per second, one a round. micros: of each answer.

    requests: warm-ups included, and so are the processors' seconds.
    """

    rates: list[float] = field(default_factory=list[float])
    micros: list[int] = field(default_factory=list[int])
    requests: int = 0
    postgres_seconds: float = 0.0
    service_seconds: float = 0.0
    client_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Per second, over all rounds, which are equally long."""
        return sum(self.rates) / len(self.rates)

    def micros_each(self, seconds: float) -> float:
        """Some seconds of processor time, as microseconds a request."""
        return seconds * 1e6 / self.requests


def compare(part: Part, clients: int, sides: Mapping[str, Side]) -> Iterator[Measure]:
    """The measures of one load with so many clients; the reference is the best pgbench form."""
    name = f"{part}_{clients}"
    http = sides[HTTP]
    forms = {form: side for form, side in sides.items() if form != HTTP}
    alone = max(forms.values(), key=lambda side: side.rate)
    yield Measure(name, http.rate, _UNITS[part], http.rate / alone.rate)
    for form, side in forms.items():
        yield Measure(f"{name}_alone_{form}", side.rate, _UNITS[part], side.rate / alone.rate)
    yield Measure(f"{name}_p50", percentile(http.micros, 50) / 1000, "ms")
    yield Measure(f"{name}_p99", percentile(http.micros, 99) / 1000, "ms")
    if clients == CLIENTS[-1]:
        yield from _processor_time(name, http, alone)


def _processor_time(name: str, http: Side, alone: Side) -> Iterator[Measure]:
    """Where a request's time goes; steadier than the rates when others use the machine too."""
    ours = http.micros_each(http.postgres_seconds)
    theirs = alone.micros_each(alone.postgres_seconds)
    unit = "us/request"
    yield Measure(f"{name}_cpu_service", http.micros_each(http.service_seconds), unit)
    yield Measure(f"{name}_cpu_postgres", ours, unit, ours / theirs)
    yield Measure(f"{name}_cpu_postgres_alone", theirs, unit)
    yield Measure(f"{name}_cpu_client", http.micros_each(http.client_seconds), unit)
