"""The shop's tables and the synchroniser's beside them in PostgreSQL, as most shops have them."""

import pytest

from tests.support.fixtures import refund
from tests.support.oscar_shop import Shop, until
from tests.support.postgres import External
from tests.support.service import Service

STATUS = (
    "SELECT MAX(refund_status) FROM refundry_oscar_refundryorder r"
    " JOIN order_order o ON o.id = r.order_id WHERE o.number = ?"
)


@pytest.mark.check
def test_a_shop_on_postgresql_stays_in_step(service: Service) -> None:
    with External() as server, Shop(service, server.url()) as shop:
        number = shop.place([("rain-jacket", 1), ("trail-mix", 2)], voucher="SAVE10")
        order = shop.complete(number)
        refund(shop.api, order, amount=10)
        shop.settle()
        until(lambda: shop.query_one(STATUS, number) == "partially_refunded")
        until(lambda: len(shop.mails(number, "is on its way")) == 1)
        refund(shop.api, order, percent=100)
        refund(shop.api, order, type="fees", amount=1)
        shop.settle()
        until(lambda: shop.query_one(STATUS, number) == "refunded")
