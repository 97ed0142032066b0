"""One attempt: an event posted to an endpoint, and what the endpoint said to it."""

import asyncio
import base64
import os
import ssl
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from refundry.settings import Settings
from refundry.webhooks.addresses import ForbiddenAddress, Guard, GuardedResolver
from refundry.webhooks.oauth import Credentials, NoToken, TokenSource
from refundry.webhooks.signing import HEADER, sign

ATTEMPT_SECONDS = 3.0
_RESPONSE_BYTES = 4096
_ERROR_CHARACTERS = 500
_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "User-Agent": "Refundry-Webhooks/1",
}
_NOT_OPEN = "the address leads to a network that is not open to webhooks"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook's events go. headers: those that are the same for each of them.

    tokens: where the access tokens come from, if the endpoint wants one.
    refusal: why it may not be sent to, as part of a sentence.
    """

    url: URL
    headers: Mapping[str, str] = field(repr=False)
    tokens: TokenSource | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt. status: of the answer, if there was one, with its first bytes.

    error: why there was no answer, as part of a sentence.
    """

    status: int | None = None
    response: bytes | None = None
    error: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the endpoint took the event."""
        return self.status is not None and 200 <= self.status <= 299


@dataclass(slots=True)
class _Attempt:
    """An attempt on its way. status, response: what the endpoint has said so far."""

    target: Target
    tokens: Sequence[bytes]
    body: bytes
    status: int | None = None
    response: bytearray = field(default_factory=bytearray)


_FAILURES = (aiohttp.ClientError, OSError, ValueError, NoToken)


class Courier:
    """Sends events. Raises nothing: whatever goes wrong is an outcome."""

    def __init__(self, session: aiohttp.ClientSession, guard: Guard, *, allow_http: bool) -> None:
        self._session = session
        self._guard = guard
        self._allow_http = allow_http

    def target(
        self,
        address: str,
        *,
        live: bool,
        basic: tuple[str, str] | None,
        credentials: Credentials | None,
    ) -> Target:
        """Where to send to, and with whose name. basic: user name and password."""
        url = URL(address)
        refusal = self._refusal(url, live=live)
        tokens = None
        if credentials is not None:
            tokens = TokenSource(self._session, credentials)
            refusal = refusal or self._refusal(credentials.end_point, live=live)
        return Target(url, _headers(basic), tokens, refusal)

    async def send(self, target: Target, tokens: Sequence[bytes], body: bytes) -> Outcome:
        """Post an event, signed now with `tokens`; all of it within three seconds.

        An answer counts by its status as soon as that is known, whatever becomes of its body.
        """
        if target.refusal:
            return Outcome(error=target.refusal)
        attempt = _Attempt(target, tokens, body)
        error = None
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await self._send(attempt)
        except TimeoutError:
            error = "no answer within 3 seconds"
        except _FAILURES as failure:
            error = describe(failure)
        if attempt.status is None:
            return Outcome(error=error)
        return Outcome(attempt.status, bytes(attempt.response))

    async def _send(self, attempt: _Attempt) -> None:
        target = attempt.target
        if target.tokens is None:
            await self._post(attempt, target.headers)
            return
        token = await self._token(target.tokens, None)
        await self._post(attempt, {**target.headers, "Authorization": f"Bearer {token}"})
        if attempt.status == 401:
            attempt.status = None
            attempt.response.clear()
            token = await self._token(target.tokens, token)
            await self._post(attempt, {**target.headers, "Authorization": f"Bearer {token}"})

    async def _token(self, source: TokenSource, refused: str | None) -> str:
        try:
            return await source.token(instead_of=refused)
        except _FAILURES as failure:
            raise NoToken(f"no access token: {describe(failure)}") from failure

    async def _post(self, attempt: _Attempt, headers: Mapping[str, str]) -> None:
        """Post once; again where a connection that was kept open turns out to be closed."""
        _connected.set(False)
        try:
            await self._exchange(attempt, headers)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if attempt.status is not None or _connected.get():
                raise
            await self._exchange(attempt, {**headers, "Connection": "close"})

    async def _exchange(self, attempt: _Attempt, headers: Mapping[str, str]) -> None:
        signature = sign(attempt.tokens, int(time.time()), attempt.body)
        async with self._session.post(
            attempt.target.url,
            data=attempt.body,
            headers={**headers, HEADER: signature},
            allow_redirects=False,
        ) as response:
            attempt.status = response.status
            await _read(response, attempt.response)

    def _refusal(self, url: URL, *, live: bool) -> str | None:
        """Why an address may not be sent to, as far as no resolver is asked for it."""
        if url.scheme != "https" and (url.scheme != "http" or (live and not self._allow_http)):
            return "the address does not begin with https"
        host = url.raw_host or ""
        # As aiohttp tells them apart; what it takes for an address and is none is not allowed.
        is_address = ":" in host or host.replace(".", "").isdigit()
        return _NOT_OPEN if is_address and not self._guard.allows(host) else None


def _headers(basic: tuple[str, str] | None) -> Mapping[str, str]:
    """The headers of every request. basic: user name and password."""
    if basic is None:
        return _HEADERS
    pair = base64.b64encode(":".join(basic).encode()).decode()
    return {**_HEADERS, "Authorization": f"Basic {pair}"}


async def _read(response: aiohttp.ClientResponse, into: bytearray) -> None:
    """The first bytes of an answer; a connection that has more to say is closed."""
    while len(into) < _RESPONSE_BYTES:
        part = await response.content.read(_RESPONSE_BYTES - len(into))
        if not part:
            return
        into += part
    if not response.content.at_eof():
        response.close()


def describe(failure: BaseException) -> str:
    """What went wrong, as part of a sentence that people read. No address, no secret."""
    match failure:
        case NoToken():
            text = str(failure)
        case aiohttp.ClientConnectorError(os_error=ForbiddenAddress()):
            text = _NOT_OPEN
        case aiohttp.ClientConnectorDNSError():
            text = "the name of the host cannot be resolved"
        case aiohttp.ClientConnectorCertificateError():
            text = f"the certificate was not accepted: {_reason(failure.certificate_error)}"
        case aiohttp.ClientSSLError():
            text = f"TLS failed: {_reason(failure.os_error)}"
        case aiohttp.ClientConnectorError():
            text = f"no connection: {_reason(failure.os_error)}"
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            text = "the connection was closed without an answer"
        case aiohttp.ClientResponseError():
            text = "the answer is not HTTP"
        case aiohttp.InvalidURL() | ValueError():
            text = "the address cannot be used"
        case _:
            text = f"the connection broke: {type(failure).__name__}"
    return text.replace("\0", " ")[:_ERROR_CHARACTERS]


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return error.reason or type(error).__name__
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return type(error).__name__


@asynccontextmanager
async def open_courier(settings: Settings) -> AsyncGenerator[Courier]:
    """A courier with connections of its own.

    No limit on all connections: an endpoint that hangs would use it up for the others.
    """
    guard = Guard(settings.webhook_networks())
    connector = _Connector(
        limit=0, resolver=GuardedResolver(guard), ssl=ssl.create_default_context()
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=["Accept-Encoding"],
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
    ) as session:
        yield Courier(session, guard, allow_http=settings.webhook_allow_http)


# Whether this task's last request made a connection; otherwise it used one that was kept open.
_connected: ContextVar[bool] = ContextVar("connected", default=False)


class _Connector(aiohttp.TCPConnector):
    """Notes where a connection is made; the client's tracing tells it, too, at a tenth of the
    speed of everything else here."""

    async def _create_connection(self, *args: Any, **options: Any) -> Any:
        _connected.set(True)
        return await super()._create_connection(*args, **options)
