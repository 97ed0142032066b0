"""A stand-in of Stripe in a thread of its own, for tests that have no loop."""

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from tests.contract.connectors.stand import Plan
from tests.contract.servers.stripe import StripeServer
from tests.db.gateways.till import CREDENTIALS
from tests.support.fixtures import given_captured, order_body
from tests.support.http import Api, Doc
from tests.support.service import Account

Result = TypeVar("Result")


class StripeDesk:
    """The stand-in's side door, from another thread."""

    def __init__(self, server: StripeServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop

    @property
    def url(self) -> str:
        """Where its API is."""
        return self._server.url

    def take_payments_of(self, account: Account) -> str:
        """Send an account's card payments here; gives the gateway's id."""
        return account.open_gateway(self._server.url, CREDENTIALS)

    def sold(self, api: Api) -> Doc:
        """An order of 27.01 USD whose card payment was captured here."""
        sources = order_body("A")["payment"]["sources"]
        sources[0]["processorReference"] = self._do(
            lambda: self._server.pay(2701, "USD", captured=False)
        )
        return given_captured(api, "A", payment={"sources": sources})

    def plan(self, plan: Plan) -> None:
        """What becomes of the next request for an operation."""
        self._do(lambda: self._server.plan(plan))

    def settle(self, operation_id: str) -> None:
        """A pending refund is paid."""
        self._do(lambda: self._server.finish(operation_id, "settled", None))

    def _do(self, work: Callable[[], Result]) -> Result:
        done: Future[Result] = Future()
        self._loop.call_soon_threadsafe(lambda: done.set_result(work()))
        return done.result(10)


@contextmanager
def stripe_desk() -> Generator[StripeDesk]:
    """Run a stand-in while entered."""
    ready: Future[tuple[StripeServer, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with StripeServer() as server:
            done = asyncio.Event()
            ready.set_result((server, asyncio.get_running_loop(), done))
            await done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    server, loop, done = ready.result(10)
    try:
        yield StripeDesk(server, loop)
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
