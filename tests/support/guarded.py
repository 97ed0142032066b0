"""The guarded protocol over a small application, in a thread of the test's own process."""

import asyncio
import socket
import threading
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from refundry.api_server import guarded
from refundry.connections import Limits
from refundry.http.admission import Admission

BIG = 4 << 20


@dataclass
class Application:
    """Answers at once, but for /read (takes the body first), /held (waits for `release`) and /big.

    seen: method, path, headers and body of each request. body_seconds: until a 408 for /read.
    """

    seen: list[tuple[str, str, dict[str, str], bytes]] = field(
        default_factory=list[tuple[str, str, dict[str, str], bytes]]
    )
    body_seconds: float = 10.0
    release: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        try:
            async with asyncio.timeout(self.body_seconds):
                while scope["path"] == "/read":
                    message: Any = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    body += message["body"]
                    if not message["more_body"]:
                        break
        except TimeoutError:
            await answer(send, 408, b"", [(b"connection", b"close")])
            return
        while scope["path"] == "/held" and not self.release.is_set():
            await asyncio.sleep(0.01)
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        self.seen.append((scope["method"], scope["path"], headers, body))
        await answer(send, 200, b"x" * (BIG if scope["path"] == "/big" else 2), [])


async def answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Send an answer as a whole."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


class Server:
    """The guarded protocol over an application of the tests, on uvloop as in life."""

    def __init__(self, limits: Limits, *, body_seconds: float = 10.0) -> None:
        self.application = Application(body_seconds=body_seconds)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            self.application, loop="uvloop", http=guarded(limits, Admission()), ws="none",
            lifespan="off", log_config=None, access_log=False, timeout_keep_alive=30,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()

    @property
    def open(self) -> int:
        """How many connections it holds."""
        return len(self._server.server_state.connections)

    def close(self) -> None:
        self.application.release.set()
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
