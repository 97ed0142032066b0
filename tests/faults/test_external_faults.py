"""An external PostgreSQL: connections cut in the middle, and a primary that dies.

REFUNDRY_FAULT_ROUNDS says how often the primary does (2).
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.conftest import Figures
from tests.faults.postgres import Node, url_of
from tests.faults.relay import Relay
from tests.faults.shop import environment, open_shop
from tests.faults.test_embedded_faults import UNAVAILABLE
from tests.support.processes import eventually
from tests.support.service import Processor, Service

pytestmark = pytest.mark.faults
ROUNDS = int(os.environ.get("REFUNDRY_FAULT_ROUNDS", "2"))
SEED = random.randrange(2**32)
# Of a hundred pieces of bytes: how many are the last ones of their connection.
LIKELIHOOD = 0.02
CUTS = 60


def on(url: str, processor: Processor) -> Service:
    return Service("serve", {**environment(processor), "REFUNDRY_DATABASE_URL": url})


def test_connections_cut_in_the_middle_lose_nothing(
    node: Node, processor: Processor, figures: Figures
) -> None:
    with ExitStack() as stack:
        relay = stack.enter_context(Relay(node.port, SEED))
        service = on(url_of([node], relay.port), processor)
        shop = stack.enter_context(open_shop(service, processor))
        with shop.load() as calling:
            calling.more(50)
            relay.likelihood = LIKELIHOOD
            assert eventually(lambda: relay.cuts >= CUTS * ROUNDS, 60)
            relay.likelihood = 0.0
            now = time.monotonic()
            seconds = calling.recovery_seconds(now, now)
            calling.more(50)
        shop.judge(calling, UNAVAILABLE)
    figures.recovered(f"{relay.cuts} connections cut (seed {SEED})", [seconds])


@pytest.fixture
def pair() -> Iterator[list[Node]]:
    with Node("alpha") as alpha, Node("beta") as beta:
        alpha.make()
        yield [alpha, beta]


def make_synchronous(primary: Node, standby: Node) -> None:
    """From now on no commit of `primary` is answered before `standby` has it on disk."""
    standby.follow(primary)
    primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standby.name}'")
    primary.execute("SELECT pg_reload_conf()")
    state = "SELECT sync_state FROM pg_stat_replication"
    assert eventually(lambda: primary.execute(state) == "sync")


def test_a_dead_primary_loses_nothing_that_was_acknowledged(
    pair: list[Node], processor: Processor, figures: Figures
) -> None:
    """The standby is promoted as soon as the primary is dead, and takes over under the same URL.

    Each round ends with the dead node as the standby of the other one.
    """
    primary, standby = pair
    make_synchronous(primary, standby)
    after_death: list[float] = []
    after_promotion: list[float] = []
    with open_shop(on(url_of(pair), processor), processor) as shop:
        for _ in range(ROUNDS):
            with shop.load() as calling:
                calling.more(100)
                began = time.monotonic()
                primary.kill()
                standby.promote()
                ended = time.monotonic()
                after_promotion.append(calling.recovery_seconds(began, ended))
                after_death.append(after_promotion[-1] + ended - began)
                calling.more(50)
            shop.judge(calling, UNAVAILABLE)
            primary, standby = standby, primary
            make_synchronous(primary, standby)
    figures.recovered("primary, kill -9, from its death", after_death)
    figures.recovered("primary, kill -9, from the promotion", after_promotion)
