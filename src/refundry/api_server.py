"""Serves the application over HTTP with uvicorn, with the limits that it does not set itself."""

import asyncio
import os
import resource
import socket
from functools import partial
from typing import cast

import structlog
import uvicorn
from argon2 import PasswordHasher

from refundry.app import Service
from refundry.connections import Crowd, GuardedProtocol, Limits
from refundry.garbage import collect_rarely
from refundry.http.admission import Admission
from refundry.settings import Settings

_GRACE_SECONDS = 10
# Open files besides the clients' connections: the pool, logs, pipes, libraries being loaded.
_OTHER_FILES = 128
log = structlog.get_logger("refundry.http")


class _Server(uvicorn.Server):
    """Takes what is there when requests begin out of the garbage collector's rounds: it stays."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then freeze."""
        await super().startup(sockets)
        collect_rarely()


def serve_api(
    settings: Settings, *, fd: int | None, hasher: PasswordHasher | None = None
) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT.

    fd: a listening socket shared with other processes. hasher: what passwords are hashed with, for
    tests that are not about its cost.
    """
    share = 1 / settings.processes if fd is not None else 1
    several = "PROMETHEUS_MULTIPROC_DIR" in os.environ
    service = Service(settings, share=share, several=several, hasher=hasher)
    config = uvicorn.Config(
        service,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=guarded(Limits(connections=_connections(settings.max_connections)), service.admission),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        # Nothing here asks where a request comes from.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        backlog=1024,
    )
    sockets = [socket.socket(fileno=fd)] if fd is not None else None
    server = _Server(config)
    service.admission.running = server.server_state.tasks
    server.run(sockets=sockets)
    if not server.started:
        raise SystemExit(3)


def guarded(limits: Limits, admission: Admission) -> type[asyncio.Protocol]:
    """What uvicorn makes a protocol with; all that it makes share the limits."""
    return cast("type[asyncio.Protocol]", partial(GuardedProtocol, Crowd(limits), admission))


def _connections(wanted: int) -> int:
    """How many connections this process may have: each is an open file, which it has to have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < needed:
            wanted = max(1, soft - _OTHER_FILES)
            log.warning("too_few_open_files", setting="max_connections", connections=wanted)
    return wanted
