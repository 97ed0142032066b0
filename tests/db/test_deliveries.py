"""Deliveries on the real database, to endpoints in this process."""

from tests.support.books import Shop
from tests.support.endpoints import (
    attempts_of,
    endpoint,
    given_events,
    given_webhook,
    states_of,
    stored,
)


async def test_a_drain_delivers_what_is_due(shop: Shop) -> None:
    async with endpoint() as end:
        webhook = await given_webhook(shop, end.url)
        ids = await given_events(shop, 25)
        await shop.settle()
        assert sorted(end.ids) == sorted(ids)
        assert await states_of(shop, webhook) == {"succeeded": 25}
        attempts = await attempts_of(shop, webhook)
        assert {(each["attempt"], each["status"], each["error"]) for each in attempts} == {
            (1, 204, None)
        }
        assert (await stored(shop, webhook))["last_success_at"] is not None
