"""localstripe, a Stripe that others wrote, in a process of its own on loopback, with a front.

localstripe ignores `Idempotency-Key`. The front passes requests on, keeps keys as Stripe documents
them ("Idempotent requests") unless told not to, and makes requests go wrong by a side door. Run it
as `python -m tests.contract.servers.localstripe`, with `--no-keys` to leave keys out.
"""

import argparse
import asyncio
import importlib
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Literal, Self

import aiohttp
import httpx
from aiohttp import web

from tests.support.service import ROOT

SECRET_KEY = "sk_test_localstripe"
KEY_SECONDS = 24 * 3600
Fault = Literal["none", "silence_before", "silence_after"]
Doc = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Taken:
    """A request's answer."""

    status: int
    body: bytes

    def response(self) -> web.Response:
        """As it is sent."""
        return web.Response(status=self.status, body=self.body, content_type="application/json")


class Front:
    """Stands before localstripe at `url`. keys: whether it keeps idempotency keys."""

    def __init__(self, url: str, session: aiohttp.ClientSession, *, keys: bool) -> None:
        self._url = url
        self._session = session
        self._keeps_keys = keys
        self._kept: dict[str, tuple[str, float, Taken]] = {}
        self._running: set[str] = set()
        self._plan: Doc = {"fault": "none", "times": 0, "seconds": 0.0}
        self._asked = 0
        self._in_flight = 0

    def app(self) -> web.Application:
        """Its routes: the side door, and all of Stripe."""
        app = web.Application()
        app.router.add_put("/_front/plan", self._take_plan)
        app.router.add_get("/_front/state", self._state)
        app.router.add_route("*", "/v1/{rest:.*}", self._pass)
        return app

    async def _take_plan(self, request: web.Request) -> web.Response:
        self._plan = await request.json()
        return web.json_response({})

    async def _state(self, _: web.Request) -> web.Response:
        return web.json_response({"asked": self._asked, "in_flight": self._in_flight})

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.method != "POST":
            return (await self._forward(request, body)).response()
        self._asked += 1
        self._in_flight += 1
        try:
            return await self._act(request, body)
        finally:
            self._in_flight -= 1

    async def _act(self, request: web.Request, body: bytes) -> web.StreamResponse:
        plan, planned = self._plan, self._plan["times"] > 0
        if planned:
            self._plan = {**plan, "times": plan["times"] - 1}
            await asyncio.sleep(plan["seconds"])
        if planned and plan["fault"] == "silence_before":
            return _hang_up(request)
        taken = await self._once(request, body)
        if planned and plan["fault"] == "silence_after":
            return _hang_up(request)
        return taken.response()

    async def _once(self, request: web.Request, body: bytes) -> Taken:
        """ "Idempotent requests": the first answer again for 24 hours, if the request is the same;
        kept is what began to execute, whether it succeeded or failed."""
        key = request.headers.get("Idempotency-Key")
        if key is None or not self._keeps_keys:
            return await self._forward(request, body)
        now = asyncio.get_running_loop().time()
        asked = f"{request.path} {body.decode()}"
        if key in self._running:
            return _refused(409, "idempotency_key_in_use")
        if key in self._kept and now - self._kept[key][1] < KEY_SECONDS:
            before, _, taken = self._kept[key]
            return taken if before == asked else _refused(400, None)
        self._running.add(key)
        try:
            taken = await self._forward(request, body)
        finally:
            self._running.discard(key)
        if taken.status == 200 or taken.status >= 500:
            self._kept[key] = (asked, now, taken)
        return taken

    async def _forward(self, request: web.Request, body: bytes) -> Taken:
        names = ("Authorization", "Content-Type")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        async with self._session.request(
            request.method, self._url + request.raw_path, data=body, headers=headers
        ) as response:
            return Taken(response.status, await response.read())


def _refused(status: int, code: str | None) -> Taken:
    error = {"type": "idempotency_error", "code": code, "message": "This key is another's."}
    return Taken(status, json.dumps({"error": error}).encode())


def _hang_up(request: web.Request) -> web.StreamResponse:
    """No answer: the connection is cut."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


def _keep_in_memory(_: object) -> None:
    """In place of localstripe's file."""


async def _serve(app: web.Application) -> str:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


async def _main(*, keys: bool) -> None:
    resources: Any = importlib.import_module("localstripe.resources")
    # It writes all that it holds to one file of the machine, at each change.
    resources.Store.dump_to_disk = _keep_in_memory
    url = await _serve(importlib.import_module("localstripe.server").app)
    async with aiohttp.ClientSession() as session:
        front = await _serve(Front(url, session, keys=keys).app())
        print(json.dumps({"url": front}), flush=True)
        await asyncio.Event().wait()


class LocalStripe:
    """localstripe and its front, running. url: the front's, which is Stripe's API."""

    def __init__(self, *, keys: bool) -> None:
        options = [] if keys else ["--no-keys"]
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.contract.servers.localstripe", *options],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self._process.stdout is not None
        self.url: str = json.loads(self._process.stdout.readline())["url"]
        self._client = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {SECRET_KEY}"}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._process.kill()
        self._process.communicate()

    def pay(self, amount: int, currency: str = "eur") -> str:
        """A shopper pays, the shop captures it; gives the PaymentIntent. amount: minor units."""
        card = {"number": "4242424242424242", "exp_month": "12", "exp_year": "30", "cvc": "123"}
        method = self._post(
            "payment_methods",
            {"type": "card", **{f"card[{name}]": value for name, value in card.items()}},
        )
        payment = self._post(
            "payment_intents",
            {
                "amount": str(amount),
                "currency": currency,
                "payment_method": method["id"],
                "capture_method": "manual",
                "confirm": "true",
            },
        )
        captured = self._post(f"payment_intents/{payment['id']}/capture", {})
        assert captured["status"] == "succeeded"
        return captured["id"]

    def refunds(self, payment: str) -> list[Doc]:
        """What it holds on a payment."""
        listed = self._client.get("/v1/refunds", params={"payment_intent": payment, "limit": 100})
        return listed.raise_for_status().json()["data"]

    def plan(self, fault: Fault, times: int = 1, seconds: float = 0) -> None:
        """What becomes of the next POSTs; each takes `seconds` before it begins."""
        plan = {"fault": fault, "times": times, "seconds": seconds}
        self._client.put("/_front/plan", json=plan).raise_for_status()

    def asked(self) -> int:
        """How many POSTs there were."""
        return self._state()["asked"]

    def is_idle(self) -> bool:
        """Whether no POST is on its way."""
        return self._state()["in_flight"] == 0

    def _state(self) -> dict[str, int]:
        return self._client.get("/_front/state").raise_for_status().json()

    def _post(self, path: str, form: dict[str, str]) -> Doc:
        return self._client.post(f"/v1/{path}", data=form).raise_for_status().json()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-keys", action="store_true")
    asyncio.run(_main(keys=not parser.parse_args().no_keys))
