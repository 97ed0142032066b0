"""A small HTTP server for the webhooks of one shop; a proxy with TLS belongs in front of it."""

import logging
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from refundry_sync.receiving.reception import Receive
from refundry_sync.receiving.wsgi import endpoint

_LOG = logging.getLogger("refundry_sync")
# Refundry gives a delivery 3 s; who takes longer to say what he wants is nobody we wait for.
READ_SECONDS = 10


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(WSGIRequestHandler):
    timeout = READ_SECONDS

    def log_message(self, format: str, *args: object) -> None:
        _LOG.debug(format, *args)


@contextmanager
def listening(receive: Receive, host: str, port: int, path: str) -> Generator[str]:
    """Serve in a thread while the block runs; gives the address of the endpoint. port: 0 any."""
    server = make_server(
        host, port, _application(receive, path), server_class=_Server, handler_class=_Handler
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}{path}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _application(
    receive: Receive, path: str
) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    webhook = endpoint(receive)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked = str(environ.get("PATH_INFO", "")).rstrip("/")
        if asked == path.rstrip("/"):
            return webhook(environ, start_response)
        if asked == "/healthz":
            start_response("200 OK", [("Content-Type", "application/json")])
            return [b'{"status":"ok"}']
        start_response("404 Not Found", [("Content-Length", "0")])
        return []

    return application
