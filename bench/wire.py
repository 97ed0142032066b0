"""What the client process is told and what it answers, as JSON on its standard input and output."""

from collections.abc import Mapping

import msgspec

# In a request's text, where the number of an order goes; as long as one, so lengths stay true.
ORDER_GAP = "ORDER_NUMBER"


class Load(msgspec.Struct, frozen=True):
    """request: the whole HTTP request, with ORDER_GAP in it. Its orders are drawn from `orders`
    consecutive numbers, the first of which is `first_order`. status: what every answer must have.
    per_second: how many requests all clients together send at most; 0: as many as they can.
    """

    port: int
    request: str
    status: int
    clients: int
    seconds: float
    warm_seconds: float
    first_order: int
    orders: int
    per_second: float = 0.0


class Answers(msgspec.Struct, frozen=True):
    """micros: how long each answer took that came in the measured seconds. all: of the whole run,
    warm-up included. processor_seconds: of the client itself. wrong: an answer as it should not be.
    """

    micros: list[int]
    all: int
    processor_seconds: float
    wrong: str | None


class Flood(msgspec.Struct, frozen=True):
    """As Load, but `rate` requests a second are sent over `clients` connections, come what may."""

    port: int
    request: str
    clients: int
    rate: float
    seconds: float
    warm_seconds: float
    first_order: int
    orders: int


class Flooded(msgspec.Struct, frozen=True):
    """accepted, refused: microseconds of each answer in the measured seconds, from when its request
    was due. all_accepted: of the whole run. unsent: for want of a free connection. lost:
    connections that ended without an answer. wrong: neither a 201 nor a 503 with Retry-After.
    """

    accepted: list[int]
    refused: list[int]
    all_accepted: int
    sent: int
    unsent: int
    lost: int
    processor_seconds: float
    wrong: str | None


class Arrivals(msgspec.Struct, frozen=True):
    """times: when each request had come, in Unix seconds. micros: how long each took since its
    event's creation."""

    times: list[float]
    micros: list[int]


def http_request(method: str, path: str, headers: Mapping[str, str], body: str = "") -> str:
    """A request as text."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", body])
