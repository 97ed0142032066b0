"""What the database holds by itself of users, sessions, links, forms and the logs."""

import asyncpg
import pytest

from refundry.db.database import Database
from refundry.operations.work import Worker
from tests.db.statements import copy, filled, undone, update
from tests.support.books import open_shop

Names = dict[str, str]
HASH = "\\x" + "ab" * 32
OTHER_HASH = "\\x" + "cd" * 32
# A user with everything that a user can have.
USER = (
    "INSERT INTO users (account_id, id, created_at, email, name, type, role, status,"
    " password_hash, totp_sealed, totp_on)"
    " VALUES ({account}, 'usr', now(), {email}, 'Ana', 'client', 'administrator', 'active',"
    " '$argon2id$v=19$', '\\x00', true)"
)
MEMBER = "INSERT INTO permission_set_members VALUES ({account}, 'refunds', 'usr', now())"
SESSION = f"INSERT INTO sessions VALUES ('{HASH}', {{account}}, 'usr', false, now(), now(), now())"
LINK = (
    f"INSERT INTO password_links VALUES ({{account}}, 'usr', '{HASH}', now(),"
    " now() + interval '1 day')"
)
FORM = f"INSERT INTO form_tokens VALUES ({{account}}, 'usr', '{HASH}', now(), '/here')"
ENTRY = (
    "INSERT INTO audit_log (account_id, at, actor_kind, actor_id, actor_name, action,"
    " object_type, object_id) VALUES ({account}, now(), 'user', 'usr', 'Ana', 'did', 'it', '1')"
)

CALL = (
    "INSERT INTO api_log (account_id, live, id, called_at, duration_ms, method, collection, path,"
    " status, replayed, request_id) VALUES ({account}, false, gen_random_uuid(), now(), 1, 'GET',"
    " '/orders', '/orders', 200, false, 'r')"
)


def user(change: str) -> str:
    return update("users", change, "id = 'usr'")


def second(**changes: str) -> str:
    """Another user like the one that is there, but for `changes`."""
    return copy("users", **({"id": "other", "email": "other@shop.example"} | changes))


REFUSED = [
    ("two calls with one id", "api_log_pkey", copy("api_log")),
    ("two users with one id", "users_pkey", copy("users", email="other@shop.example")),
    ("a user of no account", "users_account_id_fkey", second(account_id="none")),
    ("two users with one address", "users_email",
     "INSERT INTO users (account_id, id, created_at, email, name, type, role, status)"
     " SELECT account_id, 'other', created_at, upper(email), name, type, role, 'staged'"
     " FROM users WHERE account_id = {account}"),
    ("an address without an @", "users_email_check", user("email = 'ana'")),
    ("an address with two @", "users_email_check", user("email = 'ana@shop@example'")),
    ("an address of two lines", "users_email_check", user("email = E'ana\\n@shop.example'")),
    ("a user without a name", "users_name_check", user("name = ' '")),
    ("a user of a type that there is not", "users_type_check", user("type = 'robot'")),
    ("a user in a role that there is not", "users_role_check", user("role = 'king'")),
    ("a user in a status that there is not", "users_status_check", user("status = 'locked_out'")),
    ("a password in clear", "users_password_hash_check", user("password_hash = 'hush'")),
    ("an active user without a password", "users_active_have_a_password",
     user("password_hash = NULL")),
    ("codes without a secret", "users_codes_have_a_secret", user("totp_sealed = NULL")),
    ("a fifth failure without a lock-out", "users_failed_at_check",
     user("failed_at = array_fill(now(), ARRAY[5])")),
    ("somebody gone with a password", "users_who_are_gone_hold_no_secrets",
     user("status = 'deprovisioned', totp_sealed = NULL, totp_on = false")),
    ("somebody gone with a secret for codes", "users_who_are_gone_hold_no_secrets",
     user("status = 'deprovisioned', password_hash = NULL")),
    ("one member twice", "permission_set_members_pkey", MEMBER),
    ("a permission set that there is not", "permission_set_members_permission_set_check",
     update("permission_set_members", "permission_set = 'kings'", "user_id = 'usr'")),
    ("a member who is no user", "permission_set_members_account_id_user_id_fkey",
     update("permission_set_members", "user_id = 'none'", "user_id = 'usr'")),
    ("one session twice", "sessions_pkey", SESSION),
    ("a session stored in clear", "sessions_token_hash_check",
     copy("sessions", token_hash="\\x" + "ab" * 31)),
    ("a session of no user", "sessions_account_id_user_id_fkey",
     copy("sessions", token_hash=OTHER_HASH, user_id="none")),
    ("two links of one user", "password_links_pkey",
     copy("password_links", token_hash=OTHER_HASH)),
    ("one link of two users", "password_links_token_hash_key",
     f"{second()}; {copy('password_links', user_id='other')}"),
    ("a link stored in clear", "password_links_token_hash_check",
     update("password_links", "token_hash = 'x'", "user_id = 'usr'")),
    ("a link of no user", "password_links_account_id_user_id_fkey",
     update("password_links", "user_id = 'none'", "user_id = 'usr'")),
    ("a link that never was valid", "password_links_check",
     update("password_links", "expires_at = created_at", "user_id = 'usr'")),
    ("one form taken twice", "form_tokens_pkey", FORM),
    ("a form stored in clear", "form_tokens_token_hash_check",
     update("form_tokens", "token_hash = 'x'", "user_id = 'usr'")),
    ("a form of no user", "form_tokens_account_id_user_id_fkey",
     update("form_tokens", "user_id = 'none'", "user_id = 'usr'")),
    ("a result that is shown elsewhere", "form_tokens_location_check",
     update("form_tokens", "location = 'https://evil.example'", "user_id = 'usr'")),
    ("one entry twice", "audit_log_pkey",
     "INSERT INTO audit_log OVERRIDING SYSTEM VALUE SELECT * FROM audit_log"
     " WHERE account_id = {account}"),
    ("an entry of no account", "audit_log_account_id_fkey",
     update("audit_log", "account_id = 'none'", "actor_id = 'usr'")),
    ("an actor of a kind that there is not", "audit_log_actor_kind_check",
     update("audit_log", "actor_kind = 'ghost', actor_id = NULL", "actor_id = 'usr'")),
    ("a user without an id", "audit_log_check",
     update("audit_log", "actor_id = NULL", "actor_id = 'usr'")),
    ("a command with an id", "audit_log_check",
     update("audit_log", "actor_kind = 'command'", "actor_id = 'usr'")),
]  # fmt: skip


@pytest.fixture(scope="module")
async def names(worker: Worker) -> Names:
    account_id = (await open_shop(worker)).tenant.account_id
    return {"account": account_id, "email": f"ana@{account_id}.example"}


@pytest.mark.parametrize(("constraint", "statement"), [case[1:] for case in REFUSED],
                         ids=[case[0] for case in REFUSED])  # fmt: skip
async def test_what_is_refused(
    database: Database, names: Names, constraint: str, statement: str
) -> None:
    async with undone(database) as tx:
        for given in (USER, MEMBER, SESSION, LINK, FORM, ENTRY, CALL):
            assert await tx.execute(filled(given, names)) == "INSERT 0 1"
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
            await tx.execute(filled(statement, names))
    assert caught.value.constraint_name == constraint


async def test_who_is_gone_leaves_the_address_to_others(database: Database, names: Names) -> None:
    gone = "status = 'deprovisioned', password_hash = NULL, totp_sealed = NULL, totp_on = false"
    again = filled(second(email=names["email"], status="staged"), names)
    async with undone(database) as tx:
        await tx.execute(filled(USER, names))
        await tx.execute(filled(user(gone), names))
        assert await tx.execute(again) == "INSERT 0 1"
