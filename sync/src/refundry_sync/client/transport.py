"""What both clients share of httpx: how long to read, how much, and which errors mean what."""

import httpx

from refundry_sync.client.exchange import Answer, Failure
from refundry_sync.errors import BadAnswer

# Far above the largest page of any list.
LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
# With these, not a byte of the request has left.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class Reading:
    """The body of an answer as it comes in, bounded in size and in time.

    httpx bounds each single wait; a body that trickles would last for ever.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._body = bytearray()

    def add(self, chunk: bytes, now: float) -> None:
        """Raises BadAnswer when it is too much, ReadTimeout when it takes too long."""
        self._body += chunk
        if len(self._body) > LARGEST_ANSWER_BYTES:
            raise BadAnswer(f"an answer of more than {LARGEST_ANSWER_BYTES} bytes")
        if now > self._deadline:
            raise httpx.ReadTimeout("the answer was not complete in time")

    def answer(self, response: httpx.Response, seconds: float) -> Answer:
        return Answer(response.status_code, response.headers, bytes(self._body), seconds)


def failure(error: httpx.RequestError, seconds: float) -> Failure:
    """What an error of httpx means for the call."""
    return Failure(error, not isinstance(error, _NOT_SENT), seconds)
