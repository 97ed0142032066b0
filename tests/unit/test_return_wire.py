import json
from dataclasses import replace
from typing import Any

from refundry.domain.event import Draft, EventType
from refundry.domain.order import Order
from refundry.domain.returns import Return, ReturnState
from refundry.http.document import to_json
from refundry.returns.wire import render_return, return_view
from tests.support.reference import problems_of
from tests.unit.given import SECOND, cells, line
from tests.unit.given_returns import goods, order_v, order_w, shipped, spent

LOCATION = '{"address":{"line1":"12 Harbor St"}}'


def view(returned: Return, order: Order, *, live: bool = False) -> dict[str, Any]:
    """The resource as JSON brings it, which fits the reference."""
    shown = json.loads(to_json(return_view(returned, order, live=live)))
    assert problems_of(shown, {"$ref": "#/components/schemas/Return"}) == []
    return shown


def test_a_new_return_is_shown_with_its_estimates() -> None:
    assert view(goods(2, 3), order_w()) == {
        "id": "ret_1",
        "createdTime": "2024-05-01T09:58:12Z",
        "updatedTime": "2024-05-01T09:58:12Z",
        "currency": "USD",
        "items": [
            {
                "itemId": "line0",
                "amount": 21.61,
                "quantity": 2,
                "quantityAccepted": 0,
                "skuId": "sku-tee",
                "state": "created",
            },
            {
                "itemId": "line1",
                "amount": 48.61,
                "quantity": 3,
                "quantityAccepted": 0,
                "skuId": "sku-cap",
                "state": "created",
            },
        ],
        "orderId": "o1",
        "state": "created",
        "liveMode": False,
    }


def test_what_has_no_value_is_left_out() -> None:
    order = shipped(line(cells(100)))
    bare = view(goods(1), order)
    assert {"reason", "location", "refundIds", "metadata"}.isdisjoint(bare)
    assert "skuId" not in bare["items"][0]
    full = replace(
        goods(1, reason="late"), location=LOCATION, metadata='{"a":1.50}', refund_ids=("re_1",)
    )
    shown = view(full, order, live=True)
    assert (shown["reason"], shown["refundIds"], shown["liveMode"]) == ("late", ["re_1"], True)
    assert (shown["location"], shown["metadata"]) == (json.loads(LOCATION), {"a": 1.5})


def test_an_amount_that_is_gone_is_shown_as_zero() -> None:
    text = to_json(return_view(goods(0, 3), spent(order_v(), 1, 6482), live=False)).decode()
    assert '"amount":0.0' in text


def accepted() -> Return:
    first, second = goods(2, 3).items
    items = replace(first, accepted=2, amount=2161), replace(second, accepted=3, amount=0)
    return replace(goods(2, 3), items=items, state=ReturnState.ACCEPTED)


def test_an_accepted_return_shows_what_was_refunded_whatever_is_left() -> None:
    items = view(accepted(), order_w())["items"]
    assert [item["amount"] for item in items] == [21.61, 0.0]
    assert [item["quantityAccepted"] for item in items] == [2, 3]
    assert {item["state"] for item in items} == {"accepted"}


def draft(after: Return, before: Return | None = None) -> Draft:
    changed = ("items", "location", "metadata") if before else ()
    kind = EventType.RETURN_UPDATED if before else EventType.RETURN_CREATED
    return Draft(kind, order_w(), goods=after, goods_before=before, changed=changed)


def test_an_event_of_a_return_shows_it() -> None:
    rendered = render_return(draft(goods(2, 3)), live=True)
    assert rendered is not None
    assert json.loads(rendered.object) == view(goods(2, 3), order_w(), live=True)
    assert rendered.previous is None


def test_an_update_tells_what_changed_and_how_it_was() -> None:
    before = replace(goods(2), metadata='{"a":1}')
    first = replace(before.items[0], accepted=1)
    after = replace(before, items=(first,), location=LOCATION, updated_at=SECOND)
    rendered = render_return(draft(after, before), live=False)
    assert rendered is not None
    assert json.loads(rendered.object)["items"][0]["quantityAccepted"] == 1
    previous = json.loads(rendered.previous or "")
    assert previous == {"items": view(before, order_w())["items"], "location": {}}


def test_metadata_that_was_absent_was_empty() -> None:
    after = replace(goods(2), metadata='{"a":1}')
    rendered = render_return(draft(after, goods(2)), live=False)
    assert rendered is not None
    assert json.loads(rendered.previous or "") == {"metadata": {}}


def test_other_drafts_are_left_to_others() -> None:
    assert render_return(Draft(EventType.ORDER_REFUNDED, order_w()), live=False) is None
