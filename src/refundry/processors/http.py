"""The `http` processor: signed JSON to an adapter of the merchant's own (docs/processors/http.md).

The adapter keeps each operation's id and answer for good, so that a repeat is simply asked again.
Source of the first form of the protocol: contract, refunds, section 11; what came later (look-ups,
lists, checks, receipts) is optional for an adapter: without it nothing is worse than unknown.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
import msgspec
from yarl import URL

from refundry.domain.charge import OperationKind
from refundry.processors.contract import (
    Abilities,
    Captures,
    Finding,
    Found,
    InProgress,
    NeedsInformation,
    Notice,
    Outcome,
    ProcessorRefund,
    Submission,
    Unknown,
)
from refundry.processors.http_notices import read_notices
from refundry.processors.http_protocol import (
    Unreadable,
    problem_of,
    read_answer,
    read_found,
    read_listed,
    read_page,
    request_body,
)
from refundry.processors.manual import needs_bank_details
from refundry.processors.signature import HEADER, sign

# An answer is a few fields; what is larger is not one. A page of a list is some hundred of them.
_MAX_ANSWER_BYTES = 64 * 1024
_MAX_PAGE_BYTES = 1024 * 1024
# Adapters keep keys for good; a hundred years can still be added to a time.
_FOR_GOOD = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class HttpCredentials:
    """url: of the adapter. secret: signs what we send and what we are sent."""

    url: str
    secret: str = field(repr=False)


class HttpProcessor:
    """Posts each operation to one address; time-outs, 5xx and what we cannot read are unknown."""

    name = "http"
    abilities = Abilities(
        captures=Captures.MULTIPLE,
        partial_refunds=True,
        refund_age=None,
        repeats_for=_FOR_GOOD,
        arn=True,
        asynchronous=True,
        bank_detail_refunds=True,
    )

    def __init__(
        self, credentials: HttpCredentials, session: aiohttp.ClientSession, timeout_seconds: float
    ) -> None:
        self._session = session
        self._url = URL(credentials.url)
        self._secret = credentials.secret
        self._timeout = timeout_seconds

    async def submit(self, submission: Submission) -> Outcome:
        """Ask for an operation, signed afresh, under its unchanging operationId."""
        if needs_bank_details(submission):
            return NeedsInformation()
        if submission.kind is OperationKind.AUTHORIZE:
            return InProgress()  # The protocol knows no authorisations.
        try:
            status, body = await self._post(self._url, request_body(submission))
        except OSError as error:
            return Unknown(str(error))
        return read_answer(status, body)

    async def look_up(self, submission: Submission) -> Found:
        """What the adapter keeps under the operation's id; it does nothing for being asked."""
        if submission.kind is OperationKind.AUTHORIZE:
            return InProgress()
        # No kind and no amount: an adapter that overlooks the address must not take it for an
        # operation.
        asked = msgspec.json.encode({"operationId": submission.key})
        try:
            status, body = await self._post(self._address("lookup"), asked)
        except OSError as error:
            return Unknown(str(error))
        return read_found(status, body)

    async def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Sequence[Notice]:
        """What a notification says, if it is signed with our secret. Raises Forged."""
        return read_notices(headers, body, self._secret, now)

    async def refunds_since(self, since: datetime) -> AsyncIterator[ProcessorRefund]:
        """The refunds of the adapter's list; OSError where it gives none that can be read."""
        after: str | None = None
        while True:
            asked = {"since": since.astimezone(UTC), "after": after}
            status, body = await self._post(
                self._address("list"), msgspec.json.encode(asked), _MAX_PAGE_BYTES
            )
            try:
                page = read_page(status, body)
                refunds = [read_listed(refund) for refund in page.refunds]
            except Unreadable as error:
                raise OSError(str(error)) from error
            for refund in refunds:
                yield refund
            if page.next is None or page.next == after:
                return
            after = page.next

    async def check(self) -> Sequence[Finding]:
        """Whether the adapter is there and shares our secret; it does nothing for being asked."""
        what = "The adapter answers, and shares our secret"
        try:
            status, body = await self._post(self._address("check"), b"{}")
        except OSError as error:
            return [Finding(what, f"{self._url.origin()} cannot be asked: {error}")]
        return [Finding(what, problem_of(status, body))]

    def _address(self, name: str) -> URL:
        """Beside the adapter's own address, with its query."""
        return self._url.with_path(f"{self._url.path.rstrip('/')}/{name}", keep_query=True)

    async def _post(
        self, url: URL, body: bytes, most: int = _MAX_ANSWER_BYTES
    ) -> tuple[int, bytes]:
        """Status and body of the answer. Raises OSError, whatever went wrong."""
        headers = {
            "Content-Type": "application/json",
            HEADER: sign(self._secret, int(time.time()), body),
        }
        answer = bytearray()
        try:
            async with asyncio.timeout(self._timeout):
                async with self._session.post(
                    url, data=body, headers=headers, allow_redirects=False
                ) as response:
                    async for part in response.content.iter_chunked(4096):
                        answer += part
                        if len(answer) > most:
                            raise OSError("the answer is too long")
                    return response.status, bytes(answer)
        except TimeoutError as error:
            raise OSError("no answer in time") from error
        except aiohttp.ClientError as error:
            raise OSError(f"{type(error).__name__}: {error}"[:500]) from error
