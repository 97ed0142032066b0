"""Settings > Users and roles: who is there, inviting, changing, keeping out, deleting."""

import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyotp.totp import TOTP

from tests.portal.conftest import SignIn, Stranger
from tests.support.portal import Screen, Visitor
from tests.support.service import PASSWORD, Account, Service

LAST = "The last administrator cannot be removed, suspended or demoted."
ONLY = "Only administrators can make, change or remove administrators."
NEW_PASSWORD = "a long enough password"


def invite(visitor: Visitor, email: str, role: str = "customer_service", **more: str) -> Screen:
    fields = visitor.get("/dashboard/users/new").fields("main form")
    return visitor.post("/dashboard/users", fields | {"email": email, "role": role} | more)


def page_of(visitor: Visitor, q: str) -> str:
    """The address of the one user whom the search finds."""
    links = visitor.get(f"/dashboard/users?q={q}").find("users").select("tbody a")
    assert len(links) == 1
    return str(links[0]["href"])


def press(visitor: Visitor, page: str, form: str, **fields: str) -> Screen:
    """Send a form of a user's page."""
    screen = visitor.get(page)
    found = screen.soup.select_one(f"#{form}")
    assert found is not None, screen.text
    return visitor.post(str(found["action"]), screen.fields(f"#{form}") | fields)


def path_of(link: str) -> str:
    return "/dashboard/" + link.partition("/dashboard/")[2]


def set_password(visitor: Visitor, link: str) -> Screen:
    fields = visitor.get(path_of(link)).fields("form")
    return visitor.post(path_of(link), fields | {"password": NEW_PASSWORD, "again": NEW_PASSWORD})


def fresh(name: str) -> str:
    """An address that no other test has."""
    return f"{name}-{uuid.uuid4()}@shop.example"


def test_an_invited_user_sets_a_password_and_comes_in(admin: Visitor, stranger: Stranger) -> None:
    email = fresh("cleo")
    shown = invite(admin, email, name="Cleo Park", type="partner", in_set="on")
    link = str(shown.find("password-link")["value"])
    row = admin.get("/dashboard/users?q=cleo+park").rows("users")[0]
    assert row[:5] == ["Cleo Park", email, "Partner", "Customer service", "Staged"]
    assert row[6] == "never"
    page = page_of(admin, email)
    assert link not in admin.get(page).response.text, "it is shown once"
    assert admin.get(page).read("membership") == "Member."
    visitor = stranger()
    set_password(visitor, link)
    assert visitor.sign_in(email, NEW_PASSWORD).path == "/dashboard/orders"
    row = admin.get("/dashboard/users?q=cleo+park").rows("users")[0]
    assert row[4] == "Active"
    assert row[6].endswith("UTC")
    assert "no longer valid" in visitor.get(path_of(link)).error


def test_an_invitation_sent_twice_is_made_once(admin: Visitor) -> None:
    email = fresh("twice")
    fields = admin.get("/dashboard/users/new").fields("main form")
    fields |= {"email": email, "role": "developer"}
    admin.post("/dashboard/users", fields)
    again = admin.post("/dashboard/users", fields)
    assert again.read("flash").startswith("The user is invited.")
    assert again.path == page_of(admin, email)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"email": "not an address", "role": "developer"}, "This is not an email address."),
        ({"email": "eva@shop.example", "role": ""}, "Choose a role."),
        ({"email": "eva@shop.example", "role": "owner"}, "Choose a role."),
        ({"email": "eva@shop.example", "role": "developer", "name": "x" * 101},
         "A user needs a name of at most 100 characters."),
    ],
)  # fmt: skip
def test_an_invitation_that_cannot_be_is_shown_again_with_what_was_typed(
    admin: Visitor, fields: dict[str, str], error: str
) -> None:
    form = admin.get("/dashboard/users/new").fields("main form")
    shown = admin.post("/dashboard/users", form | fields)
    assert (shown.status, shown.error) == (400, error)
    assert shown.fields("main form")["email"] == fields["email"]


def test_an_address_is_taken_by_one_user_of_the_installation(
    service: Service, admin: Visitor
) -> None:
    taken = service.open_account().create_user("developer")
    shown = invite(admin, taken.upper())
    assert shown.error == "A user with this email address exists already."


def test_people_are_searched_and_filtered(admin: Visitor) -> None:
    marks = fresh("mark")
    invite(admin, marks, "developer", name="Mark <b>Önal</b>", type="partner")
    invite(admin, fresh("nora"), "finance_manager", name="Nora Lee")

    def found(query: str) -> list[str]:
        screen = admin.get(f"/dashboard/users?{query}")
        return [row[0] for row in screen.rows("users")] if screen.has("users") else []

    assert found("q=nora+l") == ["Nora Lee"]
    assert found(f"q={marks}") == ["Mark <b>Önal</b>"]
    assert found("type=partner") == ["Mark <b>Önal</b>"]
    assert found("role=finance_manager") == ["Nora Lee"]
    assert found("status=staged") == ["Mark <b>Önal</b>", "Nora Lee"]
    assert found("status=suspended&role=developer") == []
    assert "Filters (2)" in admin.get("/dashboard/users?status=active&role=developer").text
    assert len(found("status=nonsense")) == 3, "what no filter offers filters nothing"


def test_a_long_list_has_pages(account: Account, admin: Visitor) -> None:
    for _ in range(27):
        account.create_user("developer")
    first = admin.get("/dashboard/users?role=developer")
    assert len(first.rows("users")) == 25
    assert first.read("total") == "27 users"
    second = admin.get("/dashboard/users" + str(first.find("older")["href"]))
    assert len(second.rows("users")) == 2
    assert str(second.find("newer")["href"]) == "?role=developer&page=1"
    assert not admin.get("/dashboard/users?page=999999999").has("users")


def test_name_type_and_role_are_changed(account: Account, admin: Visitor) -> None:
    page = page_of(admin, account.create_user("developer"))
    done = press(admin, page, "edit-user", name=" Dora  Ek ", type="partner", role="user_manager")
    assert (done.read("flash"), done.read("current-role")) == ("Saved.", "User manager")
    assert done.fields("#edit-user")["name"] == "Dora Ek"
    assert "User edited" in done.read("history")
    refused = press(admin, page, "edit-user", name=" ")
    assert refused.error == "A user needs a name of at most 100 characters."


def test_a_suspended_user_is_out_at_once_until_reinstated(
    account: Account, admin: Visitor, stranger: Stranger
) -> None:
    email = account.create_user("developer")
    visitor = stranger()
    visitor.sign_in(email)
    page = page_of(admin, email)
    done = press(admin, page, "suspend-user")
    assert (done.read("flash"), done.read("status")) == ("User suspended.", "Suspended")
    assert visitor.get("/dashboard/orders").path == "/dashboard/login"
    assert visitor.sign_in(email).error == "Email or password is incorrect."
    assert press(admin, page, "reinstate-user").read("status") == "Active"
    assert visitor.sign_in(email).path == "/dashboard/orders"


def test_a_new_password_link_takes_the_old_password_away(
    account: Account, admin: Visitor, stranger: Stranger
) -> None:
    email = account.create_user("developer")
    visitor = stranger()
    visitor.sign_in(email)
    shown = press(admin, page_of(admin, email), "make-link")
    link = str(shown.find("password-link")["value"])
    assert visitor.get("/dashboard/orders").path == "/dashboard/login"
    assert visitor.sign_in(email).error == "Email or password is incorrect."
    assert admin.get(page_of(admin, email)).read("status") == "Recovery"
    set_password(visitor, link)
    assert visitor.sign_in(email, NEW_PASSWORD).path == "/dashboard/orders"


def test_a_deleted_user_is_gone_and_leaves_the_address_free(
    account: Account, admin: Visitor, stranger: Stranger
) -> None:
    email = account.create_user("developer")
    page = page_of(admin, email)
    asked = admin.get(f"{page}/delete")
    assert "cannot be undone" in asked.text
    done = admin.post(f"{page}/delete", asked.fields("main form"))
    assert (done.path, done.read("flash")) == ("/dashboard/users", "User deleted.")
    assert stranger().sign_in(email).error == "Email or password is incorrect."
    assert not admin.get(f"/dashboard/users?q={email}").has("users")
    old = admin.get(f"/dashboard/users?q={email}&status=deprovisioned")
    assert old.rows("users")[0][4] == "Deprovisioned"
    gone = admin.get(page)
    assert (gone.status, gone.has("save"), gone.has("delete")) == (200, False, False)
    assert admin.post(page, asked.fields("main form")).status == 404
    assert admin.get(f"{page}/delete").status == 404
    assert invite(admin, email).has("password-link")


def test_the_last_administrator_stays(admin: Visitor) -> None:
    page = page_of(admin, "administrator-")
    assert press(admin, page, "edit-user", role="developer").error == LAST
    assert press(admin, page, "suspend-user").error == LAST
    asked = admin.get(f"{page}/delete").fields("main form")
    assert admin.post(f"{page}/delete", asked).error == LAST
    assert admin.get(page).read("current-role") == "Administrator"


def test_one_of_two_administrators_may_go(account: Account, admin: Visitor) -> None:
    page = page_of(admin, account.create_user("administrator"))
    done = press(admin, page, "edit-user", role="developer")
    assert done.read("current-role") == "Developer"


def test_a_user_manager_is_not_offered_administrators_and_is_refused(
    admin: Visitor, sign_in: SignIn
) -> None:
    manager = sign_in("user_manager")
    page = page_of(manager, "administrator-")
    screen = manager.get(page)
    assert screen.read("read-only") == ONLY
    assert not any(map(screen.has, ("save", "new-link", "suspend", "delete", "history")))
    options = manager.get("/dashboard/users/new").find("role").select("option")
    assert "administrator" not in {str(option["value"]) for option in options}
    fields = {"csrf_token": manager.csrf(), "name": "Mallory", "role": "developer"}
    for path in (page, f"{page}/link", f"{page}/suspend", f"{page}/reinstate", f"{page}/delete"):
        refused = manager.post(path, fields)
        assert (refused.status, refused.error) == (403, ONLY), path
    refused = invite(manager, fresh("boss"), "administrator")
    assert (refused.status, refused.error) == (403, ONLY)
    refused = press(manager, page_of(manager, "user_manager-"), "edit-user", role="administrator")
    assert (refused.status, refused.error) == (403, ONLY)
    assert admin.get(page).read("status") == "Active"


def test_people_of_another_account_are_not_there(service: Service, admin: Visitor) -> None:
    email = service.open_account().create_user("developer")
    assert not admin.get(f"/dashboard/users?q={email}").has("users")


def test_codes_are_set_up_with_a_picture_that_no_address_tells(
    account: Account, stranger: Stranger
) -> None:
    visitor = stranger()
    email = account.create_user("developer")
    visitor.sign_in(email)
    picture = "/dashboard/profile/qr-code.svg"
    assert visitor.get(picture).status == 404
    fields = visitor.get("/dashboard/profile").fields("#codes") | {"do": "enrol"}
    assert visitor.post("/dashboard/profile", fields).error == "The password is incorrect."
    fields["old"] = PASSWORD
    shown = visitor.post("/dashboard/profile", fields)
    secret = shown.read("totp-secret")
    assert shown.find("qr-code")["src"] == picture
    assert not re.search(rf'(href|src|action)="[^"]*{secret}', shown.response.text)
    drawn = visitor.client.get(picture)
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert drawn.headers["cache-control"] == "no-store"
    assert secret not in drawn.text, "as squares only"
    wrong = shown.fields("#confirm-codes") | {"do": "confirm", "code": "000000"}
    again = visitor.post("/dashboard/profile", wrong)
    assert (again.error, again.read("totp-secret")) == ("The code is incorrect.", secret)
    _confirm(visitor, again, secret)
    assert visitor.get(picture).status == 404
    assert stranger().sign_in(email).error == "Email or password is incorrect."


def _confirm(visitor: Visitor, screen: Screen, secret: str) -> None:
    right = screen.fields("#confirm-codes") | {"do": "confirm", "code": TOTP(secret).now()}
    done = visitor.post("/dashboard/profile", right)
    assert done.read("codes") == "A code from your app is asked for at each sign-in."


def test_password_forms_say_whose_they_are(admin: Visitor) -> None:
    for form in ("#change-password", "#codes"):
        field = admin.get("/dashboard/profile").soup.select_one(f"{form} [autocomplete=username]")
        assert field is not None
        assert str(field["value"]).startswith("administrator-")


@pytest.fixture
def careful() -> Iterator[Visitor]:
    """An administrator of a service whose passwords cost what they cost elsewhere."""
    with Service() as service:
        visitor = Visitor(service)
        visitor.sign_in(service.open_account().create_user("administrator"))
        yield visitor
        visitor.close()


@pytest.mark.check
def test_a_crowd_is_told_to_wait_in_words(careful: Visitor) -> None:
    fields = careful.get("/dashboard/profile").fields("#codes")
    fields |= {"do": "enrol", "old": PASSWORD}

    def enrol(_: int) -> Screen:
        return careful.post("/dashboard/profile", fields)

    with ThreadPoolExecutor(70) as crowd:
        screens = list(crowd.map(enrol, range(70)))
    assert {screen.status for screen in screens} == {200, 503}
    turned_away = next(screen for screen in screens if screen.status == 503)
    assert turned_away.error.startswith("Too many passwords are being checked just now.")
