"""Bytes on a connection: of one request there are never two, whoever counts them."""

from collections.abc import Iterator

import h11
import pytest
from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from refundry.connections import Limits
from tests.support.guarded import Server
from tests.support.wire import replies

CHUNKED = b"POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
# Whatever came before it: this one ends the connection, or is part of what came before.
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
Seen = list[tuple[str, str, bytes]]

# Pieces of which requests are made: each is well-formed somewhere, few combinations are.
LINES = [
    b"GET /read HTTP/1.1", b"POST /read HTTP/1.1", b"POST /read HTTP/1.0", b"PUT /read HTTP/1.1",
    b"GET http://b/read HTTP/1.1", b"GET /read?%00%2f%zz HTTP/1.1", b"GET /read\0 HTTP/1.1",
    b"GET /read HTTP/2.0", b"GET /read", b"OPTIONS /read HTTP/1.1", b"CONNECT a:80 HTTP/1.1",
    b"POST /read HTTP/1.1", b"POST /read HTTP/1.1",
]  # fmt: skip
HEADERS = [
    b"Content-Length: 0", b"Content-Length: 3", b"Content-Length: 5", b"Content-Length: 03",
    b"Content-Length: +3", b"Content-Length: 3, 3", b"Content-Length: -1", b"Content-Length: 0x3",
    b"Content-Length: 3 ", b"Content-Length:3", b"Content-Length : 3", b"Content-Length: 1_0",
    b"content-length: 3", b"Content-Length: 99999999999999999999", b"Content-Length:",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked", b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding : chunked", b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: gzip, chunked", b"X-A: b\r\n folded",
    b"X-A: b\rTransfer-Encoding: chunked", b"X-A: b\nTransfer-Encoding: chunked", b"X\x00A: b",
    b"Host: b", b"Expect: 100-continue", b"Connection: close", b"Connection: keep-alive",
    b"Connection: Content-Length", b"Upgrade: websocket\r\nConnection: Upgrade", b"Trailer: Host",
    b": nameless", b"X-A:", b"X-A", b" X-A: b", b"X-A: \xff",
]  # fmt: skip
BODIES = [
    b"", b"abc", b"abcde", b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n",
    b"3;ext=\"\r\n\"\r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n", b"03\r\nabc\r\n0\r\n\r\n",
    b"3 \r\nabc\r\n0\r\n\r\n", b"-3\r\nabc\r\n0\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n", b"3\r\nab\r\n0\r\n\r\n", b"0\r\nHost: b\r\n\r\n",
    b"0\r\nContent-Length: 30\r\n\r\n", b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabc\r\n0\r\n\n", b"3\r\nabc0\r\n\r\n", b"0\r\n", b"\r\n", b"3\r\nabc\r\n",
]  # fmt: skip


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Something like a request."""
    lines = [draw(st.sampled_from(LINES))]
    if draw(st.integers(0, 9)):
        lines.append(b"Host: a")
    lines += draw(st.lists(st.sampled_from(HEADERS), max_size=3))
    end = b"\r\n" if draw(st.integers(0, 9)) else b"\n"
    return end.join(lines) + end + end + draw(st.sampled_from(BODIES))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """It gives up on what is not finished at once, so that nothing here waits."""
    limits = Limits(head_seconds=0.05, rest_seconds=0.05)
    server = Server(limits, body_seconds=0.05)
    yield server
    server.close()


def read_by_h11(sent: bytes) -> Seen:
    """The requests that another parser finds in `sent`, until it finds a fault.

    An unfinished one is not among them. Empty lines before a request are nothing (RFC 9112, 2.2).
    """
    found: Seen = []
    try:
        while sent := sent.lstrip(b"\r\n"):
            connection = h11.Connection(h11.SERVER)
            connection.receive_data(sent)
            head = connection.next_event()
            if not isinstance(head, h11.Request):
                break
            body = b""
            while isinstance(part := connection.next_event(), h11.Data):
                body += bytes(part.data)
            if not isinstance(part, h11.EndOfMessage):
                break
            path = head.target.decode("latin-1").removeprefix("http://b").partition("?")[0]
            found.append((head.method.decode(), path, body))
            sent = connection.trailing_data[0]
    except h11.RemoteProtocolError:
        pass
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(messages(), min_size=1, max_size=3).map(b"".join))
@example(CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n")
def test_requests_are_those_that_another_parser_reads(server: Server, sent: bytes) -> None:
    note(repr(sent))
    server.application.seen.clear()
    answers = replies(server.port, sent + LAST)
    acted = [(method, path, body) for method, path, _, body in server.application.seen]
    known = read_by_h11(sent + LAST)
    assert acted == known[: len(acted)]
    assert {answer.status for answer in answers} <= {200, 400, 408}
    assert [answer.status for answer in answers].count(400) <= 1
    assert len([answer for answer in answers if answer.status == 200]) <= len(acted)
