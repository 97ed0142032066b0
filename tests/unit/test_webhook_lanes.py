"""How much a worker takes in hands."""

import pytest

from refundry.webhooks.lanes import MOST_AT_ONCE, share


def test_a_few_webhooks_get_much_at_once() -> None:
    assert share(0) == share(1) == share(50) == 300


@pytest.mark.parametrize("lanes", [100, 200, 1000])
def test_many_webhooks_share_what_fits_into_memory(lanes: int) -> None:
    assert share(lanes) * lanes == 20_000


def test_every_webhook_can_keep_its_requests_under_way() -> None:
    assert share(10_000) == 2 * MOST_AT_ONCE
