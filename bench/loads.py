"""Loads over HTTP: the client process against the service, or against a trivial server."""

import json
import subprocess
import sys

import msgspec

from bench.laying import FIRST_ORDER
from bench.order import REFUND
from bench.plan import WARM_SECONDS, Part
from bench.stage import BenchFailed
from bench.wire import ORDER_GAP, Answers, Load, http_request

_PATIENCE_SECONDS = 60.0


def request_of(part: Part, key: str) -> str:
    """The HTTP request of a load."""
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
    if part is Part.ORDERS:
        return http_request("GET", f"/orders/{ORDER_GAP}", headers)
    body = json.dumps({"orderId": ORDER_GAP, **REFUND})
    return http_request("POST", "/refunds", headers, body)


def run_client(
    part: Part,
    *,
    port: int,
    key: str,
    orders: int,
    clients: int,
    seconds: float,
    per_second: float = 0.0,
) -> Answers:
    """Load the service on `port`. per_second: requests, at most; 0: as many as the clients can.

    Raises BenchFailed if any answer was wrong.
    """
    load = Load(
        port=port,
        request=request_of(part, key),
        status=200 if part is Part.ORDERS else 201,
        clients=clients,
        seconds=seconds,
        warm_seconds=WARM_SECONDS,
        first_order=FIRST_ORDER,
        orders=orders,
        per_second=per_second,
    )
    done = subprocess.run(
        [sys.executable, "-m", "bench.client"],
        input=msgspec.json.encode(load),
        stdout=subprocess.PIPE,
        check=False,
        timeout=WARM_SECONDS + seconds + _PATIENCE_SECONDS,
    )
    if done.returncode != 0:
        raise BenchFailed(f"the client process failed ({done.returncode})")
    answers = msgspec.json.decode(done.stdout, type=Answers)
    if answers.wrong is not None:
        raise BenchFailed(f"{part}: an answer was not {load.status}: {answers.wrong[:2000]}")
    return answers


def client_limit(key: str, clients: int, seconds: float) -> float:
    """Requests per second that the client reaches where answering costs next to nothing."""
    with subprocess.Popen([sys.executable, "-m", "bench.echo"], stdout=subprocess.PIPE) as echo:
        assert echo.stdout is not None
        try:
            answers = run_client(
                Part.REFUNDS,
                port=int(echo.stdout.readline()),
                key=key,
                orders=1,
                clients=clients,
                seconds=seconds,
            )
        finally:
            echo.kill()
    return len(answers.micros) / seconds
