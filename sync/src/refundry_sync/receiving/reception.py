"""What an endpoint asks of the code behind it, whatever the web framework."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

# What the server sends is below it.
LARGEST_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reception:
    """The answer to a webhook. body: JSON, or empty."""

    status: int
    body: bytes = b""


# Takes the headers by lower-case name and the raw body. What it raises becomes a 500 by the web
# framework, so that the event comes again.
Receive = Callable[[Mapping[str, str], bytes], Reception]

TOO_LARGE = Reception(413, b'{"message":"The body is larger than 1 MiB."}')
ONLY_POST = Reception(405, b'{"message":"Only POST is allowed."}')
CUT_SHORT = Reception(400, b'{"message":"The body is incomplete."}')
NO_LENGTH = Reception(411, b'{"message":"The length of the body is missing."}')


def headers_of(reception: Reception) -> list[tuple[str, str]]:
    """Those of an answer."""
    found = [("content-length", str(len(reception.body)))]
    if reception.body:
        found.append(("content-type", "application/json"))
    if reception.status == 405:
        found.append(("allow", "POST"))
    return found
