"""Acceptance case B-16, and what else the pages of webhooks do."""

import json

from tests.portal.conftest import SignIn
from tests.support.answers import OK, status
from tests.support.command import run_sql
from tests.support.fixtures import advance, given_accepted, settle
from tests.support.http import Api, Doc, expect
from tests.support.portal import Screen, Visitor
from tests.support.receiver import Endpoint, Receiver
from tests.support.service import PASSWORD, Account, Service
from tests.support.webhooks import is_signed, only_attempt, subscribe, token_of

WEBHOOKS = "/dashboard/webhooks"
Fields = dict[str, str | list[str]]


def page_of(webhook: Doc) -> str:
    return f"{WEBHOOKS}/{webhook['id']}"


def submit(visitor: Visitor, screen: Screen, form: str, **fields: str | list[str]) -> Screen:
    """Send a form of a page with the right password, unless `fields` say otherwise."""
    found = screen.soup.select_one(form)
    assert found is not None, f"no {form} in {screen.path}: {screen.text[:500]}"
    sent: Fields = dict(screen.fields(form))
    if "types" in sent:
        ticked = found.select("input[name=types][checked]")
        sent["types"] = [str(box["value"]) for box in ticked]
    if "password" in sent and form != "#webhook-form":
        sent["password"] = PASSWORD
    kept = {name: text for name, text in (sent | fields).items() if text != []}
    return visitor.post(str(found["action"]), kept)


def create(visitor: Visitor, address: str, **fields: str | list[str]) -> Screen:
    form = visitor.get(f"{WEBHOOKS}/new")
    return submit(visitor, form, "#webhook-form", **{"address": address, **fields})


def webhooks_of(api: Api) -> list[Doc]:
    return api.get("/webhooks").json()


def only_webhook(api: Api) -> Doc:
    (webhook,) = webhooks_of(api)
    return webhook


def value(screen: Screen, testid: str) -> str:
    return str(screen.find(testid)["value"])


def test_b_16_the_token_is_shown_for_the_right_password_and_a_test_is_recorded(
    service: Service, api: Api, sign_in: SignIn, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(status(202, b"thanks"))
    webhook = subscribe(api, endpoint)
    developer = sign_in("developer")
    page = developer.get(page_of(webhook))
    token = token_of(service, webhook)
    assert token not in page.response.text
    refused = submit(developer, page, "#reveal-form", password="not the password")
    assert (refused.status, refused.error) == (400, "The password is incorrect.")
    assert token not in refused.response.text
    assert value(submit(developer, page, "#reveal-form"), "signing-token") == token

    tried = submit(developer, page, "#test-form", type="refund.complete")
    assert tried.read("test-status") == "202"
    assert tried.read("test-response") == "thanks"
    assert tried.read("test-duration").endswith(" ms")
    (row,) = tried.rows("attempts")
    assert row[1] == "refund.complete Test"
    assert (row[3], row[5]) == ("202", "Succeeded")
    attempt = only_attempt(service, webhook)
    assert (attempt.status, attempt.response) == (202, b"thanks")
    assert row[4] == f"{attempt.duration_ms} ms"


def test_a_test_event_is_a_real_one_that_no_log_holds(
    service: Service, api: Api, admin: Visitor, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint, apiVersion="2021-03-23")
    page = admin.get(page_of(webhook))
    submit(admin, page, "#test-form", type="order.accepted")
    (arrival,) = endpoint.arrivals
    assert is_signed(arrival, token_of(service, webhook))
    event = json.loads(arrival.body)
    assert (event["type"], event["liveMode"]) == ("order.accepted", False)
    assert (event["digitalriverVersion"], event["webhookIds"]) == ("2021-03-23", [webhook["id"]])
    assert event["data"]["object"]["state"] == "accepted"
    assert expect(api.get("/events"))["data"] == []
    assert (
        submit(admin, page, "#test-form", type="order.accepted")
        .read("flash")
        .startswith("This form was sent before")
    )
    settle(api)
    assert len(endpoint.arrivals) == 1


def test_a_test_that_fails_is_tried_once_and_starts_no_countdown(
    service: Service, api: Api, admin: Visitor, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(status(500, b"<b>broken</b>"))
    webhook = subscribe(api, endpoint)
    tried = submit(admin, admin.get(page_of(webhook)), "#test-form")
    assert (tried.status, tried.read("test-status")) == (200, "500")
    assert tried.read("test-response") == "<b>broken</b>"
    advance(api, 14_400)
    assert len(endpoint.arrivals) == 1
    assert "failingSince" not in only_webhook(api)


def test_a_test_goes_nowhere_that_webhooks_may_not_reach(
    service: Service, api: Api, admin: Visitor, receiver: Receiver
) -> None:
    webhook = subscribe(api, receiver.endpoint(OK))
    for address in ("http://169.254.169.254/latest", "http://10.1.2.3/"):
        run_sql(service.data_dir, "UPDATE webhooks SET address = $2 WHERE id = $1",
                webhook["id"], address)  # fmt: skip
        tried = submit(admin, admin.get(page_of(webhook)), "#test-form")
        words = "the address leads to a network that is not open to webhooks"
        assert tried.read("test-status") == words
        assert admin.get(page_of(webhook)).rows("attempts")[0][3] == words


def test_a_test_says_so_where_no_key_opens_the_secrets(
    service: Service, api: Api, admin: Visitor, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint)
    run_sql(service.data_dir, "UPDATE webhooks SET sealed_token = $2 WHERE id = $1",
            webhook["id"], bytes(40))  # fmt: skip
    tried = submit(admin, admin.get(page_of(webhook)), "#test-form")
    assert tried.read("test-status").startswith("its secrets cannot be opened")
    assert endpoint.arrivals == []


def test_a_webhook_is_made_with_the_rules_of_the_api(
    api: Api, admin: Visitor, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(OK)
    assert create(admin, endpoint.url).error == "Choose at least one event type."
    refused = create(admin, "http://10.1.2.3/", types=["refund.failed"])
    assert refused.error == "'http://10.1.2.3/' is not a valid address."
    assert refused.fields("#webhook-form")["address"] == "http://10.1.2.3/"
    strange = create(admin, endpoint.url, types=["refund.sold"])
    assert "refund.sold" in strange.error
    assert webhooks_of(api) == []
    made = create(admin, endpoint.url, types=["refund.failed", "refund.complete"])
    assert made.read("flash") == "Webhook created."
    webhook = only_webhook(api)
    assert webhook["types"] == ["refund.complete", "refund.failed"]
    assert (webhook["enabled"], webhook["apiVersion"]) == (True, "default")
    (row,) = admin.get(WEBHOOKS).rows("webhooks")
    assert row == [endpoint.url, "Test", "Enabled", "Default", "2", "none yet", ""]


def test_the_box_all_subscribes_to_every_type_without_a_script(
    api: Api, admin: Visitor, receiver: Receiver
) -> None:
    form = admin.get(f"{WEBHOOKS}/new")
    offered = {str(box["value"]) for box in form.soup.select("input[name=types]")}
    submit(admin, form, "#webhook-form", address=receiver.endpoint(OK).url, all="true")
    assert set(only_webhook(api)["types"]) == offered
    assert len(offered) > 100
    edit = admin.get(f"{page_of(only_webhook(api))}/edit")
    assert edit.find("all-types").has_attr("checked")


def test_a_form_that_is_sent_twice_makes_one_webhook(
    api: Api, admin: Visitor, receiver: Receiver
) -> None:
    form = admin.get(f"{WEBHOOKS}/new")
    for _ in range(2):
        submit(admin, form, "#webhook-form", address=receiver.endpoint(OK).url,
               types=["refund.failed"])  # fmt: skip
    assert only_webhook(api)["types"] == ["refund.failed"]


def test_authentication_is_changed_and_secrets_stay_unless_they_are_typed(
    api: Api, admin: Visitor, receiver: Receiver
) -> None:
    webhook = subscribe(api, receiver.endpoint(OK))
    edit = f"{page_of(webhook)}/edit"

    def change(**fields: str) -> Screen:
        return submit(admin, admin.get(edit), "#webhook-form", **fields)

    assert change(authentication="http", user_name="ana").error == (
        "Write the password for HTTP authentication."
    )
    change(authentication="http", user_name="ana", password="first secret")
    assert only_webhook(api)["authentication"]["password"] == "first secret"
    assert "first secret" not in admin.get(edit).response.text
    assert "first secret" not in admin.get(page_of(webhook)).response.text
    change(user_name="bea")
    basic = only_webhook(api)["authentication"]
    assert (basic["userName"], basic["password"]) == ("bea", "first secret")
    refused = change(authentication="oauth")
    assert "Write the client ID." in refused.error
    change(authentication="oauth", token_end_point=receiver.endpoint(OK).url, client_id="me",
           client_secret="hush", grant_type="client_credentials")  # fmt: skip
    oauth = only_webhook(api)["oauth"]
    assert (oauth["clientSecret"], oauth["grantType"]) == ("hush", "client_credentials")
    change(client_id="you")
    assert only_webhook(api)["oauth"]["clientSecret"] == "hush"
    change(authentication="none")
    bare = only_webhook(api)
    assert bare["transportType"] == "HTTP"
    assert not {"authentication", "oauth"} & bare.keys()


def test_expanded_events_are_offered_where_the_account_has_them(
    service: Service, account: Account, api: Api, admin: Visitor, receiver: Receiver
) -> None:
    webhook = subscribe(api, receiver.endpoint(OK))
    edit = f"{page_of(webhook)}/edit"
    assert not admin.get(edit).soup.select("input[name=expanded]")
    run_sql(service.data_dir, "UPDATE accounts SET expanded_events = true WHERE id = $1",
            account.account_id)  # fmt: skip
    submit(admin, admin.get(edit), "#webhook-form", expanded=["order.accepted"])
    assert only_webhook(api)["expandedTypes"] == ["order.accepted"]


def test_a_token_is_rotated_with_an_overlap(
    service: Service, api: Api, admin: Visitor, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint)
    old = token_of(service, webhook)
    page = admin.get(page_of(webhook))
    wrong = submit(admin, page, "#rotate-form", old="3h", password="not the password")
    assert wrong.error == "The password is incorrect."
    assert token_of(service, webhook) == old
    rotated = submit(admin, page, "#rotate-form", old="3h")
    new = token_of(service, webhook)
    assert (value(rotated, "signing-token"), value(rotated, "old-token")) == (new, old)
    assert new != old
    submit(admin, page, "#rotate-form", old="now")
    assert token_of(service, webhook) == new
    submit(admin, admin.get(page_of(webhook)), "#test-form")
    assert len(endpoint.heads[0]["digitalriver-signature"].split(", ")) == 3


def test_a_webhook_is_disabled_enabled_and_deleted(
    service: Service, account: Account, api: Api, admin: Visitor, receiver: Receiver
) -> None:
    webhook = subscribe(api, receiver.endpoint(OK))
    page = admin.get(page_of(webhook))
    switch = f"form[action='{page_of(webhook)}/switch']"
    off = submit(admin, page, switch)
    assert (off.read("flash"), off.read("status")) == ("Webhook disabled.", "Disabled")
    assert not only_webhook(api)["enabled"]
    assert submit(admin, off, switch).read("flash") == "Webhook enabled."
    wrong = submit(admin, page, "#delete-form", password="")
    assert wrong.error == "The password is incorrect."
    assert only_webhook(api)["enabled"]
    gone = submit(admin, page, "#delete-form")
    assert gone.read("flash") == "Webhook deleted."
    assert webhooks_of(api) == []
    rows = run_sql(
        service.data_dir,
        "SELECT action FROM audit_log WHERE account_id = $1 AND object_type = 'webhook'"
        " ORDER BY seq",
        account.account_id,
    )
    assert [row["action"] for row in rows] == ["webhook.edited", "webhook.edited",
                                               "webhook.deleted"]  # fmt: skip


def test_secrets_of_webhooks_are_in_no_log(
    service: Service, account: Account, api: Api, admin: Visitor, receiver: Receiver
) -> None:
    size = service.log_size()
    create(admin, receiver.endpoint(OK).url, types=["refund.failed"], authentication="http",
           user_name="ana", password="first secret")  # fmt: skip
    webhook = only_webhook(api)
    page = admin.get(page_of(webhook))
    first = token_of(service, webhook)
    submit(admin, page, "#reveal-form")
    submit(admin, page, "#rotate-form", old="12h")
    submit(admin, admin.get(page_of(webhook)), "#test-form")
    rows = run_sql(
        service.data_dir,
        "SELECT action, before::text AS before, after::text AS after FROM audit_log"
        " WHERE account_id = $1 AND object_type = 'webhook' ORDER BY seq",
        account.account_id,
    )
    assert [row["action"] for row in rows] == [
        "webhook.created", "webhook.token_revealed", "webhook.token_rotated", "webhook.tested",
    ]  # fmt: skip
    told = str([dict(row) for row in rows]) + service.log_since(size)
    for secret in (first, token_of(service, webhook), "first secret", PASSWORD):
        assert secret not in told


def test_attempts_stand_in_pages(api: Api, admin: Visitor, receiver: Receiver) -> None:
    webhook = subscribe(api, receiver.endpoint(status(500)))
    for _ in range(14):
        given_accepted(api, "A")
    for seconds in (0, 600):
        advance(api, seconds)
    first = admin.get(page_of(webhook))
    assert {row[3] for row in first.rows("attempts")} == {"500"}
    assert "again" in first.rows("attempts")[0][5]
    second = admin.get(str(first.find("older")["href"]))
    assert [len(each.rows("attempts")) for each in (first, second)] == [25, 3]
    tried = submit(admin, first, "#test-form")
    assert admin.get(str(tried.find("older")["href"])).status == 200


def test_another_accounts_webhook_is_not_found(
    service: Service, api: Api, admin: Visitor, receiver: Receiver
) -> None:
    other = service.api(service.open_account().secret_test)
    endpoint: Endpoint = receiver.endpoint(OK)
    webhook = subscribe(other, endpoint)
    form: Fields = {"csrf_token": admin.csrf(), "password": PASSWORD, "old": "now",
                    "type": "refund.failed", "form_token": "0" * 64, "enabled": "false",
                    "webhook": webhook["id"]}  # fmt: skip
    assert admin.get(page_of(webhook)).status == 404
    for step in ("token", "rotate", "switch", "delete", "test", "edit"):
        assert admin.post(f"{page_of(webhook)}/{step}", form).status == 404, step
    order = given_accepted(api, "A")
    event = expect(api.get("/events?limit=1"))["data"][0]
    assert order
    assert admin.post(f"/dashboard/events/{event['id']}/resend", form).status == 404
    assert only_webhook(other)["enabled"]
    assert endpoint.arrivals == []
