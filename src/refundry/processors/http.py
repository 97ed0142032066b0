"""The `http` processor: signed JSON to a configured URL (contract, refunds, section 11)."""

import asyncio
import time

import aiohttp
import msgspec

from refundry.domain.charge import FAILURE_REASONS, Failure, OperationKind
from refundry.domain.money import major_text
from refundry.processors.contract import (
    Declined,
    InProgress,
    NeedsInformation,
    Outcome,
    Settled,
    Submission,
    Unknown,
)
from refundry.processors.manual import needs_bank_details
from refundry.processors.signature import HEADER, sign

# An answer is a few fields; what is larger is not one.
_MAX_ANSWER_BYTES = 64 * 1024


class Answer(msgspec.Struct, rename="camel"):
    """What the processor answers with 200 or 202."""

    state: str
    code: str | None = None
    message: str | None = None
    failure_reason: str | None = None


class HttpConnector:
    """Posts each operation to one URL; time-outs, 5xx and answers we cannot read are unknown."""

    name = "http"

    def __init__(
        self, session: aiohttp.ClientSession, url: str, secret: str, timeout_seconds: float
    ) -> None:
        self._session = session
        self._url = url
        self._secret = secret
        self._timeout = timeout_seconds

    async def submit(self, submission: Submission) -> Outcome:
        """Ask for an operation, signed afresh, under its unchanging operationId."""
        if needs_bank_details(submission):
            return NeedsInformation()
        if submission.kind is OperationKind.AUTHORIZE:
            return InProgress()  # The protocol knows no authorisations.
        body = request_body(submission)
        headers = {
            "Content-Type": "application/json",
            HEADER: sign(self._secret, int(time.time()), body),
        }
        try:
            async with asyncio.timeout(self._timeout):
                async with self._session.post(
                    self._url, data=body, headers=headers, allow_redirects=False
                ) as response:
                    answer = bytearray()
                    async for part in response.content.iter_chunked(4096):
                        answer += part
                        if len(answer) > _MAX_ANSWER_BYTES:
                            return Unknown("the answer is too long")
                    return read_answer(response.status, bytes(answer))
        except TimeoutError:
            return Unknown("no answer in time")
        except (aiohttp.ClientError, OSError) as error:
            return Unknown(f"{type(error).__name__}: {error}"[:500])


def request_body(submission: Submission) -> bytes:
    """The operation as the protocol writes it; the amount is a JSON number of major units."""
    fields: dict[str, object] = {
        "operationId": submission.key,
        "kind": submission.kind.value,
        "chargeId": submission.charge_id,
        "processorReference": submission.processor_reference,
        "amount": msgspec.Raw(major_text(submission.amount, submission.currency.exponent).encode()),
        "currency": submission.currency.code,
    }
    if submission.bank_details is not None:
        fields["bankDetails"] = submission.bank_details
    return msgspec.json.encode(fields)


def read_answer(status: int, body: bytes) -> Outcome:
    """The outcome in an answer. Whatever is not clearly one of the four states is unknown."""
    if status not in (200, 202):
        return Unknown(f"answered {status}")
    try:
        answer = msgspec.json.decode(body, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unknown(f"unreadable answer: {error}"[:500])
    match answer.state:
        case "complete":
            return Settled()
        case "pending":
            return InProgress()
        case "pending_information":
            return NeedsInformation()
        case "failed":
            return Declined(failure_of(answer.code, answer.message, answer.failure_reason))
        case _:
            return Unknown(f"unknown state {answer.state!r}"[:500])


def failure_of(code: str | None, message: str | None, reason: str | None) -> Failure:
    """A processor's failure with our defaults; no reason, or one not ours, is `unknown`."""
    default = Failure()
    known = reason if reason in FAILURE_REASONS else "unknown"
    return Failure(
        (code or default.code)[:200],
        (message or default.message)[:500],
        known,
    )
