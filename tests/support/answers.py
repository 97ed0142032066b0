"""How the endpoints of a receiver answer: well, badly, late, for ever, or not at all."""

import asyncio
import base64
import hmac
import itertools
import socket
import struct
from collections.abc import Mapping

from tests.support.receiver import Answer, Arrival, Endpoint, Line

GIGABYTE = 2**30
_CHUNK = b"x" * 65536
# RST instead of FIN when the socket is closed.
_LINGER_ZERO = struct.pack("ii", 1, 0)


def status(code: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    """A plain answer."""

    async def answer(_arrival: Arrival, line: Line) -> bool:
        await line.send(_head(code, {"Content-Length": str(len(body)), **(headers or {})}) + body)
        return True

    return answer


OK = status(204)


def basic(user: str, password: str) -> Answer:
    """204 to those who know the password, 401 to others."""
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    async def answer(arrival: Arrival, line: Line) -> bool:
        given = arrival.headers.get("authorization", "")
        known = hmac.compare_digest(given.encode(), wanted.encode())
        return await (OK if known else status(401))(arrival, line)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """The first request gets the first answer, and so on; the last answer stays."""
    turns = itertools.chain(answers[:-1], itertools.repeat(answers[-1]))

    async def answer(arrival: Arrival, line: Line) -> bool:
        return await next(turns)(arrival, line)

    return answer


def slow(seconds: float, then: Answer = OK) -> Answer:
    async def answer(arrival: Arrival, line: Line) -> bool:
        await asyncio.sleep(seconds)
        return await then(arrival, line)

    return answer


def redirect(code: int, target: Endpoint) -> Answer:
    return status(code, headers={"Location": target.url})


async def hang(_arrival: Arrival, line: Line) -> bool:
    """Never answers, and keeps the connection for as long as the caller does."""
    await line.closed()
    return False


async def reset(_arrival: Arrival, line: Line) -> bool:
    """Drops the connection with a TCP RST."""
    line.writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO
    )
    line.writer.transport.abort()
    return False


async def hang_up(_arrival: Arrival, _line: Line) -> bool:
    """Closes the connection in good order without an answer."""
    return False


async def flood(_arrival: Arrival, line: Line) -> bool:
    """200, and a body of a gigabyte for as long as somebody reads it."""
    await line.send(_head(200, {"Content-Length": str(GIGABYTE)}))
    for _ in range(GIGABYTE // len(_CHUNK)):
        await line.send(_CHUNK)
    return True


async def drip(_arrival: Arrival, line: Line) -> bool:
    """200, and a body that goes on for ever, a byte at a time."""
    await line.send(_head(200, {"Transfer-Encoding": "chunked"}))
    while True:
        await line.send(b"1\r\n.\r\n")
        await asyncio.sleep(0.02)


async def drip_head(_arrival: Arrival, line: Line) -> bool:
    """A status line, and then headers for ever, one at a time."""
    await line.send(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        await line.send(b"X-%d: .\r\n" % number)
        await asyncio.sleep(0.1)
    raise AssertionError


async def cut_off(_arrival: Arrival, line: Line) -> bool:
    """200, and less of a body than was promised."""
    await line.send(_head(200, {"Content-Length": "1000"}) + b"so far")
    return False


async def old_style(_arrival: Arrival, line: Line) -> bool:
    """200 in HTTP/1.0, its body ended by the end of the connection."""
    await line.send(b"HTTP/1.0 200 OK\r\n\r\nthank you")
    return False


async def garbage(_arrival: Arrival, line: Line) -> bool:
    """Bytes that are no HTTP."""
    await line.send(b"\x16\x03\x00\xff\xfe no such protocol\r\n\r\n" + bytes(range(256)))
    return False


async def huge_header(_arrival: Arrival, line: Line) -> bool:
    """200 with a header of a megabyte."""
    await line.send(_head(200, {"Content-Length": "0", "X-Huge": "x" * 2**20}))
    return False


def _head(code: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {code} Status", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
