"""One call to Stripe on its SDK: an answer of the documented shape, a refusal, or unknown."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import aiohttp
import msgspec
import stripe

from refundry.processors.contract import Unknown
from refundry.processors.stripe_outcomes import Refusal, read_error

Shape = TypeVar("Shape")


async def answer_of(
    call: Awaitable[stripe.StripeObject], shape: type[Shape], timeout_seconds: float
) -> Shape | Refusal | Unknown:
    """The answer to `call`; whatever goes wrong on the way is unknown."""
    try:
        async with asyncio.timeout(timeout_seconds):
            answer = await call
    except TimeoutError:
        return Unknown("no answer in time")
    except stripe.StripeError as error:
        return read_error(error)
    except (aiohttp.ClientError, OSError) as error:
        return Unknown(f"{type(error).__name__}: {error}"[:500])
    try:
        return msgspec.convert(answer.to_dict(), shape)
    except msgspec.ValidationError as error:
        return Unknown(f"unreadable answer: {error}"[:500])


def words(answer: Refusal | Unknown) -> str:
    """Why there is no answer."""
    return answer.error if isinstance(answer, Unknown) else answer.message
