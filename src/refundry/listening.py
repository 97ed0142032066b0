"""`refundry listen`: a receiver on this machine with a temporary webhook of the running service."""

import asyncio
import errno
import os
import select
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import click
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, web

from refundry.access import store as access
from refundry.db import embedded
from refundry.db.database import Database, Unreachable, open_database
from refundry.domain.event import EventType
from refundry.sealing import open_vault
from refundry.settings import Settings
from refundry.transcript import (
    PATIENCE_SECONDS,
    Gaps,
    Verdict,
    event_line,
    judge,
    order_of,
    read_event,
)
from refundry.webhooks.signing import HEADER

_API_SECONDS = 10.0
_FORWARD_SECONDS = 10.0
# Who presses Ctrl-C does not wait for a receiver that hangs.
_FINISH_SECONDS = 2.0
_ATTACH_SECONDS = 2.0
_TICK_SECONDS = 0.5
# Far above the largest order with its 500 lines.
_MAX_BODY_BYTES = 32 * 1024 * 1024
# What belongs to a connection and not to what is forwarded over another.
_HOP_HEADERS = frozenset(
    {"host", "content-length", "connection", "keep-alive", "transfer-encoding", "expect"}
)
_OPEN_LOOPBACK = "REFUNDRY_WEBHOOK_ALLOW_NETWORKS=127.0.0.0/8"


class CannotListen(Exception):
    """Why listening could not begin, or left something behind; in words for a person."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What to listen to. url: of the API; types: names or patterns, none for all."""

    url: str
    key: str | None = None
    port: int = 0
    forward_to: str | None = None
    as_json: bool = False
    types: tuple[str, ...] = ()


class Screen:
    """Standard output and what is said beside it; `ended` is called when nobody reads on."""

    def __init__(self, ended: Callable[[], None], *, colour: bool) -> None:
        self._ended = ended
        self.colour = colour

    def event(self, text: str) -> None:
        """A line on standard output."""
        try:
            click.echo(text, color=self.colour)
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
            self.close()

    def note(self, text: str, colour: str | None = None) -> None:
        """A line for a person, on standard error."""
        styled = click.style(text, fg=colour) if self.colour and sys.stderr.isatty() else text
        click.echo(styled, err=True)

    def close_if_unread(self) -> None:
        """End where the reader of a pipe has gone, before there is anything to write."""
        poll = select.poll()
        with suppress(OSError, ValueError):  # standard output may be no file at all
            poll.register(sys.stdout.fileno(), 0)
            if any(flags & (select.POLLERR | select.POLLHUP) for _, flags in poll.poll(0)):
                self.close()

    def close(self) -> None:
        """Write no more: what is left in Python's buffer must not fail at its exit either."""
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
        self._ended()


class Receiver:
    """Takes deliveries: checks, prints and forwards them. tokens: set once the webhook is made."""

    def __init__(self, ask: Ask, screen: Screen, session: ClientSession) -> None:
        self._ask = ask
        self._screen = screen
        self._session = session
        self._gaps = Gaps()
        self._forwards: set[asyncio.Task[None]] = set()
        self.tokens: asyncio.Future[tuple[str, ...]] = asyncio.Future()

    async def receive(self, request: web.Request) -> web.Response:
        """Answer a delivery: 200, or 400 for what is no event or not signed by the service."""
        body = await request.read()
        tokens = await self.tokens
        verdict = judge(request.headers.get(HEADER), body, tokens, time.time())
        event = read_event(body)
        if event is None:
            self._screen.note(f"a request that is no event ({len(body)} bytes)", "red")
            return web.Response(status=400)
        self._show(event, body, verdict)
        if verdict is Verdict.BAD:
            return web.Response(status=400)
        self._note_place(event)
        if self._ask.forward_to:
            task = asyncio.create_task(self._forward(request.headers, body, event["type"]))
            self._forwards.add(task)
            task.add_done_callback(self._forwards.discard)
        return web.Response(status=200)

    def tell_gaps(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Say what has been missing for so long."""
        if not self._ask.types:  # Of a selection, most of an order's numbers are missing.
            for text in self._gaps.overdue(time.monotonic(), patience_seconds):
                self._screen.note(text, "red")

    async def finish(self) -> None:
        """Let forwards under way come to their end, if that is near."""
        if self._forwards:
            _, late = await asyncio.wait(self._forwards, timeout=_FINISH_SECONDS)
            for task in late:
                task.cancel()
        self.tell_gaps(0)

    def _show(self, event: Mapping[str, Any], body: bytes, verdict: Verdict) -> None:
        if not self._ask.as_json:
            self._screen.event(event_line(event, verdict, colour=self._screen.colour))
        elif verdict is Verdict.BAD:
            self._screen.note(f"{verdict.value}: {event['id']} is not printed", "red")
        else:
            self._screen.event(body.decode().replace("\n", " "))

    def _note_place(self, event: Mapping[str, Any]) -> None:
        order, place = order_of(event), event.get("sequence")
        if isinstance(order, str) and isinstance(place, int):
            self._gaps.see(order, place, time.monotonic())

    async def _forward(self, headers: Mapping[str, str], body: bytes, kind: str) -> None:
        """Send on what came, byte for byte, and show what came of it."""
        own = {k: v for k, v in headers.items() if k.lower() not in _HOP_HEADERS}
        address, began = self._ask.forward_to or "", time.monotonic()
        timeout = ClientTimeout(_FORWARD_SECONDS)
        try:
            async with self._session.post(
                address, data=body, headers=own, allow_redirects=False, timeout=timeout
            ) as answer:
                outcome, colour = str(answer.status), "green" if answer.ok else "red"
        except (ClientError, OSError, ValueError) as error:
            outcome, colour = f"failed: {error or type(error).__name__}", "red"
        taken = round(1000 * (time.monotonic() - began))
        self._screen.note(f"  -> {kind} to {address}: {outcome} ({taken} ms)", colour)


async def listen(settings: Settings, ask: Ask) -> None:
    """Print what the service delivers until a signal comes or nobody reads on.

    Raises CannotListen.
    """
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    screen = Screen(ended.set, colour=colour)
    types = _chosen(ask.types)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            ClientSession(timeout=ClientTimeout(_API_SECONDS))
        )
        api = _Api(session, ask.url)
        await api.must_answer()
        database = await stack.enter_async_context(_database(settings))
        api.key = ask.key or await _sandbox_key(settings, database)
        receiver = Receiver(ask, screen, session)
        port = await stack.enter_async_context(_receiving(receiver, ask.port))
        stack.push_async_callback(receiver.finish)
        webhook = await stack.enter_async_context(api.webhook(f"http://127.0.0.1:{port}/", types))
        tokens = await _tokens(settings, database, webhook)
        receiver.tokens.set_result(tokens)
        _introduce(screen, ask, port, checked=bool(tokens))
        while not ended.is_set():
            receiver.tell_gaps()
            screen.close_if_unread()
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _TICK_SECONDS)
    screen.note("stopped; the webhook is removed.")


def _introduce(screen: Screen, ask: Ask, port: int, *, checked: bool) -> None:
    screen.note(f"listening on http://127.0.0.1:{port}/ for {ask.url}; end with Ctrl-C")
    if not checked:
        screen.note("signatures cannot be checked: the service's database is not at hand")


def _chosen(patterns: tuple[str, ...]) -> list[str]:
    """The types that patterns such as `refund.*` stand for. Raises CannotListen."""
    names = [each.value for each in EventType]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise CannotListen(f"no event type is called {pattern}")
    return [n for n in names if not patterns or any(fnmatchcase(n, p) for p in patterns)]


class _Api:
    """The running service. key: what it is called with."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self.key = ""

    async def must_answer(self) -> None:
        """Raises CannotListen where nobody, or something else, answers."""
        async with self._call("GET", "/healthz") as answer:
            if answer.status != 200:
                raise CannotListen(f"{self._url} answers {answer.status} to /healthz")

    @asynccontextmanager
    async def webhook(self, address: str, types: list[str]) -> AsyncGenerator[str]:
        """A webhook for as long as the block runs; gives its id."""
        body = {"types": types, "address": address, "enabled": True}
        async with self._call("POST", "/webhooks", body) as answer:
            if answer.status != 201:
                raise CannotListen(_refusal(await _message(answer), answer.status, self.key))
            webhook_id: str = (await answer.json())["id"]
        try:
            yield webhook_id
        finally:
            await self._remove(webhook_id)

    async def _remove(self, webhook_id: str) -> None:
        try:
            async with self._call("DELETE", f"/webhooks/{webhook_id}") as answer:
                status = answer.status
        except CannotListen as error:
            raise CannotListen(f"{error}; the webhook {webhook_id} is left behind") from error
        if status not in (204, 404):
            raise CannotListen(f"the webhook {webhook_id} is left behind: {status}")

    @asynccontextmanager
    async def _call(
        self, method: str, path: str, body: Any = None
    ) -> AsyncGenerator[ClientResponse]:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            async with self._session.request(
                method, self._url + path, json=body, headers=headers, allow_redirects=False
            ) as answer:
                yield answer
        except (ClientError, OSError, ValueError) as error:
            raise CannotListen(
                f"no service answers at {self._url}; start it (refundry serve),"
                " or say with --url where it is"
            ) from error


async def _message(answer: ClientResponse) -> str:
    """What the service says of a refusal."""
    try:
        return "; ".join(each["message"] for each in (await answer.json())["errors"])
    except (ClientError, ValueError, LookupError, TypeError):
        return ""


def _refusal(message: str, status: int, key: str) -> str:
    if status == 401:
        return "the service does not know the key"
    if status == 400 and message.endswith("is not a valid address."):
        live = " and REFUNDRY_WEBHOOK_ALLOW_HTTP=1" if "_live_" in key else ""
        return (
            f"the service may not deliver to this machine ({message.rstrip('.')});"
            f" start the service with {_OPEN_LOOPBACK}{live}"
        )
    return f"the service makes no webhook: {status} {message}".strip()


@asynccontextmanager
async def _receiving(receiver: Receiver, port: int) -> AsyncGenerator[int]:
    """The receiver on 127.0.0.1 for as long as the block runs; gives its port."""
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.router.add_post("/{rest:.*}", receiver.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except (OSError, OverflowError) as error:
            raise CannotListen(f"cannot listen on 127.0.0.1:{port}: {error}") from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _database(settings: Settings) -> AsyncGenerator[Database | None]:
    """The running service's database; None where this process cannot get at it."""
    async with AsyncExitStack() as stack:
        try:
            at_hand = settings.database_url is not None or await asyncio.to_thread(
                embedded.attach, settings.data_dir, timeout_seconds=_ATTACH_SECONDS
            )
            found = await stack.enter_async_context(open_database(settings)) if at_hand else None
        except Unreachable:
            found = None
        yield found


async def _sandbox_key(settings: Settings, database: Database | None) -> str:
    sealed = await access.sandbox_secret(database) if database else None
    if sealed is None:
        where = settings.data_dir if database is None else "the database"
        raise CannotListen(f"no sandbox key is found in {where}: name a key with --key")
    return open_vault(settings).open(sealed)


async def _tokens(
    settings: Settings, database: Database | None, webhook_id: str
) -> tuple[str, ...]:
    """The tokens that sign for the webhook; none where they cannot be read."""
    sealed = database and await database.fetchval(
        "SELECT sealed_token FROM webhooks WHERE id = $1", webhook_id
    )
    return (open_vault(settings).open(sealed),) if sealed else ()
