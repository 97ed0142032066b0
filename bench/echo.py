"""A server that does nothing but answer: `python -m bench.echo` prints its port and runs on.

With it one sees what the client could do at most, and that it is not what limits the service.
"""

import asyncio
from typing import cast

import uvloop

# About the size of a Refund resource.
_BODY = b"{" + b" " * 398 + b"}"
_ANSWER = (
    b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


class Echo(asyncio.Protocol):
    """Answers each request alike. Ours are small and sent one at a time: a read is a request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write to."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - asyncio's name
        """Answer."""
        self._transport.write(_ANSWER)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
