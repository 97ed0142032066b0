"""What webhooks cost and how fast they are: deliveries of one worker, the way of an event, and what
one subscribed webhook takes of `POST /refunds`."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import msgspec

from bench.laying import FIRST_ORDER
from bench.loads import run_client
from bench.measures import Measure, percentile
from bench.order import REFUND
from bench.plan import (
    CLIENTS,
    EVENTS_PER_SECOND,
    PLAIN_LOOP,
    SUBSCRIBED,
    WORKER,
    Options,
    Part,
    Step,
)
from bench.stage import BenchFailed, Stage, ask
from bench.wire import Arrivals
from refundry.db.database import connect_arguments

BODY_BYTES = 1000
_PATIENCE_SECONDS = 120.0
# Both events that a refund is born with, so that the cost is that of two rows.
_BIRTH = ["refund.created", "refund.pending"]
_DELIVERIES_PER_SECOND = 2500

# Due for one webhook: events as a refund makes them, their payload filled up to 1 kB as sent.
_LAY = """
WITH made AS (
    INSERT INTO events (account_id, live, order_id, order_sequence, id, type, object, created_at,
                        webhook_ids)
    SELECT $1, false, $2, $4::bigint + n, gen_random_uuid()::text, 'refund.pending', $5, now(),
           ARRAY[$3::text]
      FROM generate_series(1, $6::integer) AS n
    RETURNING id
)
INSERT INTO deliveries (account_id, live, webhook_id, event_id, due_at)
SELECT $1, false, $3, id, now() FROM made
"""
# Behind what the order really has.
_FIRST_SEQUENCE = 1_000_000
_ENVELOPE_BYTES = 296


@dataclass(slots=True)
class _Sink:
    """A running sink. port: where it listens."""

    process: "subprocess.Popen[bytes]"
    port: int

    def arrivals(self, seconds: float) -> Arrivals:
        """What came, once it is complete. Raises BenchFailed if it is not after `seconds`."""
        try:
            out, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise BenchFailed("the sink did not get what was to be delivered") from error
        return msgspec.json.decode(out, type=Arrivals)


@contextmanager
def _sink(count: int) -> Generator[_Sink]:
    """A sink that waits for `count` requests."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.sink", str(count)], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            yield _Sink(process, int(process.stdout.readline()))
        finally:
            process.kill()


@dataclass(slots=True)
class WebhookBench:
    """The measures of webhooks, of an account whose orders are laid. rates: per side."""

    stage: Stage
    options: Options
    account_id: str
    key: str
    rates: dict[tuple[Part, str], list[float]] = field(
        default_factory=dict[tuple[Part, str], list[float]]
    )

    def deliver(self, step: Step, api_port: int) -> None:
        """The worker, or the plain loop, against the sink."""
        count = int(self.options.seconds * _DELIVERIES_PER_SECOND)
        with _sink(count) as sink:
            if step.side == WORKER:
                arrivals = self._worker(sink, count, api_port)
            else:
                words = [sys.executable, "-m", "bench.poster"]
                words += [str(sink.port), str(count), str(BODY_BYTES)]
                with subprocess.Popen(words) as poster:
                    arrivals = sink.arrivals(_PATIENCE_SECONDS)
                    poster.wait()
        self._note(step, steady_rate(arrivals.times))

    def _worker(self, sink: _Sink, count: int, api_port: int) -> Arrivals:
        with self._webhook(api_port, sink.port, ["refund.pending"]) as webhook_id:
            asyncio.run(self._lay(webhook_id, count))
            with self.stage.worker():
                return sink.arrivals(_PATIENCE_SECONDS)

    def cost(self, step: Step, api_port: int) -> None:
        """`POST /refunds` with a subscribed webhook and without one; nobody delivers."""
        with contextlib.ExitStack() as stack:
            if step.side == SUBSCRIBED:
                stack.enter_context(self._webhook(api_port, 9, _BIRTH))
            answers = run_client(
                Part.REFUNDS,
                port=api_port,
                key=self.key,
                orders=self.options.orders,
                clients=step.clients,
                seconds=self.options.seconds,
            )
        self._note(step, len(answers.micros) / self.options.seconds)

    def arrive(self, api_port: int) -> Iterator[Measure]:
        """How long an event takes to its endpoint, under `refundry serve` as it is."""
        count = int(self.options.seconds * EVENTS_PER_SECOND)
        with (
            _sink(count) as sink,
            self._webhook(api_port, sink.port, ["refund.pending"]),
        ):
            asyncio.run(self._pace(api_port, count))
            lags = sink.arrivals(_PATIENCE_SECONDS).micros
        # The first second warms up.
        lags = lags[EVENTS_PER_SECOND:]
        for percent in (50, 99):
            yield Measure(f"arrival_p{percent}", percentile(lags, percent) / 1000, "ms")

    async def _pace(self, api_port: int, count: int) -> None:
        """Ask for refunds at a steady rate, whatever the answers take."""
        headers = {"Authorization": f"Bearer {self.key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            asyncio.TaskGroup() as group,
        ):
            begun = time.perf_counter()
            for number in range(count):
                await asyncio.sleep(begun + number / EVENTS_PER_SECOND - time.perf_counter())
                order_id = str(FIRST_ORDER + number % self.options.orders)
                body = {"orderId": order_id, **REFUND}
                group.create_task(_post(session, f"http://127.0.0.1:{api_port}/refunds", body))

    async def _lay(self, webhook_id: str, count: int) -> None:
        connection = await asyncpg.connect(**connect_arguments(self.stage.settings))
        try:
            first = await connection.fetchval(
                "SELECT coalesce(max(order_sequence), 0) FROM events"
                " WHERE account_id = $1 AND NOT live AND order_id = $2",
                self.account_id, str(FIRST_ORDER),
            )  # fmt: skip
            await connection.execute(
                _LAY, self.account_id, str(FIRST_ORDER), webhook_id, first + _FIRST_SEQUENCE,
                payload(str(FIRST_ORDER)), count,
            )  # fmt: skip
            await connection.execute("VACUUM (ANALYZE) events")
            await connection.execute("VACUUM (ANALYZE) deliveries")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()

    @contextmanager
    def _webhook(self, api_port: int, port: int, types: list[str]) -> Generator[str]:
        """A webhook that leads to a local port."""
        body = {"types": types, "address": f"http://127.0.0.1:{port}/"}
        webhook_id = str(ask(api_port, self.key, "POST", "/webhooks", body)["id"])
        try:
            yield webhook_id
        finally:
            ask(api_port, self.key, "PATCH", f"/webhooks/{webhook_id}", {"enabled": False})

    def _note(self, step: Step, rate: float) -> None:
        assert step.part is not None
        self.rates.setdefault((step.part, step.side), []).append(rate)

    def compared(self, part: Part) -> Iterator[Measure]:
        """What came of the sides of a part."""
        means = {
            side: sum(rates) / len(rates) for (of, side), rates in self.rates.items() if of is part
        }
        if part is Part.DELIVERIES:
            yield Measure("deliveries", means[WORKER], "/s", means[WORKER] / means[PLAIN_LOOP])
            yield Measure("deliveries_plain_loop", means[PLAIN_LOOP], "/s", 1.0)
            return
        alone = next(rate for side, rate in means.items() if side != SUBSCRIBED)
        name = f"refunds_{CLIENTS[-1]}"
        yield Measure(f"{name}_with_webhook", means[SUBSCRIBED], "/s", means[SUBSCRIBED] / alone)
        yield Measure(f"{name}_without_webhook", alone, "/s", 1.0)


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> None:
    async with session.post(url, json=body) as answer:
        if answer.status != 201:
            raise BenchFailed(f"POST /refunds: {answer.status} {await answer.text()}")


def steady_rate(times: list[float]) -> float:
    """Arrivals a second, without the first and the last tenth: processes start and end there."""
    tenth = len(times) // 10
    inner = sorted(times)[tenth : len(times) - tenth]
    return (len(inner) - 1) / (inner[-1] - inner[0])


def payload(order_id: str) -> str:
    """A refund as events show it, so long that the event has BODY_BYTES as it is sent."""
    view: dict[str, Any] = {
        "id": "re_32a00080-9cbb-4898-9ce9-69b6e709f344",
        "amount": REFUND["amount"],
        "createdTime": "2024-05-01T09:58:12Z",
        "currency": REFUND["currency"],
        "items": [],
        "orderId": order_id,
        "refundedAmount": 0.0,
        "state": "pending",
        "liveMode": False,
        "metadata": {"note": ""},
    }
    missing = BODY_BYTES - _ENVELOPE_BYTES - len(msgspec.json.encode(view))
    view["metadata"]["note"] = "x" * missing
    return msgspec.json.encode(view).decode()
