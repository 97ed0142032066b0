"""The example adapter passes the contract suite, through the `http` connector."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from refundry.domain.charge import OperationKind
from refundry.processors.contract import NotFound, Notice, Receipt, Settled, Submission
from refundry.processors.http import HttpCredentials, HttpProcessor
from refundry.processors.http_notices import read_notices
from refundry.processors.http_protocol import read_answer, read_listed, read_page
from refundry.processors.signature import sign
from tests.contract.connectors.runner import TENANT, run
from tests.contract.connectors.scenario import Scenario, cases, time_out
from tests.contract.connectors.stand import Stand, Traits
from tests.contract.servers.http_adapter import REASONS, SECRET, AdapterServer
from tests.support.service import ROOT, free_port
from tests.unit.given import currency

_KNOWN = {code: reason if code != "99" else "unknown" for code, reason in REASONS.items()}
TRAITS = Traits(
    at_once=True,
    looks_up=True,
    lists=True,
    confirms=False,
    replay_window=True,
    forgets=False,
    declines=_KNOWN,
    failures=_KNOWN,
)
NOW = datetime.now(UTC)
TOMORROW = NOW + timedelta(days=1)
REFUND = Submission(
    key="op-1",
    tenant=TENANT,
    kind=OperationKind.REFUND,
    charge_id="c1",
    amount=1351,
    currency=currency(),
    processor_reference="PAY-1",
    source_type="creditCard",
    trigger=None,
    first_attempt_at=NOW,
    now=NOW,
    attempt=1,
)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def server() -> Iterator[AdapterServer]:
    server = AdapterServer()
    yield server
    assert server.complaints == []


@pytest.fixture
def stand(
    server: AdapterServer, session: aiohttp.ClientSession, scenario: Scenario
) -> Iterator[Stand]:
    with server.serve() as served:

        def connector(secret: str) -> HttpProcessor:
            credentials = HttpCredentials(f"{served.url}/refundry", secret)
            return HttpProcessor(credentials, session, time_out(scenario))

        yield Stand(connector(SECRET), connector("of-another"), server, TRAITS)


@pytest.mark.parametrize("scenario", cases(TRAITS), ids=lambda scenario: scenario.name)
async def test_scenario(stand: Stand, scenario: Scenario) -> None:
    await run(stand, scenario)


async def test_the_example_runs_as_it_stands(session: aiohttp.ClientSession) -> None:
    port = free_port()
    command = [sys.executable, ROOT / "examples" / "http_adapter.py", str(port)]
    with subprocess.Popen(
        command, env={**os.environ, "ADAPTER_SECRET": SECRET}, stderr=subprocess.DEVNULL
    ) as process:
        try:
            processor = HttpProcessor(
                HttpCredentials(f"http://127.0.0.1:{port}/refundry?shop=1", SECRET), session, 10
            )
            async with asyncio.timeout(20):
                while any(finding.problem for finding in await processor.check()):
                    await asyncio.sleep(0.02)
            assert isinstance(await processor.look_up(REFUND), NotFound)
            first = await processor.submit(REFUND)
            assert isinstance(first, Settled)
            assert await processor.submit(REFUND) == first == await processor.look_up(REFUND)
            listed = [refund async for refund in processor.refunds_since(NOW)]
            assert [(one.key, one.amount, one.currency) for one in listed] == [
                (REFUND.key, REFUND.amount, REFUND.currency.code)
            ]
            assert not [one async for one in processor.refunds_since(TOMORROW)]
        finally:
            process.kill()


def test_what_the_page_shows_is_read_as_it_says() -> None:
    page = (ROOT / "docs" / "processors" / "http.md").read_text("utf-8")
    answer, lookup, asked, listed, elsewhere, dispute = re.findall(r"```json\n(.+?)```", page, re.S)
    arn = "74850120752112040000000"
    receipt = Receipt(reference="bank-4711", amount=1351, currency="USD", arn=arn)
    assert read_answer(200, answer.encode()) == Settled(receipt)
    assert set(json.loads(lookup)) == {"operationId"}
    assert set(json.loads(asked)) == {"since", "after"}
    (refund,) = [read_listed(one) for one in read_page(200, listed.encode()).refunds]
    assert _notice(elsewhere).refund == refund
    told = _notice(dispute).dispute
    assert told is not None
    assert (told.payment, told.amount, told.state) == ("PAY-1", 1351, "opened")


def _notice(body: str) -> Notice:
    headers = {"refundry-signature": sign(SECRET, int(NOW.timestamp()), body.encode())}
    (notice,) = read_notices(headers, body.encode(), SECRET, NOW)
    return notice
