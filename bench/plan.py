"""Which steps a run takes, in which order, and about how long each will be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """What `--only` may name."""

    CLIENT = "client"
    START = "start"
    REFUNDS = "refunds"
    ORDERS = "orders"
    MEMORY = "memory"
    DELIVERIES = "deliveries"
    ARRIVAL = "arrival"
    SUBSCRIPTION = "subscription"
    SETTLEMENT = "settlement"
    API_LOG = "api_log"
    SCALE = "scale"
    OVERLOAD = "overload"
    IMPORT = "import"


# A whole run is to end while one waits for it; the others are asked for by name.
USUAL = frozenset(Part) - {Part.API_LOG, Part.SCALE, Part.OVERLOAD, Part.IMPORT}
LOADS = (Part.REFUNDS, Part.ORDERS)
CLIENTS = (1, 8, 32)
STARTS = 5

HTTP = "http"
OWN = "own"
PLAIN = "plain"

# Who does a load: the service over HTTP, or pgbench alone, with the service's own statements or
# with the plain form of bench/plain.sql.
SIDES = {Part.REFUNDS: (PLAIN, OWN, HTTP), Part.ORDERS: (OWN, HTTP)}

# What webhooks cost: the worker beside a plain loop of the same HTTP client; refunds with a
# subscribed webhook beside refunds without.
WORKER = "worker"
PLAIN_LOOP = "plain loop"
SUBSCRIBED = "with a webhook"
UNSUBSCRIBED = "without a webhook"
EVENTS_PER_SECOND = 100
# What the API log costs, in more rounds than others: it is a matter of hundredths.
LOGGED = "with the log"
UNLOGGED = "without the log"
LOG_ROUNDS = 4

# Where PostgreSQL runs, and how many API processes there are before it.
EMBEDDED = "embedded"
EXTERNAL = "external"
POOLED = "pgbouncer"
PROCESSES = (1, 2)

# Offered: so many times what can be sustained, over so many connections.
TIMES_TOO_MUCH = 5
CROWD = 512
SUSTAINED = "sustained"
FLOODED = "flooded"
AFTERWARDS = "afterwards"

# The backlog of refunds that are not settled is watched for so many times the length of a load.
SETTLED_SECONDS = 10
# First the peak is found by the API alone.
PEAK = "peak"
HALF = "half of the peak"

# Orders of an export are imported, ten for each that is laid; then COPY writes the same rows.
TIMES_IMPORTED = 10
IMPORTED = "refundry import"
COPIED = "COPY of its rows"

# Each load is measured in two rounds, the second in the opposite order, so that a machine that
# gets slower or faster meanwhile does so for all sides.
ROUNDS = 2

# Before anything counts: connections are made, statements prepared, caches filled.
WARM_SECONDS = 1.0

_WHO = {
    HTTP: "over HTTP",
    OWN: "PostgreSQL alone, own form",
    PLAIN: "PostgreSQL alone, plain form",
}

# What a load costs besides: the checkpoint before it, the start of its processes.
_EXTRA_SECONDS = 1.0
_LAID_PER_SECOND = 1500
_START_SECONDS = 2.0
# To settle the refunds of a second takes about so many.
_SETTLED_AFTER = 2.0
_SET_UP_SECONDS = 5.0
_IMPORTED_PER_SECOND = 1500


@dataclass(frozen=True, slots=True)
class Options:
    """seconds: of each measured load. parts: those that were asked for. places: where PostgreSQL
    can run on this machine."""

    seconds: float
    orders: int
    parts: frozenset[Part]
    places: tuple[str, ...] = (EMBEDDED, EXTERNAL)


@dataclass(frozen=True, slots=True)
class Step:
    """One step. part None: it prepares the others. side: who does it, where it is a load."""

    title: str
    seconds: float
    part: Part | None = None
    clients: int = 0
    side: str = ""


def plan_steps(options: Options) -> list[Step]:
    """Every step of a run, in order."""
    steps = [Step("start PostgreSQL and the service, take one order in", _SET_UP_SECONDS)]
    steps.append(Step(f"lay {options.orders} orders", options.orders / _LAID_PER_SECOND))
    if Part.CLIENT in options.parts:
        seconds = options.seconds + _EXTRA_SECONDS
        steps.append(Step("the client against a trivial server", seconds, Part.CLIENT, CLIENTS[-1]))
    if Part.START in options.parts:
        steps += [
            Step(f"cold start {n + 1} of {STARTS}", _START_SECONDS, Part.START)
            for n in range(STARTS)
        ]
    steps += _webhook_steps(options)
    steps += _settlement_steps(options)
    steps += _log_steps(options)
    loads = [part for part in LOADS if part in options.parts]
    steps += _load_steps(loads, options.seconds)
    steps += _scale_steps(options)
    steps += _overload_steps(options)
    if Part.IMPORT in options.parts:
        cost = options.orders * TIMES_IMPORTED / _IMPORTED_PER_SECOND
        steps += [
            Step(f"import: {side}", cost, Part.IMPORT, 0, side) for side in (IMPORTED, COPIED)
        ]
    if Part.MEMORY in options.parts:
        seconds = 2 * (options.seconds + WARM_SECONDS) + _START_SECONDS
        steps.append(Step("memory of `refundry serve` under load", seconds, Part.MEMORY))
    return steps


def _webhook_steps(options: Options) -> Iterator[Step]:
    cost = WARM_SECONDS + options.seconds + _EXTRA_SECONDS
    if Part.DELIVERIES in options.parts:
        yield from _side_steps(Part.DELIVERIES, (WORKER, PLAIN_LOOP), cost, ROUNDS)
    if Part.ARRIVAL in options.parts:
        title = f"arrival of events at {EVENTS_PER_SECOND} a second"
        yield Step(title, cost + _START_SECONDS, Part.ARRIVAL)
    if Part.SUBSCRIPTION in options.parts:
        yield from _side_steps(Part.SUBSCRIPTION, (SUBSCRIBED, UNSUBSCRIBED), cost, ROUNDS)


def _scale_steps(options: Options) -> Iterator[Step]:
    if Part.SCALE not in options.parts:
        return
    laid = options.orders / _LAID_PER_SECOND
    yield Step("a PostgreSQL on a port, and its orders", _SET_UP_SECONDS + laid, Part.SCALE)
    cost = WARM_SECONDS + options.seconds + _EXTRA_SECONDS + _START_SECONDS
    sides = [scale_side(place, count) for place in options.places for count in PROCESSES]
    yield from _side_steps(Part.SCALE, sides, cost, ROUNDS)


def scale_side(place: str, processes: int) -> str:
    """The name of a side: where the database runs, and how many API processes there are."""
    return f"{place}_{processes}"


def _overload_steps(options: Options) -> Iterator[Step]:
    if Part.OVERLOAD in options.parts:
        cost = WARM_SECONDS + options.seconds + _EXTRA_SECONDS
        for side in (SUSTAINED, FLOODED, AFTERWARDS):
            yield Step(f"overload: {side}", cost, Part.OVERLOAD, CLIENTS[-1], side)


def _settlement_steps(options: Options) -> Iterator[Step]:
    if Part.SETTLEMENT in options.parts:
        cost = WARM_SECONDS + options.seconds + _EXTRA_SECONDS
        settled = _SETTLED_AFTER * (WARM_SECONDS + options.seconds)
        title = "refunds, created at the peak rate, then settled"
        yield Step(title, cost + settled, Part.SETTLEMENT, CLIENTS[-1], PEAK)
        cost = WARM_SECONDS + options.seconds * SETTLED_SECONDS + _START_SECONDS
        title = "refunds, created at half of it while a worker settles"
        yield Step(title, cost, Part.SETTLEMENT, CLIENTS[-1], HALF)


def _log_steps(options: Options) -> Iterator[Step]:
    if Part.API_LOG in options.parts:
        cost = WARM_SECONDS + options.seconds + _EXTRA_SECONDS
        yield from _side_steps(Part.API_LOG, (LOGGED, UNLOGGED), cost, LOG_ROUNDS)


def _side_steps(part: Part, sides: Sequence[str], cost: float, rounds: int) -> Iterator[Step]:
    for number in range(rounds):
        for side in sides if number % 2 == 0 else sides[::-1]:
            yield Step(f"{part}, {side}, round {number + 1}", cost, part, CLIENTS[-1], side)


def _load_steps(loads: Sequence[Part], seconds: float) -> Iterator[Step]:
    cost = WARM_SECONDS + seconds + _EXTRA_SECONDS
    for round_number in range(ROUNDS):
        for part in loads:
            for clients in CLIENTS:
                for side in SIDES[part] if round_number % 2 == 0 else SIDES[part][::-1]:
                    title = f"{part}, {clients} at once, {_WHO[side]}, round {round_number + 1}"
                    yield Step(title, cost, part, clients, side)
