"""Access tokens for webhooks that ask for them (contract, webhooks, section 7)."""

import asyncio
import time
from dataclasses import dataclass, field

import aiohttp
import msgspec
from yarl import URL

_MOST_BYTES = 64 * 1024
_DEFAULT_LIFE_SECONDS = 300.0
# A token must not run out on its way.
_MARGIN_SECONDS = 60.0


class NoToken(Exception):
    """No access token was to be had; the message says why, as part of a sentence."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where and as whom to ask for a token."""

    end_point: URL
    client_id: str
    client_secret: str = field(repr=False)
    grant_type: str
    user_name: str | None
    password: str | None = field(repr=False)

    def form(self) -> dict[str, str]:
        """The request. The password grant is for those who have a user name."""
        fields = {"client_id": self.client_id, "client_secret": self.client_secret}
        if self.grant_type == "password" and self.user_name:
            user = {"username": self.user_name, "password": self.password or ""}
            return {"grant_type": "password"} | fields | user
        return {"grant_type": "client_credentials"} | fields


class Answer(msgspec.Struct):
    """What a token endpoint answers."""

    access_token: str
    expires_in: float | None = None


class TokenSource:
    """The tokens of one webhook: cached, and asked for by one request at a time."""

    def __init__(self, session: aiohttp.ClientSession, credentials: Credentials) -> None:
        self._session = session
        self._credentials = credentials
        self._asking = asyncio.Lock()
        self._token: str | None = None
        self._good_until = 0.0

    @property
    def end_point(self) -> URL:
        """Where tokens come from."""
        return self._credentials.end_point

    async def token(self, *, instead_of: str | None = None) -> str:
        """An access token; instead_of: one that the endpoint refused. Raises NoToken.

        May raise what the client raises, and wait: the caller limits the time.
        """
        async with self._asking:
            fresh = time.monotonic() < self._good_until
            if self._token is None or not fresh or self._token == instead_of:
                await self._ask()
            assert self._token is not None
            return self._token

    async def _ask(self) -> None:
        self._token = None
        async with self._session.post(
            self._credentials.end_point, data=self._credentials.form(), allow_redirects=False
        ) as response:
            if response.status != 200:
                raise NoToken(f"the token endpoint answered {response.status}")
            answer = _read(await _body(response))
        life = _DEFAULT_LIFE_SECONDS
        if answer.expires_in is not None:
            life = answer.expires_in - _MARGIN_SECONDS
        self._token = answer.access_token
        self._good_until = time.monotonic() + life


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in response.content.iter_chunked(4096):
        body += part
        if len(body) > _MOST_BYTES:
            raise NoToken("the answer of the token endpoint is too long")
    return bytes(body)


def _read(body: bytes) -> Answer:
    try:
        answer = msgspec.json.decode(body, type=Answer, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoToken("the answer of the token endpoint holds no access token") from error
    token = answer.access_token
    # It becomes part of a header line.
    if not token or not token.isascii() or not token.isprintable():
        raise NoToken("the access token cannot be sent in a header")
    return answer
