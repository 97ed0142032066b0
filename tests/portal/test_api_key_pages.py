"""The pages of API keys: shown once, rotated, restricted, ended, and never without the password."""

import json

from tests.portal.conftest import SignIn
from tests.support.command import run_sql
from tests.support.fixtures import given_captured, refund
from tests.support.http import Api, expect
from tests.support.portal import Screen, Visitor
from tests.support.service import PASSWORD, Account, Service

KEYS = "/dashboard/api-keys"


def status(service: Service, key: str, path: str = "/orders") -> int:
    return service.api(key).get(path).status_code


def key_page(visitor: Visitor, label: str) -> Screen:
    """The page of the key in the row that begins so."""
    screen = visitor.get(KEYS)
    for row in screen.soup.select("tbody tr"):
        if " ".join(row.get_text(" ").split()).startswith(label):
            link = row.find("a")
            assert link is not None
            return visitor.get(str(link["href"]))
    raise AssertionError(f"no key {label}: {screen.text}")


def submit(visitor: Visitor, screen: Screen, form: str, **fields: str) -> Screen:
    """Send a form of a page with the right password, unless `fields` say otherwise."""
    found = screen.soup.select_one(form)
    assert found is not None
    sent = screen.fields(form)
    if "password" in sent:
        sent["password"] = PASSWORD
    return visitor.post(str(found["action"]), sent | fields)


def make_restricted(visitor: Visitor, name: str, **fields: str) -> Screen:
    return submit(visitor, visitor.get(f"{KEYS}/new"), "#key-form", name=name, **fields)


def value(screen: Screen, testid: str) -> str:
    return str(screen.find(testid)["value"])


def test_the_secret_key_is_never_shown_again_and_the_public_key_is(
    account: Account, sign_in: SignIn
) -> None:
    developer = sign_in("developer")
    secret, public = developer.get(KEYS).rows("standard-keys")
    assert secret[:2] == ["Secret", f"sk_test_…{account.secret_test[-4:]}"]
    assert public[:2] == ["Public", account.public_test]
    for page in (developer.get(KEYS), key_page(developer, "Secret")):
        assert account.secret_test not in page.response.text


def test_rotating_asks_for_the_password_and_shows_the_new_key_once(
    service: Service, account: Account, admin: Visitor
) -> None:
    page = key_page(admin, "Secret")
    refused = submit(admin, page, "#rotate-form", old="now", password="not the password")
    assert (refused.status, refused.error) == (400, "The password is incorrect.")
    assert status(service, account.secret_test) == 200
    made = submit(admin, page, "#rotate-form", old="now")
    key = value(made, "new-key")
    assert [status(service, each) for each in (account.secret_test, key)] == [401, 200]
    again = submit(admin, page, "#rotate-form", old="now")
    assert key not in again.response.text
    assert "sent before" in again.error
    assert status(service, key) == 200
    assert key not in admin.get(KEYS).response.text


def test_a_rotated_key_lives_on_as_long_as_asked_and_can_be_ended(
    service: Service, account: Account, admin: Visitor
) -> None:
    key = value(submit(admin, key_page(admin, "Secret"), "#rotate-form", old="12h"), "new-key")
    assert [status(service, each) for each in (account.secret_test, key)] == [200, 200]
    (left,) = run_sql(
        service.data_dir,
        "SELECT extract(epoch FROM expires_at - now())::float / 3600 AS hours FROM api_keys"
        " WHERE account_id = $1 AND expires_at > now()",
        account.account_id,
    )
    assert 11.9 < left["hours"] <= 12
    rows = admin.get(KEYS).rows("standard-keys")
    old = next(row for row in rows if "Ends" in row[1])
    assert f"…{account.secret_test[-4:]}" in old[1]
    page = key_page(admin, f"Secret sk_test_…{account.secret_test[-4:]}")
    ended = submit(admin, page, "#delete-form")
    assert ended.read("flash") == "Key deleted."
    assert [status(service, each) for each in (account.secret_test, key)] == [401, 200]


def test_a_standard_key_cannot_be_deleted(account: Account, admin: Visitor) -> None:
    page = key_page(admin, "Secret")
    assert page.soup.select_one("#delete-form") is None
    fields = {"csrf_token": admin.csrf(), "password": PASSWORD}
    refused = admin.post(f"{page.path}/delete", fields)
    assert refused.error == "Standard keys can be rotated, never deleted."


def test_a_restricted_key_does_what_it_may_and_no_more(
    service: Service, api: Api, sign_in: SignIn
) -> None:
    developer = sign_in("developer")
    order = given_captured(api, "A")
    made = make_restricted(
        developer, "Support tool", **{"may-orders": "read", "may-refunds": "read_write"}
    )
    key = service.api(value(made, "new-key"))
    expect(key.get(f"/orders/{order['id']}"))
    refund(key, order, amount=1)
    assert key.get("/events").status_code == 403
    assert key.post("/orders", {}).status_code == 403
    (row,) = developer.get(KEYS).rows("restricted-keys")
    assert (row[0], row[2]) == ("Support tool", "orders: read, refunds: read and write")


def test_a_restricted_key_is_edited_rotated_and_deleted(service: Service, admin: Visitor) -> None:
    first = value(make_restricted(admin, "Reports", **{"may-orders": "read"}), "new-key")
    page = key_page(admin, "Reports")
    changed = {"name": "Event reader", "may-orders": "none", "may-events": "read"}
    saved = submit(admin, page, "#key-form", **changed)
    assert saved.read("flash") == "Saved."
    assert [status(service, first, path) for path in ("/orders", "/events")] == [403, 200]
    second = value(submit(admin, saved, "#rotate-form", old="1h"), "new-key")
    assert [status(service, each, "/events") for each in (first, second)] == [200, 200]
    assert [row[0] for row in admin.get(KEYS).rows("restricted-keys")] == 2 * ["Event reader"]
    lasting = key_page(admin, f"Event reader rk_test_…{second[-4:]}")
    wrong = submit(admin, lasting, "#delete-form", password="not the password")
    assert wrong.error == "The password is incorrect."
    assert status(service, second, "/events") == 200
    submit(admin, lasting, "#delete-form")
    assert [status(service, each, "/events") for each in (first, second)] == [200, 401]


def test_a_key_without_name_or_permission_is_not_made(admin: Visitor) -> None:
    nameless = make_restricted(admin, " ", **{"may-orders": "read"})
    assert nameless.error == "A key needs a name of at most 100 characters."
    idle = make_restricted(admin, "Idle")
    assert idle.error == "A restricted key needs at least one permission that is not None."
    assert idle.fields("#key-form")["name"] == "Idle"
    strange = make_restricted(admin, "Strange", **{"may-orders": "all"})
    assert strange.status == 400
    assert not admin.get(KEYS).has("restricted-keys")


def test_versions_and_what_amounts_mean_are_set_per_key_and_for_all(
    service: Service, api: Api, admin: Visitor
) -> None:
    make_restricted(admin, "Reports", **{"may-orders": "read"})
    page = key_page(admin, "Secret")
    submit(admin, page, "#key-form", version="2021-03-23", basis="unit")
    secret, public = admin.get(KEYS).rows("standard-keys")
    assert secret[2:4] == ["2021-03-23", "One unit"]
    assert public[2:4] == ["2021-12-13", "Whole line"]
    given_captured(api, "A")
    (event, *_) = expect(api.get("/events?limit=1"))["data"]
    assert event["digitalriverVersion"] == "2021-03-23"
    rotated = submit(admin, page, "#rotate-form", old="now")
    assert rotated.has("new-key")
    assert admin.get(KEYS).rows("standard-keys")[0][2:4] == ["2021-03-23", "One unit"]
    done = submit(admin, admin.get(KEYS), "#versions", version="2021-03-23")
    assert done.read("flash") == "All keys have this version now."
    rows = [row[2] for row in done.rows("standard-keys")]
    assert rows + [row[3] for row in done.rows("restricted-keys")] == 3 * ["2021-03-23"]


def test_what_is_done_with_keys_is_in_the_audit_log_and_keys_are_not(
    service: Service, account: Account, admin: Visitor
) -> None:
    size = service.log_size()
    made = value(make_restricted(admin, "Reports", **{"may-orders": "read"}), "new-key")
    page = key_page(admin, "Reports")
    submit(admin, page, "#key-form", name="Orders")
    rotated = value(submit(admin, page, "#rotate-form", old="24h"), "new-key")
    submit(admin, key_page(admin, "Orders"), "#delete-form")
    rows = run_sql(
        service.data_dir,
        "SELECT action, actor_kind, live, before::text AS before, after::text AS after"
        " FROM audit_log WHERE account_id = $1 AND object_type = 'key' ORDER BY seq",
        account.account_id,
    )
    actions = ["key.created", "key.edited", "key.rotated", "key.deleted"]
    assert [row["action"] for row in rows] == actions
    assert {(row["actor_kind"], row["live"]) for row in rows} == {("user", False)}
    assert json.loads(rows[1]["before"])["name"] == "Reports"
    assert json.loads(rows[1]["after"])["name"] == "Orders"
    told = str([dict(row) for row in rows]) + service.log_since(size)
    for secret in (made, rotated, PASSWORD):
        assert secret not in told


def test_keys_are_those_of_the_mode(service: Service, account: Account, admin: Visitor) -> None:
    page = key_page(admin, "Secret")
    admin.post("/dashboard/mode", {"csrf_token": admin.csrf(), "live": "true"})
    secret, public = admin.get(KEYS).rows("standard-keys")
    assert secret[1] == f"sk_live_…{account.secret_live[-4:]}"
    assert public[1] == account.public_live
    assert submit(admin, page, "#rotate-form", old="now").status == 404
    assert status(service, account.secret_test) == 200


def test_only_developers_and_administrators_see_keys(sign_in: SignIn) -> None:
    for role in ("customer_service", "finance_manager", "user_manager"):
        visitor = sign_in(role)
        for path in (KEYS, f"{KEYS}/new", "/dashboard/webhooks", "/dashboard/events",
                     "/dashboard/api-logs"):  # fmt: skip
            assert visitor.get(path).status == 403
        assert "API keys" not in visitor.get("/dashboard/profile").read("navigation")
