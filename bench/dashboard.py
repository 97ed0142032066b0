"""`python -m bench.dashboard`: how long pages take, and what they weigh, with many orders."""

import argparse
import asyncio
import contextlib
import http.client
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import asyncpg
from argon2 import PasswordHasher

from bench.laying import FIRST_ORDER
from bench.measures import Measure, percentile, to_lines
from bench.processes import processor_seconds
from bench.stage import BenchFailed
from bench.tables import Tables, say
from bench.volume import STEP
from refundry.access.audit_log import COMMAND_LINE
from refundry.access.people import NewUser, create_user
from refundry.access.rights import Role
from refundry.db.database import open_database
from refundry.portal.rendering import asset_address

_PASSWORD = "of the benchmark alone"
# Not of the beginning: there the pages of a table may be in memory for other reasons.
_SPREAD = 40
_WARM = 3
_PERIODS = 45
_MOST_DAYS = 366
_ASSETS = ("style.css", "portal.js")


@dataclass(slots=True)
class Browser:
    """One person's browser: a connection that stays open, and a cookie."""

    connection: http.client.HTTPConnection
    cookies: dict[str, str]

    def ask(self, method: str, path: str, fields: Mapping[str, str] | None = None) -> bytes:
        """The body of an answer; a redirect counts as one. Raises BenchFailed."""
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        body = None
        if fields is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(fields)
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status not in (200, 303):
            raise BenchFailed(f"{method} {path}: {response.status} {text.decode()[:500]}")
        for name, morsel in SimpleCookie(response.headers.get("Set-Cookie", "")).items():
            self.cookies[name] = morsel.value
        return text

    def sign_in(self, email: str) -> None:
        """Begin a session. Raises BenchFailed."""
        form = self.ask("GET", "/dashboard/login").decode()
        token = re.search(r'name="csrf_token" value="([^"]+)"', form)
        if token is None:
            raise BenchFailed("the sign-in page has no form")
        fields = {"csrf_token": token[1], "email": email, "password": _PASSWORD}
        self.ask("POST", "/dashboard/login", fields)


def main() -> None:
    """Exit 0, however slow it was; 1 where something broke."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000, help="how many are laid [100000]")
    parser.add_argument("--times", type=int, default=40, help="how often a page is asked for [40]")
    parser.add_argument("--folder", type=Path, help="keep the tables there, for the next time")
    asked = parser.parse_args()
    if asked.orders < _SPREAD or asked.times < 1:
        parser.error(f"--orders must be at least {_SPREAD} and --times at least 1")
    with contextlib.ExitStack() as stack:
        folder = asked.folder or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="refundry-dashboard-"))
        )
        try:
            measures = list(run(Tables(folder, asked.orders), asked.times))
        except BenchFailed as error:
            sys.exit(f"bench: {error}")
    print(to_lines(measures))


def run(tables: Tables, times: int) -> Iterator[Measure]:
    """Ask for every kind of page, in turn. Raises BenchFailed."""
    tables.lay()
    with tables.database() as server, tables.stage.service("api") as service:
        assert server is not None
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        with contextlib.closing(connection):
            browser = Browser(connection, {})
            assets = sum(len(browser.ask("GET", asset_address(name))) for name in _ASSETS)
            yield Measure("page_style_and_script_weight", assets / 1000, "kB")
            browser.sign_in(_new_user(tables))
            for name, paths in _pages(tables).items():
                say(f"    {name}")
                yield from _measure(browser, name, paths, times, (service.pid, server.pid))


def _new_user(tables: Tables) -> str:
    """An administrator of the account whose orders are laid."""
    email = f"bench-{time.time_ns()}@shop.example"
    new = NewUser(email, Role.ADMINISTRATOR, password_hash=PasswordHasher().hash(_PASSWORD))

    async def make() -> None:
        async with open_database(tables.stage.settings) as database:
            account_id = await database.fetchval(
                "SELECT account_id FROM orders WHERE id = $1", str(FIRST_ORDER)
            )
            await create_user(database, COMMAND_LINE, account_id, new, datetime.now(UTC))

    asyncio.run(make())
    return email


def _pages(tables: Tables) -> dict[str, list[str]]:
    """Paths by the name of their page, spread over what is laid."""
    orders = [str(FIRST_ORDER + n * (tables.orders // _SPREAD)) for n in range(_SPREAD)]
    refunds, first = tables.run(lambda connection: _laid(connection, orders))
    last = first + tables.orders * STEP
    # What Home sums up it keeps for a while: other periods are asked for each time, and one again.
    days = [_period(first, 30 + n, n) for n in range(_PERIODS)]
    whole = [_period(first, (last - first).days + 1 + n) for n in range(_PERIODS)]
    return {
        "order": [f"/dashboard/orders/{each}" for each in orders],
        "refund": [f"/dashboard/refunds/{each}" for each in refunds],
        "new_refund": [f"/dashboard/orders/{each}/refunds/new" for each in orders],
        "orders": ["/dashboard/orders"],
        "orders_by_id": [f"/dashboard/orders?q={each}" for each in orders],
        "orders_by_email": ["/dashboard/orders?q=ana.lind@example.com"],
        "orders_over_refunded": ["/dashboard/orders?over=true"],
        "refunds": ["/dashboard/refunds"],
        "refunds_of_type": ["/dashboard/refunds?type=order"],
        "refunds_of_rare_type": ["/dashboard/refunds?type=fees"],
        "refunds_of_rare_currency": ["/dashboard/refunds?currency=JPY"],
        "refunds_of_currency": ["/dashboard/refunds?currency=USD"],
        "refunds_by_amount": ["/dashboard/refunds?min=5&max=5"],
        "home": [f"/dashboard?{each}" for each in days],
        "home_again": [f"/dashboard?{days[0]}"],
        "home_chart": [f"/dashboard/home/states.svg?{days[0]}"],
        "home_of_all": [f"/dashboard?{each}" for each in whole],
    }


def _period(first: date, end: int, begin: int = 0) -> str:
    """From one day until before another, counted from `first`; as long as Home allows."""
    last = min(end - 1, begin + _MOST_DAYS - 1)
    return f"from={first + timedelta(days=begin)}&to={first + timedelta(days=last)}"


async def _laid(
    connection: "asyncpg.Connection[asyncpg.Record]", orders: list[str]
) -> tuple[list[str], date]:
    """A refund of each of these orders, and the day of the first order."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (order_id) id FROM refunds WHERE order_id = ANY ($1)", orders
    )
    first = await connection.fetchval(
        "SELECT created_at FROM orders WHERE id = $1", str(FIRST_ORDER)
    )
    return [row["id"] for row in rows], first.astimezone(UTC).date()


def _measure(
    browser: Browser, name: str, paths: list[str], times: int, pids: tuple[int, int]
) -> Iterator[Measure]:
    """Time from request to whole answer, one at a time; processor time of service and database."""
    millis: list[float] = []
    most = 0
    for number in range(_WARM):
        browser.ask("GET", paths[-1 - number % len(paths)])
    before = [processor_seconds(pid) for pid in pids]
    for number in range(times):
        begun = time.perf_counter()
        body = browser.ask("GET", paths[number % len(paths)])
        millis.append(1000 * (time.perf_counter() - begun))
        most = max(most, len(body))
    used = [processor_seconds(pid) - seconds for pid, seconds in zip(pids, before, strict=True)]
    yield Measure(f"page_{name}_p50", percentile(millis, 50), "ms")
    yield Measure(f"page_{name}_p95", percentile(millis, 95), "ms")
    yield Measure(f"page_{name}_cpu_service", 1000 * used[0] / times, "ms/request")
    yield Measure(f"page_{name}_cpu_postgres", 1000 * used[1] / times, "ms/request")
    yield Measure(f"page_{name}_weight", most / 1000, "kB")


if __name__ == "__main__":
    main()
