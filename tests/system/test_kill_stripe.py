"""kill -9 between our request and Stripe's answer: localstripe holds each refund once.

localstripe is a Stripe that others wrote. It ignores idempotency keys: a front keeps them as Stripe
documents it, and is left out for the second run, where only the look-up by our own reference stands
between a repeat and a second payout. REFUNDRY_KILL_ROUNDS says how often the worker is killed (3).
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.contract.servers.localstripe import SECRET_KEY, LocalStripe
from tests.support.command import refundry, run_sql, said
from tests.support.fixtures import ask, get_order, get_refund, order_body
from tests.support.http import Api, Doc, expect
from tests.support.processes import eventually, kill
from tests.support.service import Service

ROUNDS = int(os.environ.get("REFUNDRY_KILL_ROUNDS", "3"))
# How long the worker waits for Stripe; the lease of a killed one is five seconds more.
TIMEOUT_SECONDS = 1
SETTLED_SECONDS = 90.0
CREDENTIALS = json.dumps({"secret_key": SECRET_KEY, "webhook_secret": "whsec_none"})


@dataclass(frozen=True)
class Shop:
    """The service with a gateway to localstripe, and a captured order for each round."""

    service: Service
    stripe: LocalStripe
    api: Api


@pytest.fixture(scope="module", params=["keys", "no keys"])
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    own = {"REFUNDRY_PROCESSOR_TIMEOUT": str(TIMEOUT_SECONDS)}
    with LocalStripe(keys=request.param == "keys") as stripe, Service("serve", own) as service:
        account = service.open_account()
        (row,) = run_sql(
            service.data_dir, "SELECT name FROM accounts WHERE id = $1", account.account_id
        )
        added = refundry(
            "processor", "add", "stripe", "--address", stripe.url, "--account", row["name"],
            data_dir=service.data_dir, stdin=CREDENTIALS,
        )  # fmt: skip
        assert "notifications to:" in said(added)
        yield Shop(service, stripe, service.api(account.secret_test))


def given_paid(shop: Shop) -> tuple[Doc, str]:
    """An order of 27.01 that was captured at localstripe, and the payment there."""
    payment = shop.stripe.pay(2701, "usd")
    body = order_body("A", state="complete")
    body["payment"]["sources"][0]["processorReference"] = payment
    return expect(shop.api.post("/orders", body), 201), payment


def test_a_refund_is_seen_at_stripe(shop: Shop) -> None:
    order, payment = given_paid(shop)
    refund = expect(ask(shop.api, order, amount="13.51"), 201)
    assert eventually(lambda: get_refund(shop.api, refund)["state"] == "succeeded", 30)
    (held,) = shop.stripe.refunds(payment)
    assert held["amount"] == 1351
    assert held["metadata"]["refundry_operation"] == records(shop, refund)[0]
    checked = refundry("processor", "list", data_dir=shop.service.data_dir)
    assert "stripe" in said(checked)


def test_a_killed_worker_never_pays_twice(shop: Shop) -> None:
    chance = random.Random(7)
    orders = [given_paid(shop) for _ in range(ROUNDS)]
    made: list[Doc] = []
    for order, _ in orders:
        # Slow, so that some deaths come before Stripe acts, some after, and some after its answer.
        shop.stripe.plan("none", times=2, seconds=0.3)
        made += [expect(ask(shop.api, order, amount=amount), 201) for amount in ("1.00", "0.50")]
        time.sleep(chance.uniform(0.0, 0.8))
        (worker,) = shop.service.children("worker")
        kill(worker)
        assert eventually(
            lambda worker=worker: shop.service.children("worker") not in ([], [worker])
        )
    assert eventually(lambda: all_succeeded(shop, made), SETTLED_SECONDS + 2 * ROUNDS)
    assert shop.stripe.is_idle()
    for order, payment in orders:
        held = shop.stripe.refunds(payment)
        ours = [refund for refund in made if refund["orderId"] == order["id"]]
        expected = Counter(
            (operation, round(refund["amount"] * 100))
            for refund in ours
            for operation in records(shop, refund)
        )
        assert (
            Counter((one["metadata"]["refundry_operation"], one["amount"]) for one in held)
            == expected
        ), "localstripe holds each refund once"
        refunded = get_order(shop.api, order)["refundedAmount"]
        assert round(refunded * 100) == sum(one["amount"] for one in held) == 150
    audited = said(refundry("audit", data_dir=shop.service.data_dir))
    assert audited.endswith(" orders audited, 0 do not add up.")


def all_succeeded(shop: Shop, made: list[Doc]) -> bool:
    return {get_refund(shop.api, each)["state"] for each in made} == {"succeeded"}


def records(shop: Shop, refund: Doc) -> list[str]:
    """The ids of the charge-level records of a refund."""
    rows = run_sql(
        shop.service.data_dir,
        "SELECT operation_id FROM refund_parts WHERE refund_id = $1",
        refund["id"],
    )
    return [row["operation_id"] for row in rows]
