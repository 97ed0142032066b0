"""Files of lists, read part by part from a real database."""

import csv
import io
from collections.abc import Sequence

import pytest

from refundry.operations.work import Worker
from refundry.portal.csv_export import Cell, Export, stream_csv
from refundry.portal.pages import Streamed
from tests.support.books import Shop, open_shop
from tests.support.fixtures import order_body


async def _rows(ids: list[str]) -> Sequence[Sequence[Cell]]:
    return [[each] for each in ids]


def _file(shop: Shop, *, batch: int) -> Streamed:
    export = Export("orders", ["ID"], _rows, batch)
    return stream_csv(shop.database, shop.tenant, "orders", [], export)


async def _read(streamed: Streamed) -> list[str]:
    text = b"".join([part async for part in streamed.events]).decode()
    return [row[0] for row in csv.reader(io.StringIO(text, newline=""))]


@pytest.mark.parametrize("batch", [1, 2, 5, 6])
async def test_a_file_is_whole_however_it_is_read(worker: Worker, batch: int) -> None:
    shop, other = await open_shop(worker), await open_shop(worker)
    await other.take_in(order_body("A"))
    orders = [(await shop.take_in(order_body("A")))["id"] for _ in range(5)]
    assert await _read(_file(shop, batch=batch)) == ["ID", *reversed(orders)]
    assert await _read(_file(await open_shop(worker), batch=batch)) == ["ID"]


async def test_what_is_added_meanwhile_shifts_nothing(worker: Worker) -> None:
    shop = await open_shop(worker)
    orders = [(await shop.take_in(order_body("A")))["id"] for _ in range(4)]
    streamed = _file(shop, batch=2)
    parts = [await anext(streamed.events), await anext(streamed.events)]
    await shop.take_in(order_body("A"))
    parts += [part async for part in streamed.events]
    assert b"".join(parts).decode().split() == ["ID", *reversed(orders)]
