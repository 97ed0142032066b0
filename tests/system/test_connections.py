"""Clients that hold on to connections: each is ended in time, and the others are served."""

import contextlib
import json
import resource
import socket
import time
from collections.abc import Generator, Iterator

import httpx
import pytest

from refundry.connections import Limits
from tests.support.fixtures import ask, given_captured
from tests.support.guarded import BIG, Server
from tests.support.http import expect
from tests.support.service import Service
from tests.support.wire import closed_after, connect, everything, read_replies, replies

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
CHUNKED = b"POST /%b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
# As the real ones, but short enough to wait for.
SHORT = Limits(
    connections=8, head_seconds=0.5, rest_seconds=0.5, answer_seconds=1.0, unfinished_bytes=200_000
)


@pytest.fixture
def server() -> Iterator[Server]:
    with contextlib.closing(Server(SHORT)) as server:
        yield server


@contextlib.contextmanager
def crowd_of(
    port: int, count: int, *, receive_buffer: int | None = None
) -> Generator[list[socket.socket]]:
    """So many connections, closed at the end."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(connect(port, receive_buffer=receive_buffer)) for _ in range(count)
        ]


def wait_until_open(server: Server, count: int, *, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while server.open != count:
        assert time.monotonic() < deadline, f"{server.open} connections, not {count}"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("first", "drip"),
    [
        (b"", b""),
        (b"", b"\r\n"),
        (b"GET / HTTP/1.1\r\n", b""),
        (b"GET / HTTP/1.1\r\nX: ", b"a"),
        (b"GET / HTTP/1.1\r\n", b"X: a\r\n"),
        (GET, b""),
        (GET, b"\r\n"),
        (GET, b"\n"),
        (GET + b"GET / HTTP/1.1\r\nX: ", b"a"),
        (CHUNKED % b"", b"1\r\na\r\n"),
        (CHUNKED % b"", b""),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n", b"a"),
    ],
)
def test_a_client_that_keeps_us_waiting_is_left(server: Server, first: bytes, drip: bytes) -> None:
    with connect(server.port) as connection:
        connection.sendall(first)
        took = closed_after(connection, drip, every=0.05, most=3.0)
    assert took < 1.6  # of the waiting for a request, and then for its head
    wait_until_open(server, 0)


def test_answers_that_nobody_reads_are_given_up(server: Server) -> None:
    """Without reading, the kernel's buffers fill up; what is in ours goes with the connection."""
    with crowd_of(server.port, 4, receive_buffer=4096) as crowd:
        for connection in crowd:
            connection.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
        wait_until_open(server, 4)
        wait_until_open(server, 0)
    # The next answer is made, but not kept, while the one before it lies there.
    assert len(server.application.seen) <= 8


def test_a_last_answer_that_nobody_reads_is_given_up(server: Server) -> None:
    with connect(server.port, receive_buffer=4096) as connection:
        connection.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        wait_until_open(server, 1)
        wait_until_open(server, 0)
        assert 0 < len(everything(connection)) < BIG


def test_an_answer_that_is_read_slowly_but_read_is_whole(server: Server) -> None:
    with connect(server.port, receive_buffer=4096) as connection:
        connection.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        time.sleep(0.5)
        (reply,) = read_replies(everything(connection))
    assert len(reply.body) == BIG


def test_whoever_sends_nothing_makes_room_for_whoever_sends_a_request(server: Server) -> None:
    with crowd_of(server.port, SHORT.connections) as idle:
        wait_until_open(server, SHORT.connections)
        idle[0].sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        time.sleep(0.1)
        assert [reply.status for reply in replies(server.port, LAST)] == [200]
        assert idle[1].recv(1) == b""  # It had waited the longest: the first has begun since.
        idle[0].sendall(b"\r\n")
        assert idle[0].recv(1 << 16).startswith(b"HTTP/1.1 200 ")


def test_requests_under_way_are_kept_and_further_connections_get_a_503(server: Server) -> None:
    with crowd_of(server.port, SHORT.connections) as busy:
        for connection in busy:
            connection.sendall(LAST.replace(b"/ ", b"/held ", 1))
        time.sleep(0.2)
        with connect(server.port) as one_more:
            (refused,) = read_replies(everything(one_more))
        time.sleep(SHORT.head_seconds)  # The clients wait for us: no limit of theirs ends that.
        server.application.release.set()
        assert [read_replies(everything(each))[0].status for each in busy] == [200] * len(busy)
    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["connection"] == "close"
    assert json.loads(refused.body)["type"] == "service_unavailable"
    assert [reply.status for reply in replies(server.port, LAST)] == [200]


def test_bodies_that_do_not_end_hold_no_more_than_their_share(server: Server) -> None:
    part = 0x10000
    with crowd_of(server.port, 4) as crowd:
        for connection in crowd:
            connection.sendall(CHUNKED % b"read" + b"%x\r\n" % part + b"a" * part + b"\r\n")
            time.sleep(0.1)
        # Four times 64 KiB are more than 200,000 bytes: the first one has to go.
        assert everything(crowd[0]) == b""
        crowd[1].sendall(b"0\r\n\r\n")
        assert crowd[1].recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    assert [len(body) for _, _, _, body in server.application.seen] == [part]


def test_only_so_many_requests_wait_on_one_connection(server: Server) -> None:
    """They come in one piece and are parsed in one go: each takes a few kilobytes once parsed."""
    answers = replies(server.port, GET * 5000)
    assert [reply.status for reply in answers] == [200] * (1 + SHORT.pipelined)
    assert len(server.application.seen) == 1 + SHORT.pipelined


def test_what_stands_behind_a_request_is_not_answered_in_its_place(server: Server) -> None:
    held = LAST.replace(b"/ ", b"/held ", 1).replace(b"Connection: close\r\n", b"")
    with connect(server.port) as connection:
        connection.sendall(held + b"\0\0\0 what is this?\r\n\r\n")
        time.sleep(0.1)
        server.application.release.set()
        answers = read_replies(everything(connection))
    assert [reply.status for reply in answers] == [200]


def test_the_end_of_a_body_that_was_answered_without_it_brings_no_second_answer(
    server: Server,
) -> None:
    with connect(server.port) as connection:
        connection.sendall(CHUNKED % b"")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"no chunk\r\n\r\n" + GET)
        assert everything(connection) == b""


def test_a_header_behind_the_body_is_none_of_the_request(server: Server) -> None:
    """It would get past a proxy that checks the headers."""
    trailer = b"authorization: Bearer sk_live\r\nx-b: c\r\n"
    replies(server.port, CHUNKED % b"read" + b"2\r\n{}\r\n0\r\n" + trailer + b"\r\n" + LAST)
    assert [(headers, body) for _, _, headers, body in server.application.seen] == [
        ({"host": "a", "transfer-encoding": "chunked"}, b"{}"),
        ({"host": "a", "connection": "close"}, b""),
    ]


def resident_bytes(pid: int) -> int:
    """What a process has in memory."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@contextlib.contextmanager
def open_files(count: int) -> Generator[None]:
    """Let this process open so many files, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


FLOODS: dict[str, bytes] = {
    "connections that send nothing": b"",
    "heads without an end": b"GET /orders HTTP/1.1\r\nX-A: " + b"a" * 30_000,
    "bodies without an end": b"POST /refundry/v1/processor-notifications HTTP/1.1\r\nHost: a\r\n"
    b"Refundry-Signature: 1, a\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 30_000,
}


@pytest.fixture(scope="module")
def flooded() -> Iterator[Service]:
    """A service of this file's own, with a bound that floods reach several times over."""
    with Service(env={"REFUNDRY_MAX_CONNECTIONS": "300"}) as service:
        yield service


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_connections_keeps_nobody_else_from_an_answer(
    flooded: Service, name: str
) -> None:
    """1,500 connections on a process that takes 300: refunds go on, in time and in few bytes."""
    api = flooded.api(flooded.open_account().secret_test)
    order = given_captured(api, "B")
    before = resident_bytes(flooded.pid)
    taken: list[float] = []
    with open_files(4096), contextlib.ExitStack() as stack:
        for number in range(1500):
            connection = stack.enter_context(connect(flooded.port))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(FLOODS[name])
            if number % 30 == 0:
                start = time.monotonic()
                with httpx.Client(base_url=flooded.client.base_url, trust_env=False) as client:
                    answer = client.get("/healthz")
                taken.append(time.monotonic() - start)
                assert answer.status_code == 200
            if number % 300 == 0:
                expect(ask(api, order, amount=1), 201)
        grown = resident_bytes(flooded.pid) - before
    assert sorted(taken)[-2] < 1.0, taken  # One may meet a checkpoint.
    assert grown < 64 << 20, f"{grown >> 20} MiB more"
    assert flooded.healthy()


UPGRADE = b"Upgrade: h2c\r\nConnection: Upgrade\r\n"


def test_the_body_of_a_request_to_upgrade_is_not_taken_for_a_request(server: Server) -> None:
    """The parser does not read such a body: sent a moment later, it would begin anew with it."""
    head = b"POST /read HTTP/1.1\r\nHost: a\r\n" + UPGRADE
    answers = replies(server.port, head + b"Content-Length: %d\r\n\r\n" % len(GET), GET, pause=0.2)
    assert [answer.status for answer in answers] == [400]
    answers = replies(server.port, head + b"Transfer-Encoding: chunked\r\n\r\n", GET, pause=0.2)
    assert [answer.status for answer in answers] == [400]
    assert server.application.seen == []


def test_a_request_to_upgrade_is_answered_as_it_is_and_is_the_last(server: Server) -> None:
    (answer,) = replies(server.port, GET[:-2] + UPGRADE + b"\r\n", GET, pause=0.2)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
