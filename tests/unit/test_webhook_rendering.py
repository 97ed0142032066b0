"""Expanded events: the line items' product details in full."""

import json

from refundry.webhooks.rendering import expand

WHOLE = '{"name":"Tee","physical":{"weight":0.20},"metadata":{"b":"1","a":"2"}}'
DETAILS = {"181": f'{{"taxRate":0.1,"productDetails":{WHOLE}}}', "182": "{}"}


def test_items_get_their_product_details_in_full_and_keep_their_place() -> None:
    text = (
        '{"id":"o","items":[{"id":"181","productDetails":{"name":"Tee"},"amount":20.00},'
        '{"id":"182","amount":1.0}],"state":"complete"}'
    )
    assert expand(text, DETAILS) == text.replace('{"name":"Tee"}', WHOLE)


def test_a_fulfillment_shows_them_in_the_details_of_its_order() -> None:
    text = (
        '{"id":"f","items":[{"itemId":"181","quantity":1}],'
        '"orderDetails":{"items":[{"id":"181","productDetails":{"name":"Tee"}}]}}'
    )
    expanded = json.loads(expand(text, DETAILS))
    assert expanded["orderDetails"]["items"][0]["productDetails"] == json.loads(WHOLE)
    assert expanded["items"] == [{"itemId": "181", "quantity": 1}]


def test_an_item_that_nothing_is_kept_of_stays_as_it_is() -> None:
    text = '{"items":[{"id":"9","productDetails":{"name":"Hat"}}]}'
    assert expand(text, DETAILS) == text
