"""Bytes over connections of their own: what no well-made client would send."""

import contextlib
import re
import socket
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    """An answer as it came over the wire; status 0: the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes


def connect(port: int, *, receive_buffer: int | None = None) -> socket.socket:
    """A connection; receive_buffer: bytes that the kernel takes in before anybody reads."""
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", port))
    return connection


def replies(port: int, *pieces: bytes, pause: float = 0.0) -> list[Reply]:
    """Every answer to `pieces`, sent on one connection that is then closed for sending."""
    with connect(port) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
        return read_replies(everything(connection))


def everything(connection: socket.socket, *, seconds: float = 20.0) -> bytes:
    """What comes until the other side closes. Fails if it does not within `seconds`."""
    received = b""
    connection.settimeout(seconds)
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(1 << 16):
            received += part
    return received


def read_replies(received: bytes) -> list[Reply]:
    """The answers in `received`, one behind the other; an unfinished one counts."""
    found: list[Reply] = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        status = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", first)
        assert status, first
        length = int(headers.get("content-length", "0"))
        found.append(Reply(int(status[1]), headers, rest[:length]))
        received = rest[length:]
    return [reply for reply in found if reply.status != 100]


def closed_after(connection: socket.socket, drip: bytes, *, every: float, most: float) -> float:
    """Seconds until the other side closes while we send `drip`. Fails after `most` seconds."""
    start = time.monotonic()
    connection.settimeout(every)
    while time.monotonic() - start < most:
        try:
            connection.sendall(drip)
            if not connection.recv(1 << 16):
                return time.monotonic() - start
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            return time.monotonic() - start
    raise AssertionError(f"still open after {most} s")
