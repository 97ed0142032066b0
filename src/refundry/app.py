"""Puts the service together: the one place that knows every component."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from refundry import __version__
from refundry.access.guards import KeyRing, RateLimit
from refundry.access.signing_in import Gate as SignInGate
from refundry.access.signing_in import open_gate
from refundry.api_log.journal import Journal, open_journal
from refundry.bulk import running as bulk
from refundry.clock import Clock
from refundry.db.database import Database, open_database
from refundry.db.migrate import is_current
from refundry.disputes.routes import OPERATIONS as DISPUTES
from refundry.events.routes import OPERATIONS as EVENTS
from refundry.gateways.connectors import Connectors
from refundry.http import problems
from refundry.http.admission import Admission
from refundry.http.answer import Answer
from refundry.http.call import Call, Operation, Services
from refundry.http.document import storable_text, to_json
from refundry.http.openapi import openapi_document
from refundry.http.reference import reference_page, stylesheet
from refundry.idempotency import Releases
from refundry.metrics import observe_request, render
from refundry.operations.another_way_routes import ANOTHER_WAY
from refundry.operations.routes import ADVANCE, GATEWAY_NOTIFICATIONS, NOTIFICATIONS
from refundry.operations.work import drain
from refundry.orders.bodies import OrderBodies
from refundry.orders.routes import OPERATIONS as ORDERS
from refundry.pipeline import Gate, Resource, request_id_of, send_answer
from refundry.portal.home_summary import HomeSummaries
from refundry.portal.routes import portal_resources
from refundry.refunds.lanes import RefundLanes
from refundry.refunds.routes import OPERATIONS as REFUNDS
from refundry.returns.routes import OPERATIONS as RETURNS
from refundry.sealing import open_vault
from refundry.settings import Settings
from refundry.shopper.routes import shopper_resources
from refundry.tokens.routes import OPERATIONS as TOKENS
from refundry.tokens.routes import PREFLIGHT
from refundry.waking import Waker
from refundry.webhooks.addresses import Guard, log_openings
from refundry.webhooks.routes import OPERATIONS as WEBHOOKS
from refundry.webhooks.sending import Courier, open_courier
from refundry.worker import SEEN_SECONDS, bulk_runner, open_worker

# A store that takes longer to say that it lives is as good as unreachable.
_HEALTH_SECONDS = 2.0
_HTML = "text/html; charset=utf-8"
_POLICY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def documented_operations(settings: Settings) -> tuple[Operation, ...]:
    """The operations of the API as this deployment serves them."""
    clock = (ADVANCE,) if settings.test_clock else ()
    return (
        *ORDERS, *REFUNDS, *RETURNS, *DISPUTES, *EVENTS, *WEBHOOKS, NOTIFICATIONS,
        ANOTHER_WAY, *TOKENS,
        *clock,
    )  # fmt: skip


class Service:
    """The ASGI application: opens what it needs at its start, then routes."""

    def __init__(
        self,
        settings: Settings,
        *,
        share: float = 1,
        several: bool = False,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._settings = settings
        self._share = share
        self._several = several
        self._hasher = hasher
        self.admission = Admission(most_requests=settings.max_requests)
        self._operations = documented_operations(settings)
        self._app = Starlette(lifespan=self._lifespan)
        self._app.router = Router(
            default=_unknown_path, lifespan=self._lifespan, redirect_slashes=False
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; a trailing slash is ignored."""
        if scope["type"] != "http":
            await self._app.router(scope, receive, send)
            return
        path: str = scope["path"]
        scope = dict(scope) | {"path": path.rstrip("/") or "/", "refundry.route": "unknown"}
        if not storable_text(path):
            await _unknown_path(scope, receive, send)
            return
        await self._app.router(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _app: Any) -> AsyncGenerator[None]:
        settings = self._settings
        log_openings(settings)
        clock, vault = Clock(), open_vault(settings)
        async with (
            open_database(
                settings,
                patience_seconds=settings.queue_timeout,
                statement_seconds=settings.database_timeout,
            ) as database,
            open_worker(settings, database) as worker,
            open_gate(database, vault, clock, self._hasher) as sign_in,
            open_courier(settings) as courier,
        ):
            waker = Waker(database)

            async def drain_account(account_id: str) -> None:
                await bulk.drain(bulk_runner(worker), account_id)
                await drain(worker, account_id)

            services = Services(
                database,
                settings,
                clock,
                vault,
                waker.wake,
                drain_account,
                {
                    OrderBodies: OrderBodies(database),
                    RefundLanes: RefundLanes(database, queue_seconds=settings.queue_timeout),
                    Releases: Releases(database),
                    SignInGate: sign_in,
                    Guard: Guard(settings.webhook_networks()),
                    Courier: courier,
                    Connectors: worker.connectors,
                    HomeSummaries: HomeSummaries(clock),
                },
                self.admission,
            )
            waking = asyncio.create_task(waker.run())
            try:
                async with contextlib.AsyncExitStack() as stack:
                    journal = None
                    if settings.api_log:
                        journal = await stack.enter_async_context(open_journal(database))
                    self._route(self._gate(services, journal))
                    yield
            finally:
                waking.cancel()
                await asyncio.gather(waking, return_exceptions=True)

    def _gate(self, services: Services, journal: Journal | None) -> Gate:
        settings = self._settings
        clock = services.clock
        return Gate(
            services,
            # A moved test clock must be seen at once by every process.
            KeyRing(services.database, clock, remember=not settings.test_clock),
            RateLimit(clock, settings.rate_limit_live * self._share),
            RateLimit(clock, settings.rate_limit_test * self._share),
            journal,
        )

    def _route(self, gate: Gate) -> None:
        """Let requests in; what leads nowhere is answered with 404."""
        by_path: dict[str, list[Operation]] = {}
        for operation in (*self._operations, *self._own_operations()):
            by_path.setdefault(operation.path, []).append(operation)
        resources: dict[str, ASGIApp] = {
            path: Resource(gate, operations) for path, operations in by_path.items()
        }
        resources |= portal_resources(gate.services)
        resources |= shopper_resources(gate.services)
        self._app.router.routes.extend(
            Route(path, _Marked(path, resource)) for path, resource in resources.items()
        )
        self._app.router.default = Resource(gate, ())

    def _own_operations(self) -> Sequence[Operation]:
        """The pages and probes around the API."""
        document = openapi_document(self._operations, version=__version__)
        page = Answer(200, reference_page(document).encode(), _POLICY, _HTML)
        style = Answer(200, stylesheet(), {}, "text/css; charset=utf-8")
        return (
            _own("/healthz", _healthz),
            _own("/readyz", _readyz),
            _own("/metrics", self._metrics),
            _own("/openapi.json", _always(Answer(200, to_json(document)))),
            _own("/docs", _always(page)),
            _own("/docs/style.css", _always(style)),
            PREFLIGHT,
            GATEWAY_NOTIFICATIONS,
        )

    async def _metrics(self, _call: Call) -> Answer:
        body = await asyncio.to_thread(render, several_processes=self._several)
        return Answer(200, body, {}, "text/plain; version=0.0.4; charset=utf-8")


class _Marked:
    """Notes the route that was taken, for logs and metrics."""

    def __init__(self, path: str, resource: ASGIApp) -> None:
        self._path = path
        self._resource = resource

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["refundry.route"] = self._path
        await self._resource(scope, receive, send)


def _own(path: str, handler: Callable[[Call], Any]) -> Operation:
    return Operation(
        "GET", path, handler, "", "", None, open=True, documented=False, any_media=True
    )


def _always(answer: Answer) -> Callable[[Call], Any]:
    async def handler(_call: Call) -> Answer:
        return answer

    return handler


async def _unknown_path(scope: Scope, _receive: Receive, send: Send) -> None:
    await send_answer(send, problems.problem(404), request_id_of(scope))
    observe_request(scope["method"], "unknown", 404, 0.0)


async def _healthz(call: Call) -> Answer:
    async with asyncio.timeout(_HEALTH_SECONDS):
        await call.database.fetchval("SELECT 1")
    return Answer(200, b'{"status":"ok"}')


async def _readyz(call: Call) -> Answer:
    """Ready: the schema is current and a worker was seen lately."""
    current = await is_current(call.database)
    seen = current and await _worker_seen(call.database, call)
    body = to_json(
        {"status": "ok" if seen else "unavailable", "migrations": current, "worker": bool(seen)}
    )
    return Answer(200 if seen else 503, body)


async def _worker_seen(database: Database, call: Call) -> bool:
    return await database.fetchval(
        "SELECT EXISTS (SELECT 1 FROM workers WHERE seen_at > $1::timestamptz"
        " - make_interval(secs => $2))",
        call.now, SEEN_SECONDS,
    )  # fmt: skip
