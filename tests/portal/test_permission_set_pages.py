"""Settings > Permission sets: who may create refunds on top of their role."""

from tests.portal.conftest import SignIn
from tests.support.fixtures import given_captured
from tests.support.http import Api
from tests.support.portal import Screen, Visitor
from tests.support.service import Account, Service

PAGE = "/dashboard/permission-sets"
NAME = "DigitalRiver Connector – Refunds"
UNKNOWN = "No user of this account has this email address."


def add(visitor: Visitor, email: str) -> Screen:
    fields = visitor.get(PAGE).fields("#add-member")
    return visitor.post(f"{PAGE}/members", fields | {"email": email})


def remove(visitor: Visitor, user_id: str) -> Screen:
    return visitor.post(f"{PAGE}/members/{user_id}/remove", {"csrf_token": visitor.csrf()})


def members(visitor: Visitor) -> dict[str, str]:
    """What the table says of each membership, by address."""
    return {row[1]: row[3] for row in visitor.get(PAGE).rows("members")}


def id_of(visitor: Visitor, email: str) -> str:
    link = visitor.get(f"/dashboard/users?q={email}").find("users").select_one("tbody a")
    assert link is not None
    return str(link["href"]).rpartition("/")[2]


def test_a_member_may_create_refunds_from_the_next_page_on_and_no_longer(
    api: Api, account: Account, admin: Visitor, sign_in: SignIn
) -> None:
    order = given_captured(api, "A")
    staff = sign_in("customer_service")
    (email,) = {
        str(option["value"]) for option in admin.get(PAGE).soup.select("datalist option")
    }  # fmt: skip
    page = f"/dashboard/orders/{order['id']}"
    assert not staff.get(page).has("create-refund")
    done = add(admin, email)
    assert (done.read("flash"), done.read("set-name")) == ("Member added.", NAME)
    assert members(admin)[email] == "Member"
    assert not admin.get(PAGE).soup.select("datalist option"), "who is in is not proposed"
    assert staff.get(page).has("create-refund")
    assert remove(admin, id_of(admin, email)).read("flash") == "Member removed."
    assert email not in members(admin)
    assert not staff.get(page).has("create-refund")
    assert staff.get(f"{page}/refunds/new").status == 403


def test_administrators_hold_the_set_without_being_members(admin: Visitor) -> None:
    (membership,) = members(admin).values()
    assert membership == "Implicit, as an administrator"
    assert not admin.get(PAGE).soup.select("#members button")


def test_a_member_whose_role_gains_nothing_is_told_so(account: Account, admin: Visitor) -> None:
    email = account.create_user("developer")
    add(admin, email)
    assert members(admin)[email] == "Member; no effect for this role"


def test_adding_and_removing_twice_is_once(account: Account, admin: Visitor) -> None:
    email = account.create_user("customer_service")
    for _ in range(2):
        assert add(admin, email.upper()).read("flash") == "Member added."
    user_id = id_of(admin, email)
    for _ in range(2):
        assert remove(admin, user_id).read("flash") == "Member removed."
    log = admin.get("/dashboard/audit?object=permission_set").rows("audit")
    said = [row[2] for row in log]
    assert said == ["Permission set member removed Account", "Permission set member added Account"]


def test_only_users_of_the_account_can_be_added(service: Service, admin: Visitor) -> None:
    other = service.open_account().create_user("customer_service")
    for email in (other, "nobody@shop.example", ""):
        refused = add(admin, email)
        assert (refused.status, refused.error) == (400, UNKNOWN)
        assert refused.fields("#add-member")["email"] == email


def test_a_user_manager_adds_customer_service_but_no_administrator(
    account: Account, sign_in: SignIn
) -> None:
    boss, staff = (account.create_user(role) for role in ("administrator", "customer_service"))
    manager = sign_in("user_manager")
    assert add(manager, staff).read("flash") == "Member added."
    refused = add(manager, boss)
    assert refused.status == 403
    assert refused.error == "Only administrators can make, change or remove administrators."
    assert remove(manager, id_of(manager, boss)).status == 403
    assert remove(manager, id_of(manager, staff)).read("flash") == "Member removed."
