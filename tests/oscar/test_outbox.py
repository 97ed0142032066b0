"""Orders and shipments reach Refundry exactly, whatever is down meanwhile."""

import json
import time

import pytest

from tests.support.http import money
from tests.support.oscar_shop import Shop, until
from tests.support.service import Service

# A checkout's part of it is milliseconds; the command starts Django first.
PLACING_SECONDS = 60
PLACE_MANY = """
import json, random
from shop.prices import TaxAdded, Taxed
from shop.seeding import PRODUCTS, place_order
chance = random.Random(6)
placed = {}
for n in range(24):
    picked = chance.sample([each[1] for each in PRODUCTS], chance.randint(1, 4))
    lines = [(sku, chance.randint(1, 7)) for sku in picked]
    strategy = chance.choice([Taxed, TaxAdded])
    order = place_order(lines, voucher=chance.choice(["", "SAVE10"]), strategy=strategy)
    order.refresh_from_db()
    placed[order.number] = [str(order.total_incl_tax), str(order.shipping_incl_tax)]
print("placed", json.dumps(placed))
"""


def known(shop: Shop, number: str) -> bool:
    return shop.api.get(f"/orders/{number}").status_code == 200


def test_orders_of_oscar_arrive_with_the_amounts_that_were_paid(shop: Shop) -> None:
    """Offers on gross and on net prices, two rates, units of four decimals, vouchers, a fee."""
    said = shop.manage("manage.py", "shell", "-c", PLACE_MANY)
    placed = json.loads(said.split("placed ")[-1])
    until(lambda: all(known(shop, number) for number in placed))
    for number, (total, shipping) in placed.items():
        order = shop.order(number)
        assert order["totalAmount"] == money(total)
        choice = order["shippingChoice"]
        assert choice["amount"] + choice["taxAmount"] == money(shipping)
        assert order["totalFees"] == money("0.84")
    assert shop.query_one("SELECT COUNT(*) FROM refundry_oscar_outgoing WHERE refused <> ''") == 0


def test_a_refundry_that_is_down_delays_and_loses_nothing(shop: Shop, service: Service) -> None:
    service.stop()
    began = time.monotonic()
    number = shop.place([("rain-jacket", 1), ("trail-mix", 3)])
    assert time.monotonic() - began < PLACING_SECONDS
    trouble = (
        "SELECT MIN(attempts) FROM refundry_oscar_outgoing o JOIN order_order p"
        " ON p.id = o.order_id WHERE p.number = ? AND kind = 'order'"
    )
    until(lambda: shop.query_one(trouble, number) >= 1)
    shop.stop_worker()
    service.start()
    shop.start_worker()
    order = shop.complete(number)
    assert order["capturedAmount"] == order["totalAmount"]
    assert [item["state"] for item in order["items"]] == ["fulfilled", "fulfilled"]


@pytest.mark.check
def test_an_order_that_was_placed_without_a_row_is_found(shop: Shop) -> None:
    """As after a process that died between the order and its row."""
    shop.stop_worker()
    code = (
        "from shop.seeding import place_order, ship\n"
        "from refundry_sync.oscar.models import Outgoing\n"
        "order = place_order([('wool-socks', 2)])\n"
        "ship(order, [1])\n"
        "Outgoing.objects.filter(order=order).delete()\n"
        "print('number', order.number)\n"
    )
    number = shop.manage("manage.py", "shell", "-c", code).split("number ")[-1].strip()
    shop.start_worker()
    until(lambda: known(shop, number))

    def is_captured() -> bool:
        shop.settle()
        return shop.order(number)["capturedAmount"] > 0

    until(is_captured)
    found = shop.order(number)
    assert found["state"] == "accepted"


def test_what_refundry_refuses_is_shown_to_staff_and_sent_again(shop: Shop) -> None:
    code = (
        "from decimal import Decimal\n"
        "from shop.seeding import place_order\n"
        "order = place_order([('wool-socks', 1)])\n"
        "order.total_incl_tax += 7\n"
        "order.save()\n"
        "print('number', order.number)\n"
    )
    number = shop.manage("manage.py", "shell", "-c", code).split("number ")[-1].strip()
    refused = (
        "SELECT MAX(refused) FROM refundry_oscar_outgoing o JOIN order_order p"
        " ON p.id = o.order_id WHERE p.number = ?"
    )
    until(lambda: "do not add up" in shop.query_one(refused, number))
    assert not known(shop, number)
    mend = (
        "from oscar.core.loading import get_model\n"
        "from django.utils import timezone\n"
        "from refundry_sync.oscar import outbox\n"
        f"order = get_model('order', 'Order').objects.get(number='{number}')\n"
        "order.total_incl_tax -= 7\n"
        "order.save()\n"
        "outbox.send_again(order.refundry_outgoing.get(), timezone.now())\n"
    )
    shop.manage("manage.py", "shell", "-c", mend)
    until(lambda: known(shop, number))


@pytest.mark.check
def test_no_migration_is_missing(shop: Shop) -> None:
    said = shop.manage("manage.py", "makemigrations", "--check", "--dry-run", "refundry_oscar")
    assert "No changes detected" in said
