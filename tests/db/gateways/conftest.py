"""A shop whose card payments go through Stripe's stand-in."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import aiohttp
import pytest

from refundry.access.audit_log import COMMAND_LINE
from refundry.gateways.commands import NewGateway, open_gateway
from refundry.gateways.connectors import Connectors
from refundry.gateways.kinds import Setup
from refundry.operations.work import Worker
from tests.contract.servers.stripe import StripeServer
from tests.db.gateways.till import CREDENTIALS, Till
from tests.support.books import open_shop

# The stand-in answers within milliseconds, or not at all.
_TIMEOUT = 0.4


@pytest.fixture
async def stripe() -> AsyncIterator[StripeServer]:
    async with StripeServer() as server:
        yield server


@pytest.fixture
async def till(worker: Worker, stripe: StripeServer) -> AsyncIterator[Till]:
    async with aiohttp.ClientSession() as session:
        connectors = Connectors(worker.database, worker.vault, Setup(session, _TIMEOUT))
        shop = await open_shop(replace(worker, connectors=connectors))
        new = NewGateway("main", "stripe", CREDENTIALS, ("creditCard",), stripe.url)
        gateway = await open_gateway(
            shop.database, worker.vault, shop.tenant, new, COMMAND_LINE, datetime.now(UTC)
        )
        yield Till(shop, stripe, gateway)
