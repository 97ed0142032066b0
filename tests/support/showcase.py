"""An account in which every kind of page has something to show."""

from tests.support.answers import status
from tests.support.disputes import charge_back, given_dispute
from tests.support.fixtures import (
    ask,
    card,
    fulfil,
    given_accepted,
    given_captured,
    given_half_captured,
    paid_by,
    refund,
    refund_line,
    settle,
)
from tests.support.http import Api
from tests.support.receiver import Receiver
from tests.support.returns import accepted_return, given_return
from tests.support.webhooks import subscribe

CAPTURE_FAILS = "4000 0000 0000 4103"


def fill(api: Api, receiver: Receiver) -> None:
    """Orders, refunds and returns in each of their states, disputes, webhooks, refused calls."""
    subscribe(api, receiver.endpoint(status(202, b"thanks")))
    given_half_captured(api)
    given_accepted(api, "N")
    fulfil(api, given_accepted(api, "A", payment=paid_by(card(27.01, CAPTURE_FAILS))), 2)
    whole = given_captured(api, "B")
    given_return(api, whole, 1, 2)
    accepted_return(api, whole, 0, 1)
    refund_line(api, given_captured(api, "E"), percent=50)
    refund(api, given_captured(api, "R"), amount=5, reason="late_delivery")
    refund(api, given_captured(api, "Q"), percent=50, metadata={"case": "4711"})
    settle(api)
    refund(api, given_captured(api, "G"), amount=10)
    given_dispute(api, given_captured(api, "A"))
    charge_back(api, given_captured(api, "A"), 10.00)
    assert ask(api, whole, amount=999).status_code == 400
