"""An endpoint that fails for three days: a warning, then the end, each told by mail."""

import pytest

from tests.support.answers import OK, status
from tests.support.command import run_sql
from tests.support.fixtures import advance, settle
from tests.support.http import Api, Doc, expect
from tests.support.mailbox import Mailbox
from tests.support.receiver import Receiver
from tests.support.service import Account, Service
from tests.support.webhooks import ACCEPTED, accept_order, change, event_ids, subscribe

HOUR = 3600


@pytest.fixture(scope="module")
def service(webhook_service: Service) -> Service:
    return webhook_service


def administer(service: Service, account: Account) -> str:
    """Give the account an administrator, as `refundry init` does."""
    address = f"ops-{account.account_id[:8]}@shop.example"
    run_sql(
        service.data_dir,
        "INSERT INTO users (account_id, id, created_at, email, name, type, role, status)"
        " VALUES ($1, 'usr_ops', now(), $2, 'Ops', 'client', 'administrator', 'staged')",
        account.account_id,
        address,
    )
    return address


def enabled(api: Api, webhook: Doc) -> bool:
    return expect(api.get(f"/webhooks/{webhook['id']}"))["enabled"]


def fail_for(api: Api, hours: int) -> None:
    """Let time pass in steps of six hours, with an event in each."""
    for _ in range(hours // 6):
        advance(api, 6 * HOUR)
        accept_order(api)


def test_three_days_of_failure_end_in_a_webhook_that_is_off_and_two_mails(
    service: Service, account: Account, api: Api, receiver: Receiver, mailbox: Mailbox
) -> None:
    address = administer(service, account)
    endpoint = receiver.endpoint(status(500))
    webhook = subscribe(api, endpoint)
    accept_order(api)
    assert mailbox.to(address) == []
    fail_for(api, 66)
    assert enabled(api, webhook)
    (warning,) = mailbox.to(address)
    fail_for(api, 12)
    assert not enabled(api, webhook)
    (_, disabling) = mailbox.to(address)
    assert warning.subject != disabling.subject
    for mail in (warning, disabling):
        assert endpoint.url in mail.text
        assert mail.sender == "refunds@shop.example"
    before = len(endpoint.arrivals)
    assert accept_order(api)["webhookIds"] == []
    advance(api, 96 * HOUR)
    assert len(endpoint.arrivals) == before
    assert len(mailbox.to(address)) == 2


def test_a_success_starts_the_three_days_anew(
    service: Service, account: Account, api: Api, receiver: Receiver, mailbox: Mailbox
) -> None:
    address = administer(service, account)
    endpoint = receiver.endpoint(status(500))
    webhook = subscribe(api, endpoint)
    accept_order(api)
    fail_for(api, 66)
    endpoint.answer = OK
    accept_order(api)
    endpoint.answer = status(500)
    fail_for(api, 66)
    assert enabled(api, webhook)
    fail_for(api, 12)
    assert not enabled(api, webhook)
    # A warning for each of the two stretches.
    assert len(mailbox.to(address)) == 3


def test_switching_it_on_again_starts_the_three_days_anew(
    service: Service, account: Account, api: Api, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(status(500))
    webhook = subscribe(api, endpoint)
    accept_order(api)
    fail_for(api, 78)
    assert not enabled(api, webhook)
    change(api, webhook, enabled=True)
    fail_for(api, 66)
    assert enabled(api, webhook)
    endpoint.answer = OK
    event = accept_order(api)
    assert event_ids(endpoint)[-1] == event["id"]


def test_one_dead_endpoint_does_not_switch_off_another(api: Api, receiver: Receiver) -> None:
    dead, alive = receiver.endpoint(status(500)), receiver.endpoint(OK)
    webhooks = [subscribe(api, dead), subscribe(api, alive, ACCEPTED)]
    accept_order(api)
    fail_for(api, 78)
    assert [enabled(api, webhook) for webhook in webhooks] == [False, True]
    assert len(alive.arrivals) == 14


def test_a_mail_server_that_is_down_delays_the_mail_and_nothing_else(
    service: Service, account: Account, api: Api, receiver: Receiver, mailbox: Mailbox
) -> None:
    address = administer(service, account)
    endpoint = receiver.endpoint(status(500))
    webhook = subscribe(api, endpoint)
    accept_order(api)
    mailbox.refusing = True
    try:
        fail_for(api, 78)
    finally:
        mailbox.refusing = False
    assert not enabled(api, webhook)
    assert mailbox.to(address) == []
    # Mail is sent by the clock of the world, which no test moves.
    run_sql(
        service.data_dir,
        "UPDATE mails SET due_at = now() WHERE account_id = $1 AND due_at IS NOT NULL",
        account.account_id,
    )
    settle(api)
    assert len(mailbox.to(address)) == 2
