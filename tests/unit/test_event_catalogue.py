"""The table of events is whole, and the sequences in it are those that really come."""

from refundry.domain.event import EventType
from refundry.domain.event_catalogue import EMISSIONS, FLOWS, Resource
from refundry.http.reference import reference_page
from tests.support.fixtures import CAPTURE, FAILURE, SUCCESS
from tests.support.reference import DOCUMENT


def test_every_type_says_when_it_is_sent_and_with_what() -> None:
    assert set(EMISSIONS) == set(EventType)
    assert {each.resource for each in EMISSIONS.values()} == set(Resource)
    for kind, each in EMISSIONS.items():
        assert each.when.endswith("."), kind
        prefix = kind.rpartition(".")[0]
        alone = {"refund": "Refund", "return": "Return", "order": "Order"}
        assert each.resource == alone.get(prefix, each.resource), kind
        assert (each.resource == "Charge") == kind.startswith("order.charge."), kind


def test_the_sequences_are_those_of_the_contract() -> None:
    known = {flow.name: list(flow.types) for flow in FLOWS}
    assert known["an order is fulfilled in full"] == CAPTURE
    assert known["a refund is paid"] == SUCCESS
    assert known["a refund is refused"] == FAILURE


def test_the_reference_page_shows_every_type() -> None:
    page = reference_page(DOCUMENT)
    for kind in EventType:
        assert f"<code>{kind}</code>" in page, kind
