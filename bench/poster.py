"""The reference for deliveries: `python -m bench.poster PORT COUNT BYTES` posts the same body COUNT
times, ten at once, with the HTTP client that the worker uses and with nothing else around it."""

import asyncio
import sys

import aiohttp
import uvloop

AT_ONCE = 10
_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "User-Agent": "Refundry-Webhooks/1",
    "DigitalRiver-Signature": "1714557600, " + 43 * "A" + "=",
}


async def _post(port: int, count: int, size: int) -> None:
    body = b"{" + b" " * (size - 2) + b"}"
    left = iter(range(count))
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def post_on() -> None:
            for _ in left:
                async with session.post(
                    f"http://127.0.0.1:{port}/", data=body, headers=_HEADERS
                ) as answer:
                    await answer.read()

        await asyncio.gather(*(post_on() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    uvloop.run(_post(*map(int, sys.argv[1:])))
